"""The watch over real HTTP: it follows chains that grow, reorganise and restart, and sees each kind of lie."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from network.cluster import companion, judge_process
from network.cluster.chain_watch import CONTRADICTIONS_MAX, ChainWatch
from network.cluster.fault_board import Board, change_board, read_board
from network.cluster.process import record_of
from network.failures import EXIT_DISAGREEMENT, Disagreement
from network.faults.vocabulary import FaultAction
from network.invariants import Invariant, InvariantViolated


def block(number, parent, salt="", root=None, transactions=()):
    return {
        "number": hex(number),
        "hash": f"0x{salt}{number}".encode().hex().ljust(64, "0").join(["0x", ""]),
        "parentHash": parent,
        "stateRoot": root or "0x" + f"{number:02x}" * 32,
        "baseFeePerGas": hex(7),
        "gasUsed": hex(100 * len(transactions)),
        "transactions": [
            {"hash": "0x" + name.encode().hex().ljust(64, "0"), "from": "0x" + "aa" * 20, "nonce": hex(nonce)}
            for name, nonce in transactions
        ],
    }


def chain(length, salt="", below=None, transactions=()):
    blocks = list(below or [block(0, "0x" + "00" * 32)])
    for _ in range(length):
        mine = transactions if len(blocks) == 1 else ()
        blocks.append(block(len(blocks), blocks[-1]["hash"], salt, transactions=mine))
    return blocks


class Talker:
    """A node that says whatever the test puts into it."""

    def __init__(self, port):
        self.blocks = chain(0)
        self.finalized = 0
        self.convicted = []
        self.traces = []
        self.keys = None
        self.role = "validator"
        self.lowest = 0
        talker = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                batch = request if isinstance(request, list) else [request]
                answers = [{"id": one["id"], "result": talker.answer(one["method"], one["params"])} for one in batch]
                body = json.dumps(answers if isinstance(request, list) else answers[0]).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, method, parameters):
        match method:
            case "evmesh_status":
                return {
                    "role": self.role,
                    "head": self.blocks[-1],
                    "safe": self.blocks[self.finalized],
                    "finalized": self.blocks[self.finalized],
                    "consensus": {
                        "evidence": [{"validator": one, "kind": "double vote"} for one in self.convicted],
                        "keys": self.keys,
                    },
                }
            case "evmesh_stateRoots":
                return self.blocks[max(self.lowest, int(parameters[0], 16)) : int(parameters[1], 16) + 1]
            case "eth_getBlockByHash":
                return next((one for one in self.blocks if one["hash"] == parameters[0]), None)
            case "debug_traceBlockByHash":
                (told,) = [one for one in self.blocks if one["hash"] == parameters[0]]
                burnt = {"payer": {"balance": hex(7 * int(told["gasUsed"], 16))}}
                return self.traces or [{"result": {"pre": burnt, "post": {}}}]
            case "eth_getBlockByNumber":
                return self.blocks[int(parameters[0], 16)]
        raise AssertionError(method)


@pytest.fixture
def watched(make_run):
    """(run directory, watch, n0, n1)."""
    run = make_run()
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    talkers = []
    for node in run.network().nodes:
        record_of(sleeper.pid, node.http_port, node.p2p_port).write(run.process_file(node.name))
        talkers.append(Talker(node.http_port))
    watch = ChainWatch(run)
    yield run, watch, *talkers
    watch.close()
    for talker in talkers:
        talker.server.shutdown()
        talker.server.server_close()
    sleeper.kill()
    sleeper.wait()


def broken(watch, invariant, looks=1):
    for _ in range(looks - 1):
        watch.look()
    with pytest.raises(InvariantViolated) as caught:
        watch.look()
    assert caught.value.invariant is invariant, caught.value
    return str(caught.value)


def test_a_quiet_life(watched):
    _, watch, n0, n1 = watched
    watch.look()
    n0.blocks = n1.blocks = chain(3, transactions=[("a", 0), ("b", 1)])
    n0.finalized = n1.finalized = 2
    watch.look()
    n0.blocks, n0.finalized = chain(600, below=n0.blocks), 500
    for _ in range(4):
        watch.look()
    assert watch.checks > 600
    n1.blocks = n0.blocks[:400]
    watch.look()


def test_a_node_that_joins_by_a_state_need_not_name_the_blocks_below_it(watched):
    run, watch, n0, n1 = watched
    n0.blocks, n0.finalized = chain(600), 590
    n1.blocks = chain(10, below=n0.blocks[:1])
    for _ in range(4):
        watch.look()
    change_board(run.path, lambda board: board.with_fault(FaultAction(0, "lost-disk", ("n1",))))
    n1.blocks, n1.role = n0.blocks[:1], "joining"
    watch.look()
    n1.blocks, n1.finalized, n1.role = n0.blocks, 590, "validator"
    n1.lowest = 300
    for _ in range(8):
        watch.look()
    assert watch._judge.heights()["n1"] == 600


def test_branches_come_and_go_above_the_finalized_block(watched):
    _, watch, n0, n1 = watched
    n0.blocks = n1.blocks = chain(4)
    n0.finalized = n1.finalized = 2
    watch.look()
    n0.blocks = chain(1, "short", n0.blocks[:3])
    watch.look()
    n0.blocks = chain(4, "long", n0.blocks[:3])
    n1.blocks = chain(2, "same length", n1.blocks[:3])
    watch.look()
    n1.blocks = n0.blocks
    n0.finalized = n1.finalized = 6
    watch.look()


def test_a_watch_that_begins_late(watched):
    _, watch, n0, n1 = watched
    n0.blocks = n1.blocks = chain(50)
    n0.finalized, n1.finalized = 40, 30
    watch.look()
    n0.blocks = n1.blocks = chain(900)
    n0.finalized, n1.finalized = 700, 400
    for _ in range(5):
        watch.look()
    n1.blocks = chain(200, "other", n1.blocks[:450])
    n1.finalized = 460
    broken(watch, Invariant.AGREEMENT)


def test_two_final_blocks_at_one_height(watched):
    _, watch, n0, n1 = watched
    n0.blocks, n1.blocks = chain(3), chain(3, "other")
    n0.finalized = n1.finalized = 3
    said = broken(watch, Invariant.AGREEMENT)
    assert "n0" in said
    assert "n1" in said


def test_one_block_with_two_state_roots(watched):
    _, watch, n0, n1 = watched
    n0.blocks = chain(3)
    n1.blocks = [dict(one) for one in n0.blocks]
    n1.blocks[2]["stateRoot"] = "0x" + "ff" * 32
    broken(watch, Invariant.AGREEMENT)


def test_a_finalized_mark_that_goes_back(watched):
    _, watch, n0, _ = watched
    n0.blocks, n0.finalized = chain(5), 4
    watch.look()
    n0.finalized = 3
    broken(watch, Invariant.MEMORY)


def test_a_restart_that_forgets_what_was_final(watched):
    _, watch, n0, _ = watched
    n0.blocks, n0.finalized = chain(5), 4
    watch.look()
    n0.blocks, n0.finalized = chain(2), 2
    broken(watch, Invariant.MEMORY)


def test_a_lost_disk_is_no_broken_promise(watched):
    run, watch, n0, _ = watched
    n0.blocks, n0.finalized = chain(5), 4
    watch.look()
    n0.blocks, n0.finalized = chain(2), 2
    change_board(run.path, lambda board: board.with_fault(FaultAction(0, "lost-disk", ("n0",))))
    watch.look()
    n0.finalized = 1
    broken(watch, Invariant.MEMORY)


def test_wei_out_of_nothing(watched):
    _, watch, n0, n1 = watched
    n0.blocks = n1.blocks = chain(3, transactions=[("a", 0)])
    n0.finalized = n1.finalized = 3
    paid = {"pre": {"a": {"balance": hex(1000)}}, "post": {"a": {"balance": hex(250)}, "b": {"balance": hex(50)}}}
    n0.traces = n1.traces = [{"result": paid}]
    watch.look()
    assert watch.weighed == 1
    n0.blocks = n1.blocks = chain(3, "other", transactions=[("b", 0)])
    n0.finalized = n1.finalized = 0
    again = ChainWatch(watch._run)
    n0.finalized = n1.finalized = 3
    gone = {"pre": {"c": {"balance": hex(700)}, "d": {"balance": hex(1)}}, "post": {"d": {"nonce": 4}}}
    n0.traces = n1.traces = [{"result": gone}]
    again.look()
    assert again.weighed == 1
    again.close()
    n0.blocks = n1.blocks = chain(3, "third", transactions=[("c", 0)])
    n0.traces = n1.traces = [{"result": {"pre": {}, "post": {"e": {"balance": hex(5)}}}}]
    third = ChainWatch(watch._run)
    assert "change by 5 wei, and -700" in broken(third, Invariant.SUPPLY)
    third.close()


def test_a_final_block_that_changes(watched):
    _, watch, n0, _ = watched
    n0.blocks, n0.finalized = chain(5), 4
    watch.look()
    n0.blocks = chain(5, "other")
    with pytest.raises(InvariantViolated):
        watch.look()


def test_a_transaction_twice_and_a_nonce_out_of_order(watched):
    _, watch, n0, n1 = watched
    n0.blocks = chain(3, transactions=[("a", 4), ("b", 3)])
    assert "nonce 3" in broken(watch, Invariant.VALIDITY)
    n0.blocks = chain(0)
    n1.blocks = chain(3, "twice", transactions=[("a", 4), ("a", 5)])
    assert "again" in broken(watch, Invariant.VALIDITY)


def test_blocks_that_do_not_build_on_each_other(watched):
    _, watch, n0, _ = watched
    n0.blocks = chain(4)
    n0.blocks[3] = block(3, "0x" + "99" * 32, "stray")
    broken(watch, Invariant.LINKAGE, CONTRADICTIONS_MAX + 1)


def test_a_conviction_of_an_honest_node(watched):
    run, watch, n0, n1 = watched
    validator = run.network().nodes[1].validator.lower()
    n0.convicted = n1.convicted = [validator]
    change_board(run.path, lambda board: board.with_fault(FaultAction(0, "double-vote", ("n1",))))
    n0.blocks = chain(1)
    watch.look()  # n1 was told to lie
    n0.convicted = [run.network().nodes[0].validator.lower()]
    assert "n0 is honest" in broken(watch, Invariant.HONESTY)


def test_a_conviction_of_an_honest_nodes_second_key(watched):
    _, watch, n0, n1 = watched
    n0.blocks = n1.blocks = chain(1)
    n0.convicted, n1.keys = ["0x" + "5a" * 20], ["0x" + "5A" * 20]
    assert "n1 is honest" in broken(watch, Invariant.HONESTY)


def test_liars_are_not_judged(watched):
    run, watch, n0, n1 = watched
    change_board(run.path, lambda board: board.with_fault(FaultAction(0, "twins", ("n1",))))
    n0.blocks, n1.blocks = chain(3), chain(3, "other")
    n0.finalized = n1.finalized = 3
    watch.look()


def test_a_lie_of_before_a_resume_is_remembered(watched):
    """Evidence outlives the fault: a judge that begins later must not take the convicted liar for honest."""
    run, watch, n0, n1 = watched
    change_board(run.path, lambda board: board.with_fault(FaultAction(0, "double-vote", ("n1",))))
    change_board(run.path, Board.cleared)
    assert read_board(run.path).faults == ()
    n0.blocks = n1.blocks = chain(1)
    n0.convicted = n1.convicted = [run.network().nodes[1].validator.lower()]
    watch.look()


def test_a_whole_network_that_stands_still():
    progress = judge_process.Progress(60.0)
    progress.note(0, True, 5)
    progress.note(59, True, 5)
    progress.note(61, True, 6)
    progress.note(100, False, 6)
    progress.note(121.5, False, 6)
    progress.note(122, True, 6)
    progress.note(182, True, 6)
    with pytest.raises(InvariantViolated, match="nothing became final after #6 for 61 s"):
        progress.note(183, True, 6)


def test_the_process_ends_with_a_sentence_and_code_3(watched):
    run, _, n0, n1 = watched
    companion.check_verdict(run)
    n0.blocks, n1.blocks = chain(3), chain(3, "other")
    n0.finalized = n1.finalized = 3
    assert judge_process.watch(run) == EXIT_DISAGREEMENT
    with pytest.raises(Disagreement, match="promise of agreement: at height 1 n0 finalized"):
        companion.check_verdict(run)
