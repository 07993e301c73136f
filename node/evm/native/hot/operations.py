"""How a unit does each instruction. What cannot be done here, or not be paid, leaves the unit before it begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from node.evm.native.hot.blocks import Step
from node.evm.native.hot.formulas import FORMULAS, exponent_bytes, product_quotient, signed_product_quotient
from node.evm.native.hot.rulebook import Rulebook
from node.evm.native.hot.services import (
    copy_call_data,
    copy_code,
    copy_memory,
    read_call_data,
    read_slot,
    read_transient,
    write_log,
    write_slot,
    write_transient,
)
from node.evm.native.hot.text import Text, Value
from node.evm.native.runtime.arithmetic import product_modulo_known
from node.evm.native.runtime.digests import hash_of, hash_of_pair
from node.evm.native.runtime.memory import BYTES_MAX, grow
from node.evm.native.runtime.moduli import product_modulo_again
from node.evm.native.runtime.records import Account, Frame, Run, Surroundings

EXPONENT_UNROLLED: Final = 16
"""Smaller constant exponents become multiplications."""
SMALL_MODULUS: Final = 2**64
PAIR: Final = 64
"""Bytes of a key and a slot, of which hashes are remembered."""
MEMORY_FLOOR: Final = 96
"""Bytes that a frame must have for its units to run: compilers' scratch space and free memory pointer."""


class Writer(Protocol):
    """What a block's writer lends."""

    text: Text
    rules: Rulebook
    code_size: int
    products: dict[str, tuple[Value, Value]]
    stale: bool

    def leave_if(self, condition: str) -> None:
        """The unit goes no further where this holds."""
        ...

    def point(self) -> str:
        """The label of where it leaves."""
        ...

    def read_memory(self, offset: Value, size: Value) -> None:
        """A piece of memory was looked at."""
        ...

    def wrote_memory(self, offset: Value, size: Value) -> None:
        """A piece of memory has changed."""
        ...

    def rest(self) -> str:
        """Gas behind this instruction's base gas that the block has taken already."""
        ...

    def charge(self, gas: int) -> None:
        """A price that is known before it runs."""
        ...


_BINARY: Final = {
    "arithmetic.add": "add",
    "arithmetic.mul": "mul",
    "arithmetic.sub": "sub",
    "bitwise.and_": "and",
    "bitwise.or_": "or",
    "bitwise.xor": "xor",
}
_COMPARISONS: Final = {
    "bitwise.lt": "ult",
    "bitwise.gt": "ugt",
    "bitwise.slt": "slt",
    "bitwise.sgt": "sgt",
    "bitwise.eq": "eq",
}
_SURROUNDINGS: Final = {
    "context.origin": "origin",
    "context.gasprice": "gas_price",
    "block.coinbase": "coinbase",
    "block.timestamp": "timestamp",
    "block.number": "number",
    "block.difficulty": "difficulty",
    "block.prevrandao": "prev_randao",
    "block.gaslimit": "gas_limit",
    "block.chainid": "chain_id",
    "block.basefee": "base_fee",
    "block.blobbasefee": "blob_base_fee",
}


def write(block: Writer, step: Step, operands: list[Value]) -> Value | None:
    """The word that the instruction pushes, if it pushes one."""
    text, plain = block.text, step.plain
    if plain in _BINARY:
        word = text.result(f"{_BINARY[plain]} i256 {operands[0]}, {operands[1]}")
        if plain == "arithmetic.mul":
            block.products[word] = operands[0], operands[1]
        return word
    if plain in _COMPARISONS:
        return _as_word(text, f"icmp {_COMPARISONS[plain]} i256 {operands[0]}, {operands[1]}")
    if plain == "bitwise.iszero":
        return _as_word(text, f"icmp eq i256 {operands[0]}, 0")
    if plain == "bitwise.not_":
        return text.result(f"xor i256 {operands[0]}, -1")
    if plain in _SURROUNDINGS:
        run = text.field("%frame", Frame, "run")
        return text.field(text.field(run, Run, "surroundings"), Surroundings, _SURROUNDINGS[plain])
    special = _SPECIAL.get(plain)
    if special is not None:
        return special(block, step, operands)
    return text.call(FORMULAS[plain], *operands)


def _as_word(text: Text, comparison: str) -> str:
    return text.result(f"zext i1 {text.result(comparison)} to i256")


