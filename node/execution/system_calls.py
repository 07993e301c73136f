"""What a block does beside its transactions: calls by SYSTEM_ADDRESS, withdrawals, execution requests.

first   state writes that consensus orders (types/operations.py)
start   parent beacon root (EIP-4788), parent hash (EIP-2935): a missing contract or a failure changes nothing
end     withdrawals (EIP-4895); requests: deposits from logs (EIP-6110), answers of the withdrawal (EIP-7002)
        and consolidation (EIP-7251) contracts, which must be there and must not fail; their hash (EIP-7685)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

from node.evm.call_stack import execute_message
from node.evm.machine import VirtualMachine
from node.evm.message import BlockEnvironment, CallKind, Message, TransactionEnvironment
from node.evm.outcome import Halt, Outcome, Revert
from node.evm.spec import RequestSource, Spec
from node.primitives.scalars import GWEI, Address, Hash32
from node.state.journal import JournaledState
from node.types.blocks import Withdrawal
from node.types.invalid import BlockReason, InvalidBlock
from node.types.operations import Operation, RestoreState, SetBalance, SetCode, SetNonce, SetStorage
from node.types.receipts import Log

SYSTEM_ADDRESS: Final = Address(bytes.fromhex("fffffffffffffffffffffffffffffffffffffffe"))
SYSTEM_CALL_GAS: Final = 30_000_000
"""A system call's own allowance; it does not count in the block's gas."""

DEPOSIT_EVENT_TOPIC: Final = bytes.fromhex("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5")
"""keccak256("DepositEvent(bytes,bytes,bytes,bytes,bytes)")."""
_DEPOSIT_EVENT_BYTES: Final = 576
_DEPOSIT_FIELDS: Final = ((160, 48), (256, 32), (320, 8), (384, 96), (512, 8))
"""Offset and size of pubkey, withdrawal credentials, amount, signature, index in the event's data (EIP-6110)."""


def system_call(
    target: Address, data: bytes, journal: JournaledState, block: BlockEnvironment, spec: Spec, vm: VirtualMachine
) -> Outcome:
    """Call ``target`` as SYSTEM_ADDRESS without value or fees; its changes stay where it succeeds."""
    journal.begin_transaction()
    message = Message(
        kind=CallKind.CALL,
        caller=SYSTEM_ADDRESS,
        target=target,
        code_address=target,
        code=journal.code(target),
        data=data,
        value=0,
        gas=SYSTEM_CALL_GAS,
        transfers_value=False,
    )
    environment = TransactionEnvironment(origin=SYSTEM_ADDRESS, gas_price=block.base_fee_per_gas)
    outcome = execute_message(message, journal, block, environment, spec, vm)
    journal.end_transaction()
    return outcome


def start_of_block(
    parent_hash: Hash32,
    parent_beacon_block_root: Hash32 | None,
    journal: JournaledState,
    block: BlockEnvironment,
    spec: Spec,
    vm: VirtualMachine,
) -> None:
    """The fork's calls before the first transaction. What they answer does not matter."""
    inputs = {"parent_hash": parent_hash, "parent_beacon_block_root": parent_beacon_block_root}
    for call in spec.system_calls:
        data = inputs[call.input]
        assert data is not None, "the header's form was checked"
        system_call(call.address, data, journal, block, spec, vm)


def apply_operations(operations: Sequence[Operation], journal: JournaledState) -> None:
    """Write what consensus orders into the state. Accounts that end up empty are removed (EIP-161)."""
    if not operations:
        return
    journal.begin_transaction()
    for operation in operations:
        match operation:
            case SetStorage(address, slot, value):
                journal.touch(address)
                journal.set_storage(address, slot, value)
            case SetBalance(address, balance):
                journal.set_balance(address, balance)
            case SetNonce(address, nonce):
                journal.set_nonce(address, nonce)
            case SetCode(address, code):
                journal.touch(address)
                journal.set_code(address, code)
            case RestoreState():
                pass  # block_run.py: it concerns the block, not the journal
    journal.end_transaction()


def apply_withdrawals(withdrawals: Iterable[Withdrawal], journal: JournaledState) -> None:
    """Credit withdrawals (EIP-4895). One of nothing to nobody leaves no account (EIP-161)."""
    journal.begin_transaction()
    for withdrawal in withdrawals:
        journal.add_balance(withdrawal.address, withdrawal.amount_gwei * GWEI)
    journal.end_transaction()


def collect_requests(
    logs: Iterable[Log], journal: JournaledState, block: BlockEnvironment, spec: Spec, vm: VirtualMachine
) -> tuple[bytes, ...]:
    """The block's execution requests, each type byte ‖ data, in order of type; empty ones left out (EIP-7685).

    Raises InvalidBlock where a deposit log has another layout, or a request contract is missing or fails.
    """
    requests: list[bytes] = []
    for source in spec.requests:
        data = _deposits(logs, source) if source.from_logs else _ask(source, journal, block, spec, vm)
        if data:
            requests.append(bytes((source.request_type,)) + data)
    return tuple(requests)


def requests_hash(requests: Sequence[bytes]) -> Hash32:
    """sha256 of the sha256 of each request that has data (EIP-7685)."""
    return Hash32(sha256(b"".join(sha256(request).digest() for request in requests if len(request) > 1)).digest())


def _ask(
    source: RequestSource, journal: JournaledState, block: BlockEnvironment, spec: Spec, vm: VirtualMachine
) -> bytes:
    if not journal.code(source.address):
        raise InvalidBlock(BlockReason.SYSTEM_CONTRACT_EMPTY, contract=source.address)
    outcome = system_call(source.address, b"", journal, block, spec, vm)
    if isinstance(outcome, Revert | Halt):
        raise InvalidBlock(
            BlockReason.SYSTEM_CONTRACT_CALL_FAILED,
            contract=source.address,
            outcome="revert" if isinstance(outcome, Revert) else outcome.reason.value,
        )
    return outcome.output


def _deposits(logs: Iterable[Log], source: RequestSource) -> bytes:
    deposits = [
        _deposit(log.data)
        for log in logs
        if log.address == source.address and log.topics and log.topics[0] == DEPOSIT_EVENT_TOPIC
    ]
    return b"".join(deposits)


def _deposit(data: bytes) -> bytes:
    """The 192-byte deposit in a DepositEvent's data, whose ABI layout must be the only usual one."""
    if len(data) != _DEPOSIT_EVENT_BYTES:
        raise InvalidBlock(
            BlockReason.INVALID_DEPOSIT_EVENT_LAYOUT, problem="length", log=len(data), ours=_DEPOSIT_EVENT_BYTES
        )
    fields: list[bytes] = []
    for index, (offset, size) in enumerate(_DEPOSIT_FIELDS):
        told_offset = int.from_bytes(data[32 * index : 32 * index + 32], "big")
        told_size = int.from_bytes(data[offset : offset + 32], "big")
        if told_offset != offset or told_size != size:
            raise InvalidBlock(
                BlockReason.INVALID_DEPOSIT_EVENT_LAYOUT,
                problem=f"field {index}",
                log=f"{told_size} bytes at {told_offset}",
                ours=f"{size} bytes at {offset}",
            )
        fields.append(data[offset + 32 : offset + 32 + size])
    return b"".join(fields)
