"""eth: running code that changes nothing: call, estimateGas, createAccessList."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final

from node.evm.frame import BrokenOff, Frame
from node.evm.host import Host
from node.evm.machine import FrameResult, MessageMachine, Tracer, VirtualMachine
from node.evm.message import BlockEnvironment, Message, TransactionEnvironment
from node.evm.outcome import Outcome
from node.evm.spec import Spec
from node.execution.block_run import block_environment
from node.execution.calls import (
    CallRequest,
    CallResult,
    ExecutionHalted,
    ExecutionReverted,
    GasRequiredExceedsAllowance,
    call,
    call_in,
    create_access_list,
    estimate_gas,
)
from node.execution.geth_words import geth_message
from node.execution.overrides import BlockOverrides, OverrideError, with_moved_precompiles
from node.primitives.hexadecimal import to_data, to_quantity
from node.primitives.scalars import ZERO_HASH, Hash32
from node.rpc import encoding
from node.rpc.api import Api
from node.rpc.brief_calls import BriefMachine
from node.rpc.call_parameters import call_request
from node.rpc.errors import RpcError, check_outcome, execution_reverted, outcome_words, refused
from node.rpc.methods import MethodTable
from node.rpc.override_parameters import StateOverrides, block_overrides, state_overrides
from node.rpc.parameters import BlockId, Tag
from node.rpc.work_lane import Deadline
from node.state.overrides import overridden
from node.state.view import StateView
from node.types.blocks import Header
from node.types.invalid import InvalidTransaction

METHODS: Final = MethodTable(
    {CallRequest: call_request, StateOverrides: state_overrides, BlockOverrides: block_overrides}
)
method = METHODS.method

Json = dict[str, Any]


class TimedMachine(MessageMachine):
    """A machine that stops between frames once the time is up. Inside what runs in one piece gas is the bound."""

    def __init__(self, machine: VirtualMachine, deadline: Deadline) -> None:
        self._machine = machine
        self._deadline = deadline

    def run_frame(self, frame: Frame, tracer: Tracer | None = None) -> FrameResult:
        """As the machine inside. Raises RpcError."""
        self._deadline.check()
        return self._machine.run_frame(frame, tracer)

    def run_message(
        self, message: Message, host: Host, block: BlockEnvironment, tx: TransactionEnvironment, spec: Spec
    ) -> Outcome | None:
        """As the machine inside, if it can. Raises RpcError."""
        self._deadline.check()
        if not isinstance(self._machine, MessageMachine):
            return None
        return self._machine.run_message(message, host, block, tx, spec)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run stands on: everything of ``calls.call`` but the request."""

    view: StateView
    header: Header
    spec: Spec
    machine: TimedMachine
    chain_id: int
    block_hash: Callable[[int], Hash32]
    gas_cap: int
    block: BlockOverrides | None


def surroundings(
    api: Api,
    block: BlockId,
    state: StateOverrides | None = None,
    changes: BlockOverrides | None = None,
    deadline: Deadline | None = None,
) -> Surroundings:
    """State, rules and block for a call, with what the caller wants otherwise. Raises RpcError."""
    backend, chain = api.backend, api.backend.chain
    header, view = api.blocks.state(block)
    return Surroundings(
        view=view if state is None else overridden(view, state.accounts),
        header=header,
        spec=rules(api, header, state, changes),
        machine=TimedMachine(backend.vm, deadline or api.lane.deadline()),
        chain_id=chain.chain_id,
        block_hash=known_hashes(api, header),
        gas_cap=backend.limits.gas_cap,
        block=changes,
    )


def rules(api: Api, header: Header, state: StateOverrides | None, changes: BlockOverrides | None) -> Spec:
    """The fork at the block's (changed) number and time, its precompiles where they were moved. Raises RpcError."""
    if changes is not None and (changes.number is not None or changes.time is not None):
        header = replace(
            header,
            number=header.number if changes.number is None else changes.number,
            timestamp=header.timestamp if changes.time is None else changes.time,
        )
    spec = api.backend.chain.spec_for(header)
    if state is None:
        return spec
    try:
        return with_moved_precompiles(spec, state.moves)
    except OverrideError as error:
        raise refused(str(error)) from None


