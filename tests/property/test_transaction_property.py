"""What no transaction may break, whatever code it runs: gas bounds, the refund cap, the sum of all wei."""

from hypothesis import given, settings
from hypothesis import strategies as st

from node.evm.interpreter import Interpreter
from node.evm.message import BlockEnvironment
from node.evm.opcodes import Opcode
from node.execution.transaction import TransactionResult, apply_transaction
from node.execution.validity import check_transaction
from node.forks.schedule import SPECS_BY_NAME
from node.primitives.scalars import ETHER, GWEI, ZERO_HASH, Address
from node.state.genesis_state import GenesisAccount, state_from_alloc
from node.state.journal import JournaledState
from node.state.view import TrieView
from node.types.transactions import FEE_MARKET, Transaction
from tests.builders import address, key

COINBASE = Address(b"\xc0" * 20)
CONTRACT = Address(b"\xaa" * 20)
OTHER = Address(b"\xbb" * 20)
BASE_FEE = 7
SPEC = SPECS_BY_NAME["Osaka"]
BLOCK = BlockEnvironment(
    chain_id=1,
    number=1,
    timestamp=1,
    coinbase=COINBASE,
    gas_limit=30_000_000,
    prev_randao=ZERO_HASH,
    base_fee_per_gas=BASE_FEE,
    blob_base_fee=1,
    block_hash=lambda number: ZERO_HASH,
)


def _push(value: int) -> bytes:
    return bytes((Opcode.PUSH32,)) + value.to_bytes(32, "big")


def _call(value: int, target: Address, gas: int) -> bytes:
    zeros = bytes((Opcode.PUSH0,)) * 4
    return zeros + _push(value) + _push(int.from_bytes(target, "big")) + _push(gas) + bytes((Opcode.CALL, Opcode.POP))


SMALL = st.integers(0, 3)
# each snippet leaves the stack as it found it
SNIPPETS = st.one_of(
    st.builds(lambda value, slot: _push(value) + _push(slot) + bytes((Opcode.SSTORE,)), SMALL, SMALL),
    st.builds(_call, st.integers(0, 5), st.sampled_from([OTHER, CONTRACT, COINBASE]), st.integers(0, 60_000)),
    st.builds(lambda size: _push(size) + bytes((Opcode.PUSH0, Opcode.LOG0)), st.integers(0, 2_000)),
    st.builds(lambda end: bytes((end,)), st.sampled_from([Opcode.STOP, Opcode.INVALID])),
    st.just(_push(0) + _push(0) + bytes((Opcode.REVERT,))),
    st.just(_push(int.from_bytes(OTHER, "big")) + bytes((Opcode.SELFDESTRUCT,))),
    st.binary(min_size=1, max_size=8),
)
PROGRAMS = st.lists(SNIPPETS, max_size=8).map(b"".join)
PLACES = (address(0), COINBASE, CONTRACT, OTHER, Address(b"\x00" * 20))


def _run(code: bytes, other_code: bytes, value: int, gas: int, tip: int) -> tuple[TransactionResult, int, int]:
    """(result, wei before, wei after) over every account that the programs can reach."""
    alloc = {
        address(0): GenesisAccount(balance=ETHER, nonce=0, code=b"", storage={}),
        CONTRACT: GenesisAccount(balance=50, nonce=1, code=code, storage={0: 1, 1: 2, 2: 3}),
        OTHER: GenesisAccount(balance=9, nonce=1, code=other_code, storage={}),
    }
    state = state_from_alloc(alloc)
    journal = JournaledState(TrieView(state.root, state.nodes.get, state.codes.get))  # type: ignore[arg-type]
    before = sum(account.balance for account in alloc.values())
    tx = Transaction(
        type=FEE_MARKET,
        chain_id=1,
        nonce=0,
        gas_limit=gas,
        to=CONTRACT,
        value=value,
        data=b"",
        max_fee_per_gas=GWEI,
        max_priority_fee_per_gas=tip,
    ).signed_by(key(0))
    checked = check_transaction(
        tx,
        accounts=journal,
        spec=SPEC,
        chain_id=1,
        base_fee=BASE_FEE,
        blob_base_fee=1,
        gas_available=30_000_000,
        blob_gas_available=0,
    )
    result = apply_transaction(checked, journal, BLOCK, SPEC, Interpreter())
    changed = journal.diff().accounts
    after = sum(journal.balance(place) for place in {*PLACES, *changed})
    return result, before, after


@settings(deadline=None, max_examples=150)
@given(PROGRAMS, PROGRAMS, st.integers(0, 100), st.integers(21_000, 300_000), st.integers(0, 5))
def test_gas_refunds_and_wei(code: bytes, other_code: bytes, value: int, gas: int, tip: int) -> None:
    result, before, after = _run(code, other_code, value, gas, tip)
    assert 21_000 <= result.gas_used <= gas
    assert result.gas_used <= result.gas_used_before_refund <= gas
    refunded = result.gas_used_before_refund - result.gas_used
    assert refunded <= result.gas_used_before_refund // SPEC.gas.refund_quotient
    # the base fee is burned; the tip went to the coinbase; nothing else may appear or vanish
    assert after == before - BASE_FEE * result.gas_used


def test_clearing_storage_reaches_the_cap_and_not_more() -> None:
    code = b"".join(_push(0) + _push(slot) + bytes((Opcode.SSTORE,)) for slot in (0, 1, 2))
    result, _, _ = _run(code, b"", 0, 300_000, 0)
    assert result.gas_used_before_refund - result.gas_used == result.gas_used_before_refund // 5
