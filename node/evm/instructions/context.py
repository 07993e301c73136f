"""ADDRESS .. EXTCODEHASH, call data, code and return data: what the frame can look at."""

from __future__ import annotations

from node.evm.frame import Frame
from node.evm.gas import account_access, words
from node.evm.outcome import FrameHalted, HaltReason
from node.primitives.scalars import word_to_address


def address(frame: Frame) -> None:
    """Who runs."""
    frame.stack.append(int.from_bytes(frame.address, "big"))


def origin(frame: Frame) -> None:
    """Who sent the transaction."""
    frame.stack.append(int.from_bytes(frame.transaction.origin, "big"))


def caller(frame: Frame) -> None:
    """Who sent this message."""
    frame.stack.append(int.from_bytes(frame.message.caller, "big"))


def callvalue(frame: Frame) -> None:
    """Wei that this message carries."""
    frame.stack.append(frame.message.value)


def gasprice(frame: Frame) -> None:
    """Wei a gas that the transaction pays."""
    frame.stack.append(frame.transaction.gas_price)


# --- call data, code, return data ---


def calldataload(frame: Frame) -> None:
    """The word at an offset of the call data; 0 behind its end."""
    stack = frame.stack
    offset = stack[-1]
    piece = frame.message.data[offset : offset + 32]
    stack[-1] = int.from_bytes(piece, "big") << (8 * (32 - len(piece)))


def calldatasize(frame: Frame) -> None:
    """Bytes of call data."""
    frame.stack.append(len(frame.message.data))


def calldatacopy(frame: Frame) -> None:
    """Call data to memory."""
    copy_to_memory(frame, frame.message.data)


def codesize(frame: Frame) -> None:
    """Bytes of the code that runs."""
    frame.stack.append(frame.code.size)


def codecopy(frame: Frame) -> None:
    """The code that runs, to memory."""
    copy_to_memory(frame, frame.message.code)


def returndatasize(frame: Frame) -> None:
    """Bytes of the last child's output (EIP-211)."""
    frame.stack.append(len(frame.return_data))


def returndatacopy(frame: Frame) -> None:
    """The last child's output to memory; unlike other copies it may not read behind the end (EIP-211)."""
    _, offset, size = frame.stack[-1:-4:-1]
    if offset + size > len(frame.return_data):
        raise FrameHalted(HaltReason.RETURN_DATA_OUT_OF_BOUNDS)
    copy_to_memory(frame, frame.return_data)


def copy_to_memory(frame: Frame, data: bytes) -> None:
    """The shared body of the copying instructions: (target, source, size) on the stack; zeros behind the end."""
    # stack
    stack = frame.stack
    target = stack.pop()
    source = stack.pop()
    size = stack.pop()
    # gas
    frame.charge(frame.prices.copy_word * words(size))
    frame.expand(target, size)
    # operation
    if size:
        frame.memory[target : target + size] = data[source : source + size].ljust(size, b"\x00")


# --- other accounts ---


def balance(frame: Frame) -> None:
    """Wei of an account."""
    stack = frame.stack
    account = word_to_address(stack[-1])
    frame.charge(account_access(frame, account))
    stack[-1] = frame.host.balance(account)


def selfbalance(frame: Frame) -> None:
    """Wei of the account that runs (EIP-1884)."""
    frame.stack.append(frame.host.balance(frame.address))


def extcodesize(frame: Frame) -> None:
    """Bytes of an account's code; 23 for a delegated one, whose designator is its code (EIP-7702)."""
    stack = frame.stack
    account = word_to_address(stack[-1])
    frame.charge(account_access(frame, account))
    stack[-1] = len(frame.host.code(account))


def extcodecopy(frame: Frame) -> None:
    """An account's code to memory; a delegated one shows its designator (EIP-7702)."""
    account = word_to_address(frame.stack.pop())
    frame.charge(account_access(frame, account))
    copy_to_memory(frame, frame.host.code(account))


def extcodehash(frame: Frame) -> None:
    """Hash of an account's code, 0 for an account that is empty or not there (EIP-1052)."""
    stack = frame.stack
    account = word_to_address(stack[-1])
    frame.charge(account_access(frame, account))
    host = frame.host
    stack[-1] = int.from_bytes(host.code_hash(account), "big") if host.is_alive(account) else 0
