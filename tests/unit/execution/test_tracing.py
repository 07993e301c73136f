"""Transactions of a block, run again under every tracer: what they show, and that watching changes nothing."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from node.evm.interpreter import Interpreter
from node.evm.opcodes import Opcode
from node.evm.tracers.catalogue import TracerError, make_tracer
from node.evm.tracers.transaction_tracer import Budget, TraceAborted, TransactionTracer
from node.execution.tracing import (
    Replay,
    changes_before,
    intermediate_roots,
    trace_block,
    trace_transaction,
    transaction_start,
)
from node.primitives.scalars import GWEI, Address
from node.state.commit import commit
from node.state.genesis_state import GenesisAccount
from node.types.blocks import Block
from tests.unit.evm.program import RETURN_TOP, call_operation, operation, program, push, returning
from tests.unit.execution.world import (
    CHAIN_ID,
    COINBASE,
    NOBODY,
    SENDERS,
    World,
    authorization,
    contract,
    set_code,
    transaction,
)

IDENTITY = 4
CALLER, CHILD, REVERTER, LOGGER, DESTROYED, BORROWER, RICH, UNDONE, NOISY = (contract(index) for index in range(1, 10))
REASON = bytes.fromhex("08c379a0") + (32).to_bytes(32, "big") + (4).to_bytes(32, "big") + b"nope".ljust(32, b"\x00")


def hexed(value: bytes) -> str:
    return "0x" + value.hex()


def _revert_with(data: bytes) -> bytes:
    words = [data[start : start + 32].ljust(32, b"\x00") for start in range(0, len(data), 32)]
    stores = b"".join(operation(Opcode.MSTORE, 32 * index, int.from_bytes(w, "big")) for index, w in enumerate(words))
    return program(stores, operation(Opcode.REVERT, 0, len(data)))


CODES: dict[Address, bytes] = {
    CHILD: program(operation(Opcode.SSTORE, 1, 0), operation(Opcode.SSTORE, 2, 7), push(5), RETURN_TOP),
    REVERTER: _revert_with(REASON),
    LOGGER: program(
        operation(Opcode.MSTORE, 0, 0xAB),
        operation(Opcode.LOG1, 31, 1, 0x77),
        call_operation(Opcode.CALL, IDENTITY),
        operation(Opcode.LOG0, 0, 0),
    ),
    DESTROYED: operation(Opcode.SELFDESTRUCT, int.from_bytes(NOBODY, "big")),
    UNDONE: program(operation(Opcode.LOG0, 0, 0), operation(Opcode.REVERT, 0, 0)),
    BORROWER: call_operation(Opcode.DELEGATECALL, CHILD),
    RICH: program(call_operation(Opcode.CALL, NOBODY, value=10**30), RETURN_TOP),
    CALLER: program(
        operation(Opcode.MSTORE, 0, 0x11223344 << 224),
        call_operation(Opcode.CALL, CHILD, data=(0, 36)),
        call_operation(Opcode.STATICCALL, CHILD, gas=50_000, data=(0, 4)),
        call_operation(Opcode.CALL, REVERTER),
        call_operation(Opcode.CALL, LOGGER, value=1),
        call_operation(Opcode.CALL, IDENTITY, data=(0, 5)),
        call_operation(Opcode.CALL, DESTROYED),
        operation(Opcode.CREATE, 0, 0, 0),
        push(1),
        RETURN_TOP,
    ),
}
TRACERS: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("", {"enableMemory": True, "enableReturnData": True, "disableStack": True, "disableStorage": True}),
    ("callTracer", {}),
    ("callTracer", {"withLog": True, "onlyTopCall": True}),
    ("prestateTracer", {}),
    ("prestateTracer", {"diffMode": True}),
    ("4byteTracer", {}),
    ("noopTracer", {}),
    ("muxTracer", {"callTracer": {"withLog": True}, "4byteTracer": None}),
]


ACCOUNTS = {
    **{address: GenesisAccount(nonce=1, code=code, balance=5) for address, code in CODES.items()},
    CHILD: GenesisAccount(nonce=1, code=CODES[CHILD], storage={1: 9}),
}


@pytest.fixture(scope="module")
def world() -> World:
    return World(ACCOUNTS)


def tracer(name: str, **config: Any) -> TransactionTracer:
    return make_tracer(name, config, Budget())


def replay(world: World, block: Block) -> Replay:
    return Replay(block, world.view(), world.spec, Interpreter(), CHAIN_ID, world.hashes.__getitem__)


def traced(world: World, name: str, *transactions: Any, index: int = -1, **config: Any) -> Any:
    """The trace of one of the transactions of a block on the world's head."""
    built = world.build(transactions)
    assert not built.skipped
    at = index % len(transactions)
    trace = trace_transaction(replay(world, built.block), at, tracer(name, **config))
    return orjson.loads(orjson.dumps(trace))


