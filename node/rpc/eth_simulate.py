"""eth_simulateV1: blocks of calls on a state, overrides before each block, answers like real blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from node.evm.outcome import Revert, Success
from node.evm.tracers.words import failure
from node.execution.geth_words import geth_message
from node.execution.overrides import OverrideError
from node.execution.simulation import (
    BLOCKS_MAX,
    Ground,
    SimulatedBlock,
    SimulatedCall,
    SimulatedResult,
    SimulationError,
    Trouble,
    simulate,
)
from node.primitives.hexadecimal import to_data, to_quantity
from node.rpc import encoding
from node.rpc.api import Api
from node.rpc.call_parameters import call_request
from node.rpc.errors import INTERNAL_ERROR, INVALID_PARAMS, RpcError, execution_reverted, invalid_params, refused
from node.rpc.eth_calls import TimedMachine, check_chain
from node.rpc.methods import MethodTable
from node.rpc.override_parameters import NO_OVERRIDES, read_block_overrides, state_overrides
from node.rpc.parameters import BlockId, Tag, address, boolean, fields, hash32, items, quantity64
from node.types.blocks import Block, Withdrawal
from node.types.invalid import InvalidBlock, InvalidTransaction, TransactionReason
from node.types.transactions import LEGACY

Json = dict[str, Any]

CALLS_MAX: Final = 1_024
"""Of one block."""
WITHDRAWALS_MAX: Final = 1_024
VM_ERROR: Final = -32015
_CODES: Final[Mapping[TransactionReason, int]] = {
    TransactionReason.NONCE_MISMATCH_TOO_LOW: -38010,
    TransactionReason.NONCE_MISMATCH_TOO_HIGH: -38011,
    TransactionReason.INSUFFICIENT_MAX_FEE_PER_GAS: -38012,
    TransactionReason.INTRINSIC_GAS_TOO_LOW: -38013,
    TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS: -38014,
    TransactionReason.SENDER_NOT_EOA: -38024,
    TransactionReason.INITCODE_SIZE_EXCEEDED: -38025,
    TransactionReason.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS: INVALID_PARAMS,
}
"""geth's; for all others it says internal error."""
_TROUBLES: Final[Mapping[Trouble, int]] = {
    Trouble.BLOCK_GAS: -38015,
    Trouble.BLOCK_NUMBER: -38020,
    Trouble.BLOCK_TIME: -38021,
    Trouble.TOO_MANY_BLOCKS: -38026,
}


@dataclass(frozen=True, slots=True)
class SimulationRequest:
    """The method's first argument."""

    blocks: tuple[SimulatedBlock, ...]
    transfers: bool
    validation: bool
    full_transactions: bool


def simulation_request(value: object) -> SimulationRequest:
    """Read the object. Raises ParameterError."""
    given = fields(value, "simulation")
    calls = given.get("blockStateCalls")
    blocks = () if calls is None else tuple(_block(block) for block in items(calls, "blockStateCalls"))

    def flag(name: str) -> bool:
        found = given.get(name)
        return found is not None and boolean(found)

    return SimulationRequest(
        blocks=blocks,
        transfers=flag("traceTransfers"),
        validation=flag("validation"),
        full_transactions=flag("returnFullTransactions"),
    )


def _block(value: object) -> SimulatedBlock:
    given = fields(value, "blockStateCalls entry")
    changes = fields(given.get("blockOverrides") or {}, "blockOverrides")
    state = given.get("stateOverrides")
    accounts = NO_OVERRIDES if state is None else state_overrides(state)
    calls = given.get("calls")
    beacon_root, withdrawals = changes.get("beaconRoot"), changes.get("withdrawals")
    return SimulatedBlock(
        overrides=read_block_overrides(changes),
        beacon_root=None if beacon_root is None else hash32(beacon_root),
        withdrawals=() if withdrawals is None else read_withdrawals(withdrawals),
        accounts=accounts.accounts,
        moves=accounts.moves,
        calls=() if calls is None else tuple(call_request(call) for call in items(calls, "calls", CALLS_MAX)),
    )


