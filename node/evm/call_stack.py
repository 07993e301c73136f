"""Runs a message to its end: a list of frames instead of Python's stack, so depth 1024 costs no recursion.

execute_message -> enter (checkpoint, value, precompile) -> run_frame -> leave (rollback, code deposit) -> outcome
                      ^                                        | ChildCall                             |
                      +---------- suspended frames ------------+ <--------------- resume --------------+
"""

from __future__ import annotations

from typing import Final

from node.evm.code import Code, CodeCache
from node.evm.frame import ChildCall, Frame
from node.evm.host import Host
from node.evm.machine import MessageMachine, Tracer, VirtualMachine
from node.evm.message import BlockEnvironment, Message, TransactionEnvironment
from node.evm.outcome import Halt, HaltReason, Outcome, Success
from node.evm.spec import Spec

CODES: Final = CodeCache(bytes_max=8 * 2**20)
"""Shared by all runs in this process: analyses depend on the code alone."""


def execute_message(
    message: Message,
    host: Host,
    block: BlockEnvironment,
    tx: TransactionEnvironment,
    spec: Spec,
    vm: VirtualMachine,
    tracer: Tracer | None = None,
) -> Outcome:
    """Run ``message`` and every message it leads to. Changes stay in ``host`` only where the outcome is Success.

    For a creation ``message.target`` is the new address; the caller has already raised the sender's nonce and
    checked its balance. Never raises for anything that code or its sender can do.
    """
    if tracer is None and isinstance(vm, MessageMachine):
        whole = vm.run_message(message, host, block, tx, spec)
        if whole is not None:
            return whole
    suspended: list[tuple[Frame, ChildCall]] = []
    running = enter(message, host, block, tx, spec, tracer)
    while True:
        if isinstance(running, Frame):
            result = vm.run_frame(running, tracer)
            if isinstance(result, ChildCall):
                suspended.append((running, result))
                if result.refused is None:
                    running = enter(result.message, host, block, tx, spec, tracer)
                else:
                    running = refuse(result, tracer)
                continue
            outcome = leave(running, result)
            if tracer is not None:
                tracer.exit(running.message, outcome)
        else:
            outcome = running
        if not suspended:
            return outcome
        running, child = suspended.pop()
        resume(running, child, outcome)


def enter(
    message: Message,
    host: Host,
    block: BlockEnvironment,
    tx: TransactionEnvironment,
    spec: Spec,
    tracer: Tracer | None,
) -> Frame | Outcome:
    """Begin a message: a frame to run, or its outcome where no code runs."""
    if tracer is not None:
        tracer.enter(message)
    begun = _begin(message, host, block, tx, spec)
    if tracer is not None and not isinstance(begun, Frame):
        tracer.exit(message, begun)
    return begun


def _begin(
    message: Message, host: Host, block: BlockEnvironment, tx: TransactionEnvironment, spec: Spec
) -> Frame | Outcome:
    if message.is_create and not host.can_create_at(message.target):
        return Halt(HaltReason.ADDRESS_COLLISION)
    checkpoint = host.checkpoint()
    if message.is_create:
        host.mark_created(message.target)
        if spec.contract_nonce:
            host.increment_nonce(message.target)  # EIP-161: a contract starts with nonce 1
    if message.transfers_value:
        host.transfer(message.caller, message.target, message.value)
    if message.is_create:
        code = Code(message.code)
    else:
        if not message.disable_precompiles and message.code_address in spec.precompiles:
            outcome = run_precompile(message, spec)
            if isinstance(outcome, Halt):
                host.rollback(checkpoint)
            return outcome
        code = CODES.get(message.code)
    if code.size == 0:
        return Success(message.gas, b"")
    return Frame(message, code, host, block, tx, spec, checkpoint)


def run_precompile(message: Message, spec: Spec) -> Outcome:
    """A call to one of the contracts that are not EVM code (Yellow Paper, appendix E)."""
    precompile = spec.precompiles[message.code_address]
    gas_left = message.gas - precompile.gas(message.data)
    if gas_left < 0:
        return Halt(HaltReason.OUT_OF_GAS)
    output = precompile.run(message.data)
    if output is None:
        return Halt(HaltReason.PRECOMPILE_FAILURE, precompile.name)
    return Success(gas_left, output)


def leave(frame: Frame, outcome: Outcome) -> Outcome:
    """End a frame: deposit the code of a creation, undo what a failed one did."""
    if frame.message.is_create and isinstance(outcome, Success):
        outcome = deposit_code(frame, outcome)
    if not isinstance(outcome, Success):
        frame.host.rollback(frame.checkpoint)
    return outcome


def deposit_code(frame: Frame, outcome: Success) -> Outcome:
    """Store what init code returned (Yellow Paper 7); refused codes halt the creation."""
    spec = frame.spec
    code = outcome.output
    if spec.rejects_ef_code and code.startswith(b"\xef"):  # EIP-3541
        return Halt(HaltReason.INVALID_CODE_PREFIX)
    if spec.code_size_max is not None and len(code) > spec.code_size_max:  # EIP-170
        return Halt(HaltReason.CODE_SIZE_EXCEEDED, f"{len(code)} bytes of {spec.code_size_max}")
    gas_left = outcome.gas_left - spec.gas.code_deposit_byte * len(code)
    if gas_left < 0:
        if not spec.unpaid_deposit_fails:  # before EIP-2
            return Success(outcome.gas_left, b"")
        return Halt(HaltReason.OUT_OF_GAS, "code deposit")
    if code:
        frame.host.set_code(frame.message.target, code)
    return Success(gas_left, code)


def refuse(child: ChildCall, tracer: Tracer | None) -> Outcome:
    """A child that must not run at all: its parent reads a failure."""
    assert child.refused is not None
    outcome = Halt(child.refused)
    if tracer is not None:
        tracer.enter(child.message)
        tracer.exit(child.message, outcome)
    return outcome


def resume(frame: Frame, child: ChildCall, outcome: Outcome) -> None:
    """Hand a child's outcome to the frame that asked for it (the second half of CALL and CREATE)."""
    message = child.message
    frame.gas += outcome.gas_left if child.refused is None else message.gas
    succeeded = isinstance(outcome, Success)
    if message.is_create:
        # only a revert leaves data: the output of a success is the deployed code (EIP-211)
        frame.return_data = b"" if succeeded else outcome.output
        frame.stack.append(int.from_bytes(message.target, "big") if succeeded else 0)
        return
    output = outcome.output
    frame.return_data = output
    frame.stack.append(1 if succeeded else 0)
    copied = min(child.output_size, len(output))
    if copied:
        frame.memory[child.output_offset : child.output_offset + copied] = output[:copied]