def to(target: Address | None, sender: int = 0, **fields: Any) -> Any:
    return transaction(sender, to=target, **{"gas_limit": 1_000_000, "value": 0, **fields})


def test_call_tree(world: World) -> None:
    tx = to(CALLER, value=3, data=b"\xaa")
    call = traced(world, "callTracer", tx)
    used = world.build([tx]).result.gas_used
    assert (call["type"], call["from"], call["to"]) == ("CALL", hexed(SENDERS[0]), hexed(CALLER))
    assert (call["gas"], call["gasUsed"], call["value"], call["input"]) == (hex(1_000_000), hex(used), "0x3", "0xaa")
    assert call["output"] == hexed((1).to_bytes(32, "big"))
    assert "error" not in call
    assert "logs" not in call
    kinds = [(child["type"], child.get("error")) for child in call["calls"]]
    assert kinds == [
        ("CALL", None),
        ("STATICCALL", "write protection"),
        ("CALL", "execution reverted"),
        ("CALL", None),
        ("CALL", None),
        ("CALL", None),
        ("CREATE", None),
    ]
    plain, static, reverted, logger, precompile, destroyed, created = call["calls"]
    assert plain["output"] == hexed((5).to_bytes(32, "big"))
    assert plain["input"][:10] == "0x11223344"
    assert "value" not in static
    assert static["gasUsed"] == static["gas"]
    assert reverted["output"] == hexed(REASON)
    assert reverted["revertReason"] == "nope"
    assert logger["value"] == "0x1"
    assert logger["calls"][0]["to"] == hexed(IDENTITY.to_bytes(20, "big"))
    assert precompile["output"] == "0x1122334400"
    assert precompile["gasUsed"] == hex(18)
    assert destroyed["calls"] == [
        {
            "from": hexed(DESTROYED),
            "gas": "0x0",
            "gasUsed": "0x0",
            "to": hexed(NOBODY),
            "input": "0x",
            "value": "0x5",
            "type": "SELFDESTRUCT",
        }
    ]
    assert created["input"] == "0x"
    assert "to" in created


def test_call_tree_options(world: World) -> None:
    assert "calls" not in traced(world, "callTracer", to(CALLER), onlyTopCall=True)
    call = traced(world, "callTracer", to(LOGGER), withLog=True)
    assert [(log["data"], log["topics"], log["position"]) for log in call["logs"]] == [
        ("0xab", [f"0x{0x77:064x}"], "0x0"),
        ("0x", [], "0x1"),
    ]
    assert call["logs"][0]["address"] == hexed(LOGGER)
    assert [log["index"] for log in call["logs"]] == ["0x0", "0x1"]


