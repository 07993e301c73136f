"""The CALL family, CREATE, CREATE2, SELFDESTRUCT: messages to others.

CALL and CREATE only ask: they pay, and return a ``ChildCall``. ``call_stack`` runs the child and resumes the frame.
"""

from __future__ import annotations

from node.evm.addresses import create2_address, create_address
from node.evm.frame import CALL_DEPTH_LIMIT, ChildCall, Frame
from node.evm.gas import account_access, all_but_one_64th, creates_account, words
from node.evm.host import delegation_target
from node.evm.message import CallKind, Message
from node.evm.outcome import FrameHalted, HaltReason, Success
from node.primitives.scalars import U64_MAX, Address, word_to_address


def call(frame: Frame) -> ChildCall:
    """Run another account's code as that account, with or without wei."""
    # stack
    pop = frame.stack.pop
    gas_wanted, to, value = pop(), word_to_address(pop()), pop()
    data, output_offset, output_size = _pay_for_memory(frame)
    # gas
    if value:
        frame.forbid_static()
    code_address, code, delegated = _resolve(frame, to)
    prices = frame.prices
    if creates_account(frame, to, value):
        frame.charge(prices.new_account)
    if value:
        frame.charge(prices.call_value)
    gas = _child_gas(frame, gas_wanted, prices.call_stipend if value else 0)
    # operation
    message = Message(
        CallKind.CALL,
        caller=frame.address,
        target=to,
        code_address=code_address,
        code=code,
        data=data,
        value=value,
        gas=gas,
        depth=frame.message.depth + 1,
        is_static=frame.is_static,
        disable_precompiles=delegated,
    )
    return ChildCall(message, output_offset, output_size, _refusal(frame, value))


def callcode(frame: Frame) -> ChildCall:
    """Run another account's code as this account; the value only shows, it moves from here to here."""
    # stack
    pop = frame.stack.pop
    gas_wanted, to, value = pop(), word_to_address(pop()), pop()
    data, output_offset, output_size = _pay_for_memory(frame)
    # gas
    code_address, code, delegated = _resolve(frame, to)
    prices = frame.prices
    if value:
        frame.charge(prices.call_value)
    gas = _child_gas(frame, gas_wanted, prices.call_stipend if value else 0)
    # operation
    message = Message(
        CallKind.CALLCODE,
        caller=frame.address,
        target=frame.address,
        code_address=code_address,
        code=code,
        data=data,
        value=value,
        gas=gas,
        depth=frame.message.depth + 1,
        is_static=frame.is_static,
        transfers_value=False,
        disable_precompiles=delegated,
    )
    return ChildCall(message, output_offset, output_size, _refusal(frame, value))


def delegatecall(frame: Frame) -> ChildCall:
    """Run another account's code as this account, with this frame's caller and value (EIP-7)."""
    # stack
    pop = frame.stack.pop
    gas_wanted, to = pop(), word_to_address(pop())
    data, output_offset, output_size = _pay_for_memory(frame)
    # gas
    code_address, code, delegated = _resolve(frame, to)
    gas = _child_gas(frame, gas_wanted, 0)
    # operation
    message = Message(
        CallKind.DELEGATECALL,
        caller=frame.message.caller,
        target=frame.address,
        code_address=code_address,
        code=code,
        data=data,
        value=frame.message.value,
        gas=gas,
        depth=frame.message.depth + 1,
        is_static=frame.is_static,
        transfers_value=False,
        disable_precompiles=delegated,
    )
    return ChildCall(message, output_offset, output_size, _refusal(frame, 0))


def staticcall(frame: Frame) -> ChildCall:
    """Run another account's code, which may change nothing (EIP-214)."""
    # stack
    pop = frame.stack.pop
    gas_wanted, to = pop(), word_to_address(pop())
    data, output_offset, output_size = _pay_for_memory(frame)
    # gas
    code_address, code, delegated = _resolve(frame, to)
    gas = _child_gas(frame, gas_wanted, 0)
    # operation
    message = Message(
        CallKind.STATICCALL,
        caller=frame.address,
        target=to,
        code_address=code_address,
        code=code,
        data=data,
        value=0,
        gas=gas,
        depth=frame.message.depth + 1,
        is_static=True,
        disable_precompiles=delegated,
    )
    return ChildCall(message, output_offset, output_size, _refusal(frame, 0))


def _pay_for_memory(frame: Frame) -> tuple[bytes, int, int]:
    """Take input and output areas from the stack: (call data, output offset, output size)."""
    pop = frame.stack.pop
    input_offset, input_size, output_offset, output_size = pop(), pop(), pop(), pop()
    frame.expand(input_offset, input_size)
    frame.expand(output_offset, output_size)
    return frame.read(input_offset, input_size), output_offset, output_size


