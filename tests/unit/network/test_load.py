"""A load: moments that wait for nobody, nonces without gaps, a chain that is watched, a report, a chart."""

import asyncio
import xml.etree.ElementTree as ElementTree
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from network.accounts import derive_accounts
from network.load.chain_watch import ChainWatch, SeenBlock
from network.load.generator import Door, Generator, Pace, Shot, Target, open_session
from network.load.plot import Mark, nice_step, plot
from network.load.report import Latency, make_report, quantile
from network.load.workloads import KINDS, SENDER_PATH, blobs, deploys, signed, transfers
from network.wallet import Fees
from node.primitives.hexadecimal import to_data
from node.types.blobs import decode_wrapped
from node.types.transactions import decode

SENDERS = derive_accounts(b"\x05" * 64, 3, SENDER_PATH)


class StandIn:
    """Answers JSON-RPC as the test says; a real server on a real socket."""

    def __init__(self, answer):
        self.answer = answer
        self.taken = []

    @asynccontextmanager
    async def serve(self):
        app = web.Application()
        app.router.add_post("/", self._handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        async with open_session() as session:
            yield Door(session, Target("n0", f"http://127.0.0.1:{port}/"))
        await runner.cleanup()

    async def _handle(self, request):
        body = await request.json()
        if body["method"] == "eth_getTransactionCount":
            return web.json_response({"id": 1, "jsonrpc": "2.0", "result": "0x0"})
        result = await self.answer(body["method"], body["params"])
        if isinstance(result, Exception):
            return web.json_response({"id": 1, "jsonrpc": "2.0", "error": {"code": -32000, "message": str(result)}})
        return web.json_response({"id": 1, "jsonrpc": "2.0", "result": result})


def test_no_answer_holds_up_the_next_transaction():
    async def story():
        everything_is_here = asyncio.Event()
        arrived = []

        async def answer(method, params):
            arrived.append(params[0])
            if len(arrived) == 12:
                everything_is_here.set()
            await everything_is_here.wait()  # a closed loop would never get so far
            return "0x00"

        async with StandIn(answer).serve() as door:
            generator = Generator([door], SENDERS, [("transfers", transfers())], 1337, Pace(600, 0.02))
            await asyncio.wait_for(generator.run(), 30)
        return generator

    generator = asyncio.run(story())
    assert len(generator.shots) == 12
    assert [round((shot.due - generator.began) * 600) for shot in generator.shots] == list(range(12))
    assert all(shot.acknowledged >= shot.started >= shot.due for shot in generator.shots)


def test_a_refused_nonce_is_used_again():
    async def story():
        seen = []

        async def answer(method, params):
            nonce = decode(bytes.fromhex(params[0][2:])).nonce
            seen.append(nonce)
            return ValueError("txpool is full") if len(seen) == 2 else "0x00"

        async with StandIn(answer).serve() as door:
            generator = Generator([door], SENDERS[:1], [("transfers", transfers())], 1337, Pace(4, 1.25))
            await generator.run()
        return seen, generator

    seen, generator = asyncio.run(story())
    assert sorted(seen) == [0, 1, 1, 2, 3]
    assert generator.refusals() == {"txpool is full": 1}


def test_what_a_dead_node_had_taken_goes_to_another():
    async def story():
        async def take(method, params):
            return "0x00"

        one, other = StandIn(take), StandIn(take)
        handed = []

        async def note(method, params):
            handed.append(params[0])
            return "0x00"

        other.answer = note
        async with one.serve() as first, other.serve() as second:
            generator = Generator([first, second], SENDERS[:1], [("transfers", transfers())], 1337, Pace(100, 0.03))
            await generator.run()
            await generator.repeat_lost(lambda identity: False)
            assert not handed  # nobody was away
            first.away_at = generator.shots[-1].acknowledged + 1
            await generator.repeat_lost(lambda identity: identity == generator.shots[0].hash)
        return handed, generator

    handed, generator = asyncio.run(story())
    assert [decode(bytes.fromhex(raw[2:])).nonce for raw in handed] == [1, 2]
    assert [shot.resent for shot in generator.shots] == [0, 1, 1]


def test_a_watch_sees_blocks_replaced_and_final():
    def block(number, name, parent, *transactions):
        return {
            "number": hex(number),
            "hash": name,
            "parentHash": parent,
            "gasUsed": "0x5208",
            "transactions": list(transactions),
        }

    chain = {5: block(5, "a5", "a4"), "finalized": block(4, "a4", "a3")}

    async def answer(method, params):
        if method == "eth_blockNumber":
            return hex(max(key for key in chain if key != "finalized"))
        key = params[0] if params[0] == "finalized" else int(params[0], 16)
        return chain.get(key)

    async def story():
        async with StandIn(answer).serve() as door:
            watch = ChainWatch(door)
            await watch._look()
            chain[6] = block(6, "a6", "a5", "0xt1", "0xt2")
            await watch._look()
            assert set(watch.included) == {"0xt1", "0xt2"}
            chain[6] = block(6, "b6", "a5", "0xt1")  # undone, and another one in its place
            chain[7] = block(7, "b7", "b6")
            await watch._look()
            assert (watch.undone, set(watch.included), set(watch.final)) == (1, {"0xt1"}, set())
            chain[8] = block(8, "b8", "b7", "0xt2")
            chain["finalized"] = chain[7]
            await watch._look()
            assert watch.finalized == 7
            # another branch, on which what stood at 10 stands at 9 already; and one that is only shorter
            chain[9], chain[10] = block(9, "b9", "b8"), block(10, "b10", "b9", "0xt3")
            await watch._look()
            chain[9], chain[10] = block(9, "c9", "b8", "0xt3"), block(10, "c10", "c9")
            await watch._look()
            assert "0xt3" in watch.included
            del chain[10]
            await watch._look()
            assert (max(watch.blocks), "0xt3" in watch.included) == (9, True)
            chain["finalized"] = chain[9]
            chain[10] = block(10, "d10", "c9")
            await watch._look()
        return watch

    watch = asyncio.run(story())
    assert set(watch.final) == {"0xt1", "0xt2", "0xt3"}
    assert set(watch.included) == {"0xt1", "0xt2", "0xt3"}
    assert watch.finalized == 9


@pytest.mark.parametrize("draw", [transfers(), deploys(), blobs()])
def test_what_is_signed_can_be_read(draw):
    import random

    order = draw(random.Random(1), SENDERS)
    identity, raw = signed(order, SENDERS[0], 7, 31337, Fees(10**9, 1))
    transaction = decode(decode_wrapped(raw)[0] if order.blob else raw)
    assert (transaction.hash, transaction.sender, transaction.nonce) == (identity, SENDERS[0].address, 7)
    if order.blob:
        assert decode_wrapped(raw)[1].holds()


def seen(number, when, *transactions, gas=21_000):
    return SeenBlock(number, f"h{number}", f"h{number - 1}", gas, transactions, when)


@pytest.fixture
def report():
    """Three transactions in the first second, one in the second, one of them refused, one never final."""
    shots = [
        Shot(index, "transfers", 0, index % 2, 100.0 + index * 0.4, index, to_data(bytes([index])))
        for index in range(4)
    ]
    for shot in shots:
        shot.started = shot.due
    for shot in shots[:3]:
        shot.acknowledged = shot.due + 0.01
    shots[3].refusal = "nonce too low"
    watches = [ChainWatch(Door(None, Target(name, ""))) for name in ("n0", "n1")]
    for late, watch in enumerate(watches):
        watch.blocks = {1: seen(1, 101.0, shots[0].hash, shots[1].hash), 2: seen(2, 102.0, shots[2].hash)}
        watch.included = {shots[0].hash: 101.0 + late, shots[1].hash: 101.0 + late, shots[2].hash: 102.0}
        watch.final = {shots[0].hash: 103.0, shots[1].hash: 103.0}
    return make_report(shots, watches, 100.0, 2.5, failed=0)


def test_a_report_counts_from_the_due_moment(report):
    assert (report.sent, report.accepted, report.included, report.final, report.lost) == (4, 3, 3, 2, 0)
    assert report.included_ms == Latency(3, mean=1266.7, p50=1200.0, p90=1600.0, p95=1600.0, p99=1600.0, max=1600.0)
    assert report.final_ms.max == 3000.0
    assert report.refusals == {"nonce too low": 1}
    assert report.nodes[1].submitted == 2
    assert report.gas_per_s == 21_000
    assert [(row.due, row.included, row.final) for row in report.timeline] == [
        (3, 0, 0),
        (1, 1, 0),
        (0, 2, 0),
        (0, 0, 2),
    ]
    assert not report.clean


def test_nearest_rank():
    assert [quantile(range(1, 101), share) for share in (0.01, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    assert quantile([3.0], 0.5) == 3.0
    assert Latency.of([]).p50 is None


def test_a_chart_is_svg_and_escapes_what_it_is_told(report):
    text = plot(report, [Mark(1.0, 'crash <n3> & "more"')])
    root = ElementTree.fromstring(text)
    namespace = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{namespace}path")) == 6
    assert any(one.text == 'crash <n3> & "more"' for one in root.iter(f"{namespace}text"))
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")  # nothing is loaded from elsewhere
    for line in root.findall(f"{namespace}path"):
        for point in line.get("d").replace("L", " ").replace("M", " ").split():
            assert 0 <= float(point) <= 900


@pytest.mark.parametrize(
    ("highest", "step"), [(0, 1), (7, 1), (9, 2), (100, 20), (650, 100), (12_345, 2000), (0.4, 0.05)]
)
def test_steps_are_round(highest, step):
    assert nice_step(highest) == pytest.approx(step)


def test_every_kind_has_a_name():
    assert KINDS == ("transfers", "token", "contention", "deploys", "blobs")