def test_logs_are_numbered_in_the_block(world: World) -> None:
    """As receipts do it: what was undone has no number, and what is not shown keeps its own."""
    noisy = program(
        call_operation(Opcode.CALL, UNDONE), call_operation(Opcode.CALL, LOGGER), operation(Opcode.LOG0, 0, 0)
    )
    own = World({**ACCOUNTS, NOISY: GenesisAccount(nonce=1, code=noisy)})
    transactions = [to(LOGGER), to(NOISY, nonce=1)]
    receipts = own.build(transactions).result.receipts
    assert [len(receipt.logs) for receipt in receipts] == [2, 3]
    for only_top in (False, True):
        call = traced(own, "callTracer", *transactions, withLog=True, onlyTopCall=only_top)
        assert [log["index"] for log in call["logs"]] == ["0x4"]
        if not only_top:
            undone, logger = call["calls"]
            assert "logs" not in undone
            assert [log["index"] for log in logger["logs"]] == ["0x2", "0x3"]


def test_failed_calls_have_no_logs(world: World) -> None:
    gas = 21_000 + 900  # enough for the first log, not for what follows
    call = traced(world, "callTracer", to(LOGGER, gas_limit=gas), withLog=True)
    assert call["error"] == "out of gas"
    assert "logs" not in call
    assert call["gasUsed"] == hex(gas)


def test_refused_child_spends_nothing(world: World) -> None:
    call = traced(world, "callTracer", to(RICH))
    assert [(child["error"], child["gasUsed"]) for child in call["calls"]] == [
        ("insufficient balance for transfer", "0x0")
    ]


def test_borrowed_code(world: World) -> None:
    (child,) = traced(world, "callTracer", to(BORROWER))["calls"]
    assert (child["type"], child["from"], child["to"]) == ("DELEGATECALL", hexed(BORROWER), hexed(CHILD))


def test_creation(world: World) -> None:
    call = traced(world, "callTracer", to(None, data=returning(b"\x00")))
    assert call["type"] == "CREATE"
    assert call["output"] == "0x00"
    assert len(call["to"]) == 42
    failed = traced(world, "callTracer", to(None, data=returning(b"\xef")))
    assert failed["error"] == "invalid code: must not begin with 0xef"
    assert "to" not in failed


def test_struct_log(world: World) -> None:
    tx = to(CHILD)
    trace = traced(world, "", tx)
    assert list(trace) == ["gas", "failed", "returnValue", "structLogs"]
    assert trace["gas"] == world.build([tx]).result.gas_used
    assert (trace["failed"], trace["returnValue"]) == (False, hexed((5).to_bytes(32, "big")))
    steps = trace["structLogs"]
    first = {"pc": 0, "op": "PUSH1", "gas": 979_000, "gasCost": 3, "depth": 1, "stack": []}
    assert steps[0] == first
    store = next(step for step in steps if step["op"] == "SSTORE")
    assert store["gasCost"] == 5_000
    assert store["stack"] == ["0x0", "0x1"]
    assert store["refund"] == 4_800
    assert store["storage"] == {f"0x{1:064x}": f"0x{0:064x}"}
    after = steps[steps.index(store) + 1]
    assert after["refund"] == 4_800
    assert "storage" not in after
    assert steps[-1]["op"] == "RETURN"
    assert steps[-1]["gasCost"] == 0


def test_names_are_geths(world: World) -> None:
    own = World({NOISY: GenesisAccount(nonce=1, code=program(Opcode.PREVRANDAO, Opcode.PUSH0, 0x0C))})
    steps = traced(own, "", to(NOISY))["structLogs"]
    assert [step["op"] for step in steps] == ["DIFFICULTY", "PUSH0", "opcode 0xc not defined"]
    assert steps[-1]["error"] == "invalid opcode: opcode 0xc not defined"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (program(Opcode.ADD), "stack underflow (0 <=> 2)"),
        (program(*[Opcode.PUSH0] * 1025), "stack limit reached 1024 (1024)"),
        (program(Opcode.INVALID), "invalid opcode: INVALID"),
        (program(push(1), Opcode.JUMP), "invalid jump destination"),
        (operation(Opcode.RETURNDATACOPY, 0, 0, 1), "return data out of bounds"),
    ],
)
def test_failures_are_in_geths_words(code: bytes, words: str) -> None:
    own = World({NOISY: GenesisAccount(nonce=1, code=code)})
    assert traced(own, "callTracer", to(NOISY))["error"] == words