def known_hashes(api: Api, header: Header) -> Callable[[int], Hash32]:
    """BLOCKHASH in (or on) this block; 0 for numbers that an override pretends to have passed."""
    chain = api.backend.chain
    parent = chain.header_by_hash(header.parent_hash) or header
    block_hash = chain.block_hashes(parent)
    return lambda number: block_hash(number) if number <= parent.number else ZERO_HASH


def check_chain(request: CallRequest, chain_id: int) -> None:
    """A call that names a chain must mean this one. Raises RpcError."""
    if request.chain_id is not None and request.chain_id != chain_id:
        raise refused(f"chainId does not match node's (have={request.chain_id}, want={chain_id})")


def run_in_words(function: Callable[..., Any], request: CallRequest, on: Surroundings) -> Any:
    """One of the functions of execution/calls.py, its refusals in geth's words. Raises RpcError."""
    check_chain(request, on.chain_id)
    try:
        return function(
            request, on.view, on.header, on.spec, on.machine, on.chain_id, on.block_hash, on.gas_cap, on.block
        )
    except InvalidTransaction as error:
        raise _refused_call(error, request, on.gas_cap) from error
    except ExecutionReverted as error:
        raise execution_reverted(error.data) from error
    except (ExecutionHalted, GasRequiredExceedsAllowance) as error:
        raise refused(str(error)) from error


def _refused_call(error: InvalidTransaction, request: CallRequest, gas_cap: int) -> RpcError:
    return refused(f"err: {geth_message(error)} (supplied gas {request.gas or gas_cap})")


@method("eth_call")
def eth_call(
    api: Api,
    request: CallRequest,
    block: BlockId = Tag.LATEST,
    state: StateOverrides | None = None,
    changes: BlockOverrides | None = None,
) -> str | Coroutine[Any, Any, str]:
    """What the call returns. A revert is error 3 with its bytes."""
    if state is None and changes is None and api.brief.may_begin(request):
        try:
            return _brief_call(api, request, block)
        except BrokenOff:
            api.brief.was_long(request)
        finally:
            api.brief.ended()
    return _call_in_lane(api, request, surroundings(api, block, state, changes))


def _brief_call(api: Api, request: CallRequest, block: BlockId) -> str:
    """On the event loop. Raises BrokenOff, or RpcError."""
    backend, chain = api.backend, api.backend.chain
    header, view = api.blocks.state(block)

    def make() -> tuple[Spec, BlockEnvironment]:
        spec = chain.spec_for(header)
        return spec, block_environment(header, spec, chain.chain_id, known_hashes(api, header))

    ground = api.brief.ground(header, view, make)
    if request.to in ground.spec.precompiles:
        raise BrokenOff
    check_chain(request, chain.chain_id)
    environment = ground.block if request.fee_cap or request.max_priority_fee_per_gas else ground.free
    machine, gas_cap = BriefMachine(backend.vm), backend.limits.gas_cap
    try:
        return _returned(call_in(request, view, environment, ground.spec, machine, gas_cap))
    except InvalidTransaction as error:
        raise _refused_call(error, request, gas_cap) from error


async def _call_in_lane(api: Api, request: CallRequest, on: Surroundings) -> str:
    return _returned(await api.lane.run(run_in_words, call, request, on))


def _returned(result: CallResult) -> str:
    return to_data(check_outcome(result.outcome))


@method("eth_estimateGas")
async def eth_estimate_gas(
    api: Api,
    request: CallRequest,
    block: BlockId = Tag.PENDING,
    state: StateOverrides | None = None,
    changes: BlockOverrides | None = None,
) -> str:
    """A gas limit with which the transaction succeeds: after what waits in the pool, unless told otherwise.

    So a call of a contract that is being deployed gets an answer (anvil's and hardhat's default; geth's is latest).
    """
    return to_quantity(
        await api.lane.run(run_in_words, estimate_gas, request, surroundings(api, block, state, changes))
    )


@method("eth_createAccessList")
async def eth_create_access_list(
    api: Api, request: CallRequest, block: BlockId = Tag.LATEST, state: StateOverrides | None = None
) -> Json:
    """The accounts and slots that the call touches, and the gas it uses with that list; ``error`` where it fails."""
    result = await api.lane.run(run_in_words, create_access_list, request, surroundings(api, block, state))
    told: Json = {
        "accessList": encoding.access_list(result.access_list),
        "gasUsed": to_quantity(result.gas_used),
    }
    words = outcome_words(result.outcome)
    if words is not None:
        told["error"] = words
    return told