def read_withdrawals(value: object) -> tuple[Withdrawal, ...]:
    """A list of withdrawals. Raises ParameterError."""
    return tuple(_withdrawal(item) for item in items(value, "withdrawals", WITHDRAWALS_MAX))


def _withdrawal(value: object) -> Withdrawal:
    given = fields(value, "withdrawal")
    return Withdrawal(
        index=quantity64(given.get("index")),
        validator_index=quantity64(given.get("validatorIndex")),
        address=address(given.get("address")),
        amount_gwei=quantity64(given.get("amount")),
    )


METHODS: Final = MethodTable({SimulationRequest: simulation_request})
method = METHODS.method


@method("eth_simulateV1")
async def eth_simulate(api: Api, request: SimulationRequest, block: BlockId = Tag.LATEST) -> list[Json]:
    """Each block as eth_getBlockBy* shows it, with ``calls``: output, logs, gas and status of each."""
    if not request.blocks:
        raise invalid_params("empty input")
    if len(request.blocks) > BLOCKS_MAX:
        raise RpcError(_TROUBLES[Trouble.TOO_MANY_BLOCKS], "too many blocks")
    chain = api.backend.chain
    header, view = api.blocks.committed(block)
    ground = Ground(
        header=header,
        view=view,
        nodes=chain.nodes_at(chain.head if block is Tag.PENDING else header),
        spec_of=chain.spec_for,
        block_hash=chain.block_hashes(header),
        chain_id=chain.chain_id,
        vm=TimedMachine(api.backend.vm, api.lane.deadline()),
        gas_cap=api.backend.limits.gas_cap,
        validation=request.validation,
        transfers=request.transfers,
    )
    told: list[Json] = await api.lane.run(_simulate, ground, request)
    return told


def _simulate(ground: Ground, request: SimulationRequest) -> list[Json]:
    """Raises RpcError."""
    for block in request.blocks:
        for call in block.calls:
            check_chain(call, ground.chain_id)
    try:
        results = simulate(ground, request.blocks)
    except SimulationError as error:
        raise RpcError(_TROUBLES[error.trouble], str(error)) from None
    except InvalidTransaction as error:
        words = f"err: {geth_message(error)} (supplied gas {error.facts.get('supplied_gas', 0)})"
        raise RpcError(_CODES.get(error.reason, INTERNAL_ERROR), words) from None
    except (OverrideError, InvalidBlock) as error:
        raise refused(str(error)) from None
    return [_told(result, request.full_transactions) for result in results]


def _told(result: SimulatedResult, full_transactions: bool) -> Json:
    block = result.block
    told = encoding.block(block, full_transactions)
    if full_transactions:
        for shown, tx in zip(told["transactions"], block.transactions, strict=True):
            if tx.type == LEGACY:
                shown["v"] = "0x0"  # nobody signed it
    told["calls"] = [_call(block, index, call) for index, call in enumerate(result.calls)]
    return told


def _call(block: Block, index: int, call: SimulatedCall) -> Json:
    outcome = call.result.outcome
    succeeded = isinstance(outcome, Success)
    told: Json = {
        "returnData": to_data(outcome.output if succeeded else b""),
        "logs": [
            encoding.log(log, block.header, block.transactions[index].hash, index, number) for log, number in call.logs
        ],
        "gasUsed": to_quantity(call.result.gas_used),
        "maxUsedGas": to_quantity(call.result.gas_used_before_refund),
        "status": "0x1" if succeeded else "0x0",
    }
    if isinstance(outcome, Revert):
        told["error"] = execution_reverted(outcome.output).to_json()
    elif not succeeded:
        told["error"] = {"message": failure(outcome), "code": VM_ERROR}
    return told