def test_a_creation_costs_without_what_it_is_given(world: World) -> None:
    create = next(step for step in traced(world, "", to(CALLER))["structLogs"] if step["op"] == "CREATE")
    assert create["gasCost"] == 32_000


def test_struct_log_options(world: World) -> None:
    steps = traced(world, "", to(CALLER), enableMemory=True, enableReturnData=True, disableStack=True)["structLogs"]
    assert not any("stack" in step for step in steps)
    assert any(step.get("memory", [""])[0].startswith("0x11223344") for step in steps)
    assert any(step.get("returnData") == hexed(REASON) for step in steps)
    assert len(traced(world, "", to(CALLER), limit=200)["structLogs"]) < 5
    none = traced(world, "", to(CHILD), disableStorage=True)["structLogs"]
    assert not any("storage" in step for step in none)


def test_struct_log_failure(world: World) -> None:
    trace = traced(world, "", to(CHILD, gas_limit=21_010))
    assert trace["failed"]
    assert trace["returnValue"] == "0x"
    assert trace["gas"] == 21_010
    assert trace["structLogs"][-1]["error"] == "out of gas"
    assert traced(world, "", to(REVERTER))["returnValue"] == hexed(REASON)


def test_prestate(world: World) -> None:
    before = traced(world, "prestateTracer", transaction(0), to(CHILD, nonce=1))
    first = world.build([transaction(0)])
    paid = first.result.gas_used * (2 * GWEI + (first.block.header.base_fee_per_gas or 0)) + 1
    assert before[hexed(SENDERS[0])] == {"balance": hex(10 * 10**18 - paid), "nonce": 1}
    assert before[hexed(CHILD)]["storage"] == {f"0x{1:064x}": f"0x{9:064x}", f"0x{2:064x}": f"0x{0:064x}"}
    assert before[hexed(CHILD)]["code"] == hexed(CODES[CHILD])
    assert before[hexed(COINBASE)]["balance"] == hex(first.result.gas_used * 2 * GWEI)


def test_prestate_of_a_fresh_coinbase(world: World) -> None:
    assert hexed(COINBASE) not in traced(world, "prestateTracer", transaction(0))
    shown = traced(world, "prestateTracer", transaction(0), includeEmpty=True)
    assert shown[hexed(COINBASE)] == {"balance": "0x0"}


def test_prestate_difference(world: World) -> None:
    difference = traced(world, "prestateTracer", to(CHILD), diffMode=True)
    pre, post = difference["pre"], difference["post"]
    one, two = f"0x{1:064x}", f"0x{2:064x}"
    assert pre[hexed(CHILD)]["storage"] == {one: f"0x{9:064x}"}
    assert post[hexed(CHILD)] == {"storage": {two: f"0x{7:064x}"}}
    assert post[hexed(SENDERS[0])]["nonce"] == 1
    assert "nonce" not in pre[hexed(SENDERS[0])]
    assert hexed(COINBASE) in post
    assert hexed(COINBASE) not in pre


def test_prestate_shows_authorities(world: World) -> None:
    tx = set_code(0, authorization(1, CHILD), to=SENDERS[1], value=0)
    before = traced(world, "prestateTracer", tx)
    assert before[hexed(SENDERS[1])].keys() == {"balance", "storage"}
    assert before[hexed(SENDERS[1])]["balance"] == hex(10 * 10**18)
    post = traced(world, "prestateTracer", tx, diffMode=True)["post"]
    assert post[hexed(SENDERS[1])]["code"] == "0xef0100" + CHILD.hex()