def _resolve(frame: Frame, to: Address) -> tuple[Address, bytes, bool]:
    """Pay for touching ``to``; find whose code a call to it runs: its own, or its delegate's (code, True; EIP-7702).

    A delegate is touched and paid for, too, and followed once: a designator that it holds runs as code and halts.
    """
    frame.charge(account_access(frame, to))
    code = frame.host.code(to)
    if frame.spec.delegations and (delegate := delegation_target(code)) is not None:
        frame.charge(account_access(frame, delegate))
        return delegate, frame.host.code(delegate), True
    return to, code, False


def _child_gas(frame: Frame, wanted: int, stipend: int) -> int:
    """Charge what the child gets: what was asked for, at most all but a 64th; the stipend is on top (EIP-150).

    Where no 64th is kept, asking for more than there is ends the frame.
    """
    granted = min(wanted, all_but_one_64th(frame.gas)) if frame.spec.keeps_64th else wanted
    frame.gas -= granted  # lent, not used: no matter of the frame's floor
    if frame.gas < 0:
        raise FrameHalted(HaltReason.OUT_OF_GAS)
    return granted + stipend


def _refusal(frame: Frame, value: int) -> HaltReason | None:
    """Why the child must not run, if so; the frame that asked goes on."""
    if frame.message.depth >= CALL_DEPTH_LIMIT:
        return HaltReason.CALL_DEPTH
    if value and frame.host.balance(frame.address) < value:
        return HaltReason.INSUFFICIENT_BALANCE
    return None


# --- creation and its opposite ---


def create(frame: Frame) -> ChildCall:
    """A new contract at an address made of sender and nonce."""
    pop = frame.stack.pop
    value, offset, size = pop(), pop(), pop()
    _pay_for_init_code(frame, offset, size, word_price=frame.prices.initcode_word)
    init_code = frame.read(offset, size)
    nonce = frame.host.nonce(frame.address)
    return _ask_for_creation(frame, CallKind.CREATE, value, init_code, create_address(frame.address, nonce), nonce)


def create2(frame: Frame) -> ChildCall:
    """A new contract at an address made of sender, salt and init code (EIP-1014)."""
    pop = frame.stack.pop
    value, offset, size, salt = pop(), pop(), pop(), pop()
    prices = frame.prices
    _pay_for_init_code(frame, offset, size, word_price=prices.initcode_word + prices.keccak_word)
    init_code = frame.read(offset, size)
    target = create2_address(frame.address, salt.to_bytes(32, "big"), init_code)
    return _ask_for_creation(frame, CallKind.CREATE2, value, init_code, target, frame.host.nonce(frame.address))


def _pay_for_init_code(frame: Frame, offset: int, size: int, word_price: int) -> None:
    frame.forbid_static()
    limit = frame.spec.initcode_size_max
    if limit is not None and size > limit:  # EIP-3860
        raise FrameHalted(HaltReason.INITCODE_SIZE_EXCEEDED, f"{size} bytes of {limit}")
    frame.charge(word_price * words(size))
    frame.expand(offset, size)


def _ask_for_creation(
    frame: Frame, kind: CallKind, value: int, init_code: bytes, target: Address, nonce: int
) -> ChildCall:
    host = frame.host
    gas = all_but_one_64th(frame.gas) if frame.spec.keeps_64th else frame.gas
    frame.gas -= gas
    refused = _refusal(frame, value)
    if refused is None and nonce == U64_MAX:  # EIP-2681
        refused = HaltReason.NONCE_OVERFLOW
    if refused is None:
        # both outlive a failed creation
        host.increment_nonce(frame.address)
        host.access_address(target)
    message = Message(
        kind,
        caller=frame.address,
        target=target,
        code_address=target,
        code=init_code,
        data=b"",
        value=value,
        gas=gas,
        depth=frame.message.depth + 1,
    )
    return ChildCall(message, refused=refused)


def selfdestruct(frame: Frame) -> Success:
    """End and give everything to a beneficiary; the account goes too, by the fork's rule (EIP-6780)."""
    # stack
    beneficiary = word_to_address(frame.stack.pop())
    # gas
    frame.forbid_static()
    host = frame.host
    prices = frame.prices
    if host.access_address(beneficiary):
        frame.charge(prices.cold_account)
    if frame.spec.self_destruct_pays_new_account and creates_account(frame, beneficiary, host.balance(frame.address)):
        frame.charge(prices.new_account)
    # operation
    if prices.self_destruct_refund and not host.is_destroyed(frame.address):
        host.add_refund(prices.self_destruct_refund)
    host.self_destruct(frame.address, beneficiary, frame.spec.self_destruct_only_created)
    return Success(frame.gas, b"")