def _widened(text: Text, value: str) -> str:
    return text.result(f"zext i64 {value} to i256")


# --- arithmetic ---


def _quotient(block: Writer, step: Step, operands: list[Value]) -> Value:
    """Division; of a product by one of its factors, the check for an overflow, it is a comparison."""
    product, divisor = operands
    factors = block.products.get(product) if isinstance(product, str) else None
    if factors is not None and divisor in factors:
        factor = factors[1] if factors[0] == divisor else factors[0]
        check = product_quotient if step.plain == "arithmetic.div" else signed_product_quotient
        return block.text.call(check, product, divisor, factor)
    return block.text.call(FORMULAS[step.plain], *operands)


def _product_modulo(block: Writer, step: Step, operands: list[Value]) -> Value:
    """Of a modulus that is known its inverse is computed here."""
    a, b, modulus = operands
    if not isinstance(modulus, int):
        return block.text.call(product_modulo_again, block.text.field("%frame", Frame, "run"), a, b, modulus)
    if modulus < SMALL_MODULUS:
        return block.text.call(FORMULAS[step.plain], *operands)
    bits = 256 - modulus.bit_length()
    shifted = modulus << bits
    return block.text.call(product_modulo_known, a, b, shifted, (2**512 - 1) // shifted - 2**256, bits)


def _power(block: Writer, step: Step, operands: list[Value]) -> Value:
    base, exponent = operands
    text, price = block.text, block.rules.exp_byte
    if isinstance(exponent, int):
        block.charge(price * ((exponent.bit_length() + 7) // 8))
        if exponent >= EXPONENT_UNROLLED:
            return text.call(FORMULAS[step.plain], base, exponent)
        result: Value = 1
        while exponent:
            if exponent & 1:
                result = base if result == 1 else text.result(f"mul i256 {result}, {base}")
            exponent >>= 1
            if exponent:
                base = text.result(f"mul i256 {base}, {base}")
        return result
    cost = text.result(f"mul i64 {text.call(exponent_bytes, exponent)}, {price}")
    _pay(block, cost)
    return text.call(FORMULAS[step.plain], base, exponent)


def _pay(block: Writer, cost: str) -> None:
    """A price that only this run knows."""
    text = block.text
    left = text.result(f"sub i64 {text.result('load i64, ptr %gas')}, {cost}")
    block.leave_if(text.result(f"icmp slt i64 {left}, 0"))
    text.emit(f"store i64 {left}, ptr %gas")
    block.stale = True


# --- memory ---


def _have_memory(block: Writer, offset: Value, size: int) -> str:
    """Memory up to ``offset + size``, paid; the offset in 64 bits."""
    text = block.text
    if isinstance(offset, int):
        if offset > BYTES_MAX:
            block.leave_if("true")
            return "0"
        if offset + size > MEMORY_FLOOR:
            _grow_to(block, str(offset + size))
        return str(offset)
    block.leave_if(text.result(f"icmp ugt i256 {offset}, {BYTES_MAX}"))
    place = text.result(f"trunc i256 {offset} to i64")
    _grow_to(block, text.result(f"add i64 {place}, {size}"))
    return place


def _grow_to(block: Writer, end: str) -> None:
    """Growing leaves nothing that could not be done again: memory that is there costs nothing the second time."""
    text = block.text
    grows, on = text.fresh(), text.fresh()
    short = text.result(f"icmp ugt i64 {end}, {text.result('load i64, ptr %size')}")
    text.emit(f"br i1 {short}, label %{grows}, label %{on}, !prof !1")
    text.label(grows)
    left = text.call(grow, "%frame", text.result("load i64, ptr %gas"), end)
    block.leave_if(text.result(f"icmp slt i64 {left}, 0"))
    text.emit(f"store i64 {left}, ptr %gas")
    text.emit(f"store i64 {text.field('%frame', Frame, 'memory_size')}, ptr %size")
    text.emit(f"br label %{on}")
    text.label(on)


def _swapped(text: Text, word: Value) -> Value:
    if isinstance(word, int):
        return int.from_bytes(word.to_bytes(32, "little"), "big")
    return text.intrinsic("llvm.bswap.i256", f"i256 {word}")


def _load(block: Writer, step: Step, operands: list[Value]) -> Value:
    text = block.text
    place = text.place("%memory", _have_memory(block, operands[0], 32))
    block.read_memory(operands[0], 32)
    return _swapped(text, text.result(f"load i256, ptr {place}, align 1"))


def _store(block: Writer, step: Step, operands: list[Value]) -> None:
    text = block.text
    place = text.place("%memory", _have_memory(block, operands[0], 32))
    text.emit(f"store i256 {_swapped(text, operands[1])}, ptr {place}, align 1")
    block.wrote_memory(operands[0], 32)


def _store_byte(block: Writer, step: Step, operands: list[Value]) -> None:
    text = block.text
    place = text.place("%memory", _have_memory(block, operands[0], 1))
    text.emit(f"store i8 {text.result(f'trunc i256 {operands[1]} to i8')}, ptr {place}, align 1")
    block.wrote_memory(operands[0], 1)


def _memory_size(block: Writer, step: Step, operands: list[Value]) -> Value:
    block.point()
    block.stale = True  # memory that grows later in the block must not be seen here the second time
    return _widened(block.text, block.text.result("load i64, ptr %size"))


def _piece(block: Writer, offset: Value, size: Value) -> tuple[str, str]:
    """A piece of memory, grown and paid: offset and size in 64 bits."""
    text = block.text
    if isinstance(size, int):
        if size == 0:
            return "0", "0"
        if size > BYTES_MAX:
            block.leave_if("true")
            return "0", "0"
        return _have_memory(block, offset, size), str(size)
    block.leave_if(text.result(f"icmp ugt i256 {size}, {BYTES_MAX}"))
    empty = text.result(f"icmp eq i256 {size}, 0")
    begin = text.result(f"select i1 {empty}, i256 0, i256 {offset}")
    block.leave_if(text.result(f"icmp ugt i256 {begin}, {BYTES_MAX}"))
    place, length = text.result(f"trunc i256 {begin} to i64"), text.result(f"trunc i256 {size} to i64")
    _grow_to(block, text.result(f"add i64 {place}, {length}"))
    return place, length


def _hash(block: Writer, step: Step, operands: list[Value]) -> Value:
    offset, size = operands
    text = block.text
    place, length = _paid_piece(block, offset, size, block.rules.keccak_word)
    block.read_memory(offset, size)
    data = text.place("%memory", place)
    if size == PAIR:
        return text.call(hash_of_pair, text.field("%frame", Frame, "run"), data)
    return text.call(hash_of, data, length)


def _copy(block: Writer, step: Step, operands: list[Value]) -> None:
    """CALLDATACOPY and CODECOPY."""
    target, source, size = operands
    place, length = _paid_piece(block, target, size, block.rules.copy_word)
    function = copy_call_data if step.plain == "context.calldatacopy" else copy_code
    block.text.call(function, "%frame", place, source, length)
    block.wrote_memory(target, size)


def _copy_inside(block: Writer, step: Step, operands: list[Value]) -> None:
    """MCOPY: both pieces are there when the one that lies further behind is."""
    target, source, size = operands
    text = block.text
    if size == 0:
        return
    if isinstance(target, int) and isinstance(source, int):
        behind: Value = max(target, source)
    else:
        is_target = text.result(f"icmp ugt i256 {target}, {source}")
        behind = text.result(f"select i1 {is_target}, i256 {target}, i256 {source}")
    _, length = _paid_piece(block, behind, size, block.rules.copy_word)
    begin, other = (text.result(f"trunc i256 {offset} to i64") for offset in (target, source))
    text.call(copy_memory, "%frame", begin, other, length)
    block.read_memory(source, size)
    block.wrote_memory(target, size)


def _paid_piece(block: Writer, offset: Value, size: Value, price: int) -> tuple[str, str]:
    """A piece of memory, grown, and paid by its words: offset and size in 64 bits."""
    text = block.text
    if isinstance(size, int) and size <= BYTES_MAX:
        block.charge(price * ((size + 31) // 32))
        return _piece(block, offset, size)
    place, length = _piece(block, offset, size)
    words = text.result(f"lshr i64 {text.result(f'add i64 {length}, 31')}, 5")
    _pay(block, text.result(f"mul i64 {words}, {price}"))
    return place, length


# --- storage and logs ---


def _read(block: Writer, step: Step, operands: list[Value]) -> Value:
    text = block.text
    word = text.shared("i256")
    function = read_slot if step.plain == "storage.sload" else read_transient
    left = text.call(function, "%frame", text.result("load i64, ptr %gas"), operands[0], word)
    block.leave_if(text.result(f"icmp slt i64 {left}, 0"))
    text.emit(f"store i64 {left}, ptr %gas")
    block.stale = True
    return text.result(f"load i256, ptr {word}")


def _write(block: Writer, step: Step, operands: list[Value]) -> None:
    text = block.text
    gas = text.result("load i64, ptr %gas")
    if step.plain == "storage.sstore":
        whole = text.result(f"add i64 {gas}, {block.rest()}")
        left = text.call(write_slot, "%frame", gas, whole, *operands)
    else:
        left = text.call(write_transient, "%frame", gas, *operands)
    block.leave_if(text.result(f"icmp slt i64 {left}, 0"))
    text.emit(f"store i64 {left}, ptr %gas")
    block.stale = True


def _log(block: Writer, step: Step, operands: list[Value]) -> None:
    offset, size, *topics = operands
    text, price = block.text, block.rules.log_data_byte
    if isinstance(size, int) and size <= BYTES_MAX:
        block.charge(price * size)
    place, length = _piece(block, offset, size)
    if not (isinstance(size, int) and size <= BYTES_MAX):
        _pay(block, text.result(f"mul i64 {length}, {price}"))
    words = text.shared("[4 x i256]")
    for number, topic in enumerate(topics):
        text.emit(f"store i256 {topic}, ptr {text.place(words, 32 * number)}, align 8")
    done = text.call(write_log, "%frame", place, length, len(topics), words)
    block.leave_if(text.result(f"icmp eq i64 {done}, 0"))
    block.stale = True


# --- what lies ready ---


def _call_data(block: Writer, step: Step, operands: list[Value]) -> Value:
    text = block.text
    word = text.shared("i256")
    text.call(read_call_data, "%frame", operands[0], word)
    return _swapped(text, text.result(f"load i256, ptr {word}"))


def _frame_word(name: str) -> Callable[[Writer, Step, list[Value]], Value]:
    return lambda block, step, operands: block.text.field("%frame", Frame, name)


def _account_word(name: str) -> Callable[[Writer, Step, list[Value]], Value]:
    return lambda block, step, operands: block.text.field(block.text.field("%frame", Frame, "account"), Account, name)


def _call_data_size(block: Writer, step: Step, operands: list[Value]) -> Value:
    return _widened(block.text, block.text.field("%frame", Frame, "data_size"))


def _returned_size(block: Writer, step: Step, operands: list[Value]) -> Value:
    return _widened(block.text, block.text.field(block.text.field("%frame", Frame, "run"), Run, "returned_size"))


def _gas(block: Writer, step: Step, operands: list[Value]) -> Value:
    text = block.text
    left = text.result(f"add i64 {text.result('load i64, ptr %gas')}, {block.rest()}")
    block.point()
    block.stale = True  # what memory costs later in the block must not be missing here the second time
    return _widened(text, left)


_SPECIAL: Final[dict[str, Callable[[Writer, Step, list[Value]], Value | None]]] = {
    "arithmetic.div": _quotient,
    "arithmetic.sdiv": _quotient,
    "arithmetic.mulmod": _product_modulo,
    "arithmetic.exp": _power,
    "memory.keccak": _hash,
    "memory.mload": _load,
    "memory.mstore": _store,
    "memory.mstore8": _store_byte,
    "memory.msize": _memory_size,
    "memory.mcopy": _copy_inside,
    "context.calldatacopy": _copy,
    "context.codecopy": _copy,
    "storage.sload": _read,
    "storage.tload": _read,
    "storage.sstore": _write,
    "storage.tstore": _write,
    "logs.log": _log,
    "context.calldataload": _call_data,
    "context.calldatasize": _call_data_size,
    "context.codesize": lambda block, step, operands: block.code_size,
    "context.returndatasize": _returned_size,
    "context.address": _account_word("address"),
    "context.selfbalance": _account_word("balance"),
    "context.caller": _frame_word("caller"),
    "context.callvalue": _frame_word("value"),
    "control.pc": lambda block, step, operands: step.pc,
    "control.gas": _gas,
}