def test_prestate_shows_authorities_that_nobody_calls(world: World) -> None:
    tx = set_code(0, authorization(1, CHILD), to=NOBODY, value=0)
    difference = traced(world, "prestateTracer", tx, diffMode=True)
    assert difference["pre"][hexed(SENDERS[1])] == {"balance": hex(10 * 10**18)}
    assert difference["post"][hexed(SENDERS[1])]["nonce"] == 1


def test_a_destroyed_account_has_no_state_after(world: World) -> None:
    difference = traced(world, "prestateTracer", to(DESTROYED), diffMode=True)
    assert difference["pre"][hexed(DESTROYED)]["balance"] == "0x5"
    assert hexed(DESTROYED) not in difference["post"]
    assert difference["post"][hexed(NOBODY)]["balance"] == "0x5"


def test_a_refused_destruction_is_no_call(world: World) -> None:
    static = program(call_operation(Opcode.STATICCALL, DESTROYED, gas=50_000))
    own = World({**ACCOUNTS, NOISY: GenesisAccount(nonce=1, code=static)})
    (child,) = traced(own, "callTracer", to(NOISY))["calls"]
    assert child["error"] == "write protection"
    assert "calls" not in child


def test_selectors(world: World) -> None:
    counts = traced(world, "4byteTracer", to(CALLER, data=b"\x01\x02\x03\x04\x05"))
    assert counts == {"0x01020304-1": 1, "0x11223344-32": 1, "0x11223344-0": 1}


@pytest.mark.parametrize(("name", "config"), TRACERS)
def test_watching_changes_nothing(world: World, name: str, config: dict[str, Any]) -> None:
    transactions = [to(CALLER, value=3), to(None, sender=1, data=returning(b"\x00")), to(BORROWER, sender=2)]
    built = world.build(transactions)
    run, journal = replay(world, built.block).start()
    for tx in transactions:
        watcher = tracer(name, **config)
        watcher.begin(transaction_start(journal, tx.sender, tx.to, tx.nonce, tx.gas_limit, COINBASE, (), world.spec))
        result = run.apply(tx, watcher)
        watcher.end(result.gas_used, result.outcome, journal)
    assert run.finish(()).receipts == built.result.receipts
    assert commit(world.head.state_root, journal.diff(), world.nodes.get).root == built.block.header.state_root
    told = list(trace_block(replay(world, built.block), lambda: tracer(name, **config)))
    assert [tx for tx, _ in told] == transactions


def test_state_in_the_middle(world: World) -> None:
    built = world.build([to(CHILD), to(CHILD, sender=1)])
    roots = intermediate_roots(replay(world, built.block), world.nodes.get)
    assert roots[1] == built.block.header.state_root
    changes = changes_before(replay(world, built.block), 1)
    assert commit(world.head.state_root, changes, world.nodes.get).root == roots[0]


def test_budget(world: World) -> None:
    built = world.build([to(CALLER)])
    for budget, words in (
        (Budget(steps_max=3), "more than 3 steps"),
        (Budget(bytes_max=100), "larger than 100 bytes"),
    ):
        with pytest.raises(TraceAborted, match=words):
            trace_transaction(replay(world, built.block), 0, make_tracer("", {}, budget))


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        ("nopeTracer", {}, "tracer not found: nopeTracer"),
        ("callTracer", {"onlyTopCall": 1}, "onlyTopCall: expected a boolean"),
        ("", {"limit": "x"}, "limit: expected a number"),
        ("prestateTracer", {"diffMode": True, "includeEmpty": True}, "cannot use diffMode with includeEmpty"),
        ("muxTracer", {"muxTracer": {}}, "cannot hold another"),
    ],
)
def test_refused_configurations(name: str, config: dict[str, Any], words: str) -> None:
    with pytest.raises(TracerError, match=words):
        make_tracer(name, config, Budget())
