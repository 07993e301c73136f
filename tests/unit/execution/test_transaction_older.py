"""Before EIP-161 an empty account that was touched stays."""

from node.evm.interpreter import Interpreter
from node.evm.message import BlockEnvironment
from node.execution.transaction import apply_transaction
from node.execution.validity import check_transaction
from node.forks.schedule import SPECS_BY_NAME
from node.primitives.scalars import ETHER, GWEI, ZERO_HASH, Address
from node.state.journal import JournaledState
from node.state.view import EmptyView
from node.types.transactions import LEGACY, Transaction
from tests.builders import address, key

STRANGER = Address(b"\x77" * 20)


def _exists_after(fork: str) -> bool:
    spec = SPECS_BY_NAME[fork]
    journal = JournaledState(EmptyView())
    journal.begin_transaction()
    journal.add_balance(address(0), ETHER)
    journal.end_transaction()
    block = BlockEnvironment(
        chain_id=1,
        number=1,
        timestamp=1,
        coinbase=Address(b"\xc0" * 20),
        gas_limit=30_000_000,
        prev_randao=ZERO_HASH,
        base_fee_per_gas=0,
        blob_base_fee=1,
        block_hash=lambda number: ZERO_HASH,
    )
    tx = Transaction(
        type=LEGACY,
        nonce=0,
        gas_limit=50_000,
        to=STRANGER,
        value=0,
        data=b"",
        max_fee_per_gas=GWEI,
        max_priority_fee_per_gas=GWEI,
    ).signed_by(key(0))
    checked = check_transaction(
        tx,
        accounts=journal,
        spec=spec,
        chain_id=1,
        base_fee=0,
        blob_base_fee=0,
        gas_available=30_000_000,
        blob_gas_available=0,
    )
    apply_transaction(checked, journal, block, spec, Interpreter())
    return journal.account_exists(STRANGER)


def test_touched_empty_accounts() -> None:
    assert _exists_after("Homestead")
    assert not _exists_after("Spurious Dragon")
