"""Expressions of restricted Python as LLVM instructions.

What Python computes exactly, this computes modulo the width; what would be undefined in LLVM has a result here:
a shift by the width or more gives 0 (or the sign), and division by 0 gives 0. No division is wider than 64 bits,
because LLVM makes a loop of one step a bit of it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from node.evm.native.compiler import intrinsics
from node.evm.native.compiler.types import (
    BOOL,
    I64,
    NAMED,
    POINTER,
    U64,
    U128,
    VOID,
    IntType,
    NativeType,
    PointerType,
    Struct,
    Table,
    layout,
    size_of,
)


class UnsupportedSource(Exception):
    """A construct that restricted Python does not have; the message begins with file and line."""


@dataclass(frozen=True, slots=True)
class Value:
    """An operand: its text in LLVM and its type, None for a literal, which takes the type of what it meets."""

    text: str
    type: NativeType | None = None
    literal: int = 0


_ARITHMETIC: Final = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
}
_COMPARISONS: Final = {
    ast.Eq: ("eq", "eq"),
    ast.NotEq: ("ne", "ne"),
    ast.Lt: ("ult", "slt"),
    ast.LtE: ("ule", "sle"),
    ast.Gt: ("ugt", "sgt"),
    ast.GtE: ("uge", "sge"),
}
_CONSTANT_NODES: Final = (
    ast.Constant,
    ast.Name,
    ast.BinOp,
    ast.UnaryOp,
    ast.Subscript,
    ast.Attribute,
    ast.operator,
    ast.unaryop,
    ast.Compare,
    ast.cmpop,
    ast.BoolOp,
    ast.boolop,
    ast.expr_context,
)
_LOADS: Final = {"load8": 8, "load16": 16, "load32": 32, "load64": 64, "load256": 256}
_STORES: Final = {"store8": 8, "store32": 32, "store64": 64, "store256": 256, "store512": 512}
DIVISION_BITS_MAX: Final = 64
HANDLER_CONVENTION: Final = "preserve_nonecc"
"""Handlers keep no register for their callers: they never come back (LLVM language reference, calling conventions)."""
NOT_CONSTANT: Final = object()


class Expressions:
    """Translates expressions; ``FunctionCompiler`` adds statements and holds the function's frame."""

    def __init__(self, file: str, first_line: int, names: dict[str, Any]) -> None:
        self.file = file
        self.first_line = first_line
        self.names = names
        """Everything the function can see that is not a local variable; also loop variables of unrolled loops."""
        self.variables: dict[str, tuple[str, NativeType]] = {}
        self.lines: list[str] = []
        self.allocations: list[str] = []
        self.callees: list[Callable[..., Any]] = []
        self.tables: dict[str, Table] = {}
        self.declarations: dict[str, str] = {}
        self.ended = False
        self._count = 0

    # --- plumbing ---

    def refuse(self, node: ast.AST, why: str) -> NoReturn:
        """End with file, line, construct and reason."""
        line = self.first_line + getattr(node, "lineno", 1) - 1
        raise UnsupportedSource(f"{self.file}:{line}: {ast.unparse(node).splitlines()[0]}: {why}")

    def fresh(self, prefix: str = "v") -> str:
        """A name that is not taken."""
        self._count += 1
        return f"{prefix}{self._count}"

    def emit(self, text: str) -> None:
        """One instruction; nothing where control does not come."""
        if not self.ended:
            self.lines.append("  " + text)

    def result(self, text: str, kind: NativeType | None) -> Value:
        """One instruction with a result."""
        name = "%" + self.fresh()
        self.emit(f"{name} = {text}")
        return Value(name, kind)

    def allocate(self, kind: str) -> str:
        """Room on the native stack, made once at the entry."""
        name = "%" + self.fresh("a")
        self.allocations.append(f"  {name} = alloca {kind}, align 16")
        return name

    def label(self, name: str) -> None:
        """Begin a block; what came before runs into it."""
        if not self.ended:
            self.lines.append(f"  br label %{name}")
        self.lines.append(f"{name}:")
        self.ended = False

    def branch(self, name: str) -> None:
        """End the block."""
        self.emit(f"br label %{name}")
        self.ended = True

    def branch_if(self, condition: str, then: str, otherwise: str, weight: str = "") -> None:
        """End the block on a condition."""
        self.emit(f"br i1 {condition}, label %{then}, label %{otherwise}{weight}")
        self.ended = True

    def intrinsic(self, name: str, kind: str, arguments: list[str]) -> str:
        """A call to LLVM's own function, declared once."""
        types = ", ".join(argument.split(" ")[0] for argument in arguments)
        self.declarations[name] = f"declare {kind} @{name}({types})"
        return f"call {kind} @{name}({', '.join(arguments)})"

    # --- constants ---

    def constant(self, node: ast.expr) -> Any:
        """The value that ``node`` has while compiling, or NOT_CONSTANT."""
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and self.names.get(node.func.id) is size_of:
                return size_of(self.names[ast.unparse(node.args[0])])
            return NOT_CONSTANT
        for part in ast.walk(node):
            if not isinstance(part, _CONSTANT_NODES):
                return NOT_CONSTANT
            if isinstance(part, ast.Name) and (part.id in self.variables or part.id not in self.names):
                return NOT_CONSTANT
        try:
            value = eval(compile(ast.Expression(node), self.file, "eval"), {"__builtins__": {}}, self.names)
        except Exception as error:
            self.refuse(node, f"the constant cannot be computed: {error}")
        return value

    def literal(self, node: ast.expr, value: Any) -> Value:
        """A constant as an operand."""
        if isinstance(value, bool):
            return Value("true" if value else "false", BOOL)
        if isinstance(value, int):
            return Value(str(int(value)), None, int(value))
        if isinstance(value, Table):
            return self.table(node, value)
        self.refuse(node, f"a {type(value).__name__} is no value of restricted Python")

    def table(self, node: ast.expr, table: Table) -> Value:
        """The address of a constant table."""
        name = f"{self.names['__name__']}.{ast.unparse(node)}"
        self.tables[name] = table
        return Value(f'@"{name}"', POINTER)

    def fit(self, node: ast.AST, value: Value, kind: NativeType) -> str:
        """``value`` where ``kind`` is wanted: literals adapt, everything else must be of that type."""
        if value.type is None:
            if isinstance(kind, PointerType):
                if value.literal == 0:
                    return "null"
                self.refuse(node, "a number is no address")
            if not isinstance(kind, IntType) or not kind.holds(value.literal):
                self.refuse(node, f"{value.literal} does not fit into {kind}")
            return str(value.literal)
        if value.type != kind and not (
            isinstance(kind, PointerType) and kind.struct is None and value.type.ir == "ptr"
        ):
            self.refuse(node, f"is {value.type} where {kind} is wanted")
        return value.text

    def pair(self, node: ast.AST, left: Value, right: Value) -> tuple[str, str, NativeType]:
        """Two operands of one type."""
        kind = left.type or right.type
        if kind is None:
            self.refuse(node, "two literals: their type is unknown")
        return self.fit(node, left, kind), self.fit(node, right, kind), kind

    # --- expressions ---

    def expression(self, node: ast.expr) -> Value:
        """Any expression."""
        value = self.constant(node)
        if value is not NOT_CONSTANT and not isinstance(value, type) and not callable(value):
            return self.literal(node, value)
        if isinstance(node, ast.Name):
            if node.id not in self.variables:
                self.refuse(node, "has no value here")
            place, kind = self.variables[node.id]
            return self.result(f"load {kind.ir}, ptr {place}, align 8", kind)
        if isinstance(node, ast.Attribute):
            address, kind = self.field(node)
            return self.result(f"load {kind.ir}, ptr {address}, align 8", kind)
        if isinstance(node, ast.BinOp):
            return self.binary(node, node.op, self.expression(node.left), self.expression(node.right))
        if isinstance(node, ast.UnaryOp):
            return self.unary(node)
        if isinstance(node, ast.Compare):
            return self.compare(node)
        if isinstance(node, ast.BoolOp):
            return self.short_circuit(node)
        if isinstance(node, ast.IfExp):
            return self.conditional(node)
        if isinstance(node, ast.Call):
            return self.call(node)
        self.refuse(node, f"{type(node).__name__} is not supported")

    def field(self, node: ast.Attribute) -> tuple[str, NativeType]:
        """The address and the type of ``struct.field``."""
        owner = self.expression(node.value)
        if not isinstance(owner.type, PointerType) or owner.type.struct is None:
            self.refuse(node, f"{owner.type} has no fields")
        found = layout(owner.type.struct).get(node.attr)
        if found is None:
            self.refuse(node, f"{owner.type} has no field {node.attr}")
        return self.result(f"getelementptr i8, ptr {owner.text}, i64 {found.offset}", POINTER).text, found.type

    def binary(self, node: ast.AST, sign: ast.operator, left: Value, right: Value) -> Value:
        """Arithmetic, shifts, and addresses plus bytes."""
        if left.type is not None and left.type.ir == "ptr":
            if isinstance(sign, ast.Sub) and right.type is not None and right.type.ir == "ptr":
                begin = self.result(f"ptrtoint ptr {right.text} to i64", U64).text
                end = self.result(f"ptrtoint ptr {left.text} to i64", U64).text
                return self.result(f"sub i64 {end}, {begin}", U64)
            if right.type is None:
                offset = str(right.literal if isinstance(sign, ast.Add) else -right.literal)
            else:
                offset = self.fit(node, right, U64)
                if isinstance(sign, ast.Sub):
                    offset = self.result(f"sub i64 0, {offset}", U64).text
            if not isinstance(sign, ast.Add | ast.Sub):
                self.refuse(node, "addresses only add and subtract")
            return self.result(f"getelementptr i8, ptr {left.text}, i64 {offset}", POINTER)
        if isinstance(sign, ast.LShift | ast.RShift):
            return self.shift(node, sign, left, right)
        a, b, kind = self.pair(node, left, right)
        if not isinstance(kind, IntType):
            self.refuse(node, f"no arithmetic on {kind}")
        if isinstance(sign, ast.FloorDiv | ast.Mod):
            return self.divide(node, sign, a, b, kind)
        operation = _ARITHMETIC.get(type(sign))
        if operation is None:
            self.refuse(node, f"{type(sign).__name__} is not supported")
        return self.result(f"{operation} {kind.ir} {a}, {b}", kind)

    def divide(self, node: ast.AST, sign: ast.operator, a: str, b: str, kind: IntType) -> Value:
        """Unsigned division up to 64 bits; by 0 it is 0."""
        if kind.bits > DIVISION_BITS_MAX or kind.signed:
            self.refuse(node, f"no division of {kind}: LLVM would make a slow loop of it")
        operation = "udiv" if isinstance(sign, ast.FloorDiv) else "urem"
        by_zero = self.result(f"icmp eq {kind.ir} {b}, 0", BOOL).text
        divisor = self.result(f"select i1 {by_zero}, {kind.ir} 1, {kind.ir} {b}", kind).text
        quotient = self.result(f"{operation} {kind.ir} {a}, {divisor}", kind).text
        return self.result(f"select i1 {by_zero}, {kind.ir} 0, {kind.ir} {quotient}", kind)

    def shift(self, node: ast.AST, sign: ast.operator, left: Value, right: Value) -> Value:
        """A shift whose amount LLVM never sees out of bounds."""
        kind = left.type
        if not isinstance(kind, IntType):
            self.refuse(node, "the type of what is shifted is unknown")
        operation = "shl" if isinstance(sign, ast.LShift) else "ashr" if kind.signed else "lshr"
        if right.type is None:
            if not 0 <= right.literal < kind.bits:
                self.refuse(node, f"shifts {kind} by {right.literal}")
            return self.result(f"{operation} {kind.ir} {left.text}, {right.literal}", kind)
        amount = right if right.type.ir == kind.ir else self.convert(node, right, kind)
        far = self.result(f"icmp uge {kind.ir} {amount.text}, {kind.bits}", BOOL).text
        last = kind.bits - 1 if kind.signed else 0
        bounded = self.result(f"select i1 {far}, {kind.ir} {last}, {kind.ir} {amount.text}", kind).text
        shifted = self.result(f"{operation} {kind.ir} {left.text}, {bounded}", kind)
        if operation == "ashr":
            return shifted
        return self.result(f"select i1 {far}, {kind.ir} 0, {kind.ir} {shifted.text}", kind)

    def unary(self, node: ast.UnaryOp) -> Value:
        """not, ~ and -."""
        if isinstance(node.op, ast.Not):
            return self.result(f"xor i1 {self.condition(node.operand)}, true", BOOL)
        value = self.expression(node.operand)
        if not isinstance(value.type, IntType):
            self.refuse(node, f"no arithmetic on {value.type}")
        if isinstance(node.op, ast.Invert):
            return self.result(f"xor {value.type.ir} {value.text}, -1", value.type)
        if isinstance(node.op, ast.USub):
            return self.result(f"sub {value.type.ir} 0, {value.text}", value.type)
        return value

    def compare(self, node: ast.Compare) -> Value:
        """One comparison; signed where the operands are."""
        if len(node.ops) != 1:
            self.refuse(node, "chains of comparisons are not supported")
        names = _COMPARISONS.get(type(node.ops[0]))
        if names is None:
            self.refuse(node, f"{type(node.ops[0]).__name__} is not supported")
        a, b, kind = self.pair(node, self.expression(node.left), self.expression(node.comparators[0]))
        signed = isinstance(kind, IntType) and kind.signed
        return self.result(f"icmp {names[signed]} {kind.ir} {a}, {b}", BOOL)

    def decided(self, node: ast.expr) -> Any:
        """What a condition is while compiling, or NOT_CONSTANT; one operand may decide ``and`` and ``or``."""
        known = self.constant(node)
        if known is NOT_CONSTANT and isinstance(node, ast.BoolOp):
            deciding = isinstance(node.op, ast.Or)
            if any(self.constant(value) is deciding for value in node.values):
                return deciding
        return known

    def condition(self, node: ast.expr) -> str:
        """A bool; other types must be compared with something."""
        value = self.expression(node)
        if value.type != BOOL:
            self.refuse(node, f"is {value.type or 'a literal'} where a bool is wanted")
        return value.text

    def short_circuit(self, node: ast.BoolOp) -> Value:
        """``and`` and ``or``: later operands run only where they decide."""
        neutral = isinstance(node.op, ast.And)
        operands = [value for value in node.values if self.constant(value) is not neutral]
        if len(operands) == 1:
            return self.expression(operands[0])
        place = self.allocate("i1")
        end = self.fresh("end")
        for index, operand in enumerate(operands):
            text = self.condition(operand)
            self.emit(f"store i1 {text}, ptr {place}")
            if index < len(operands) - 1:
                more = self.fresh("more")
                self.branch_if(text, *((more, end) if isinstance(node.op, ast.And) else (end, more)))
                self.label(more)
        self.label(end)
        return self.result(f"load i1, ptr {place}", BOOL)

    def conditional(self, node: ast.IfExp) -> Value:
        """``a if c else b``: only one of them runs."""
        then, otherwise, end = self.fresh("then"), self.fresh("else"), self.fresh("end")
        self.branch_if(self.condition(node.test), then, otherwise)
        self.label(then)
        first = self.expression(node.body)
        kind = first.type or self.expression(node.orelse).type
        if kind is None:
            self.refuse(node, "two literals: their type is unknown")
        place = self.allocate(kind.ir)
        self.emit(f"store {kind.ir} {self.fit(node, first, kind)}, ptr {place}")
        self.branch(end)
        self.label(otherwise)
        self.emit(f"store {kind.ir} {self.fit(node, self.expression(node.orelse), kind)}, ptr {place}")
        self.label(end)
        return self.result(f"load {kind.ir}, ptr {place}", kind)

    def convert(self, node: ast.AST, value: Value, kind: NativeType) -> Value:
        """``u64(x)``: cut off or widen; the sign of the source decides how."""
        if value.type is None:
            return Value(self.fit(node, value, kind), kind)
        source = value.type
        if source.ir == kind.ir:
            return Value(value.text, kind)
        if isinstance(source, PointerType) and isinstance(kind, IntType):
            return self.result(f"ptrtoint ptr {value.text} to {kind.ir}", kind)
        if not isinstance(source, IntType) or not isinstance(kind, IntType):
            self.refuse(node, f"no conversion from {source} to {kind}")
        operation = "trunc" if source.bits > kind.bits else "sext" if source.signed else "zext"
        return self.result(f"{operation} {source.ir} {value.text} to {kind.ir}", kind)

    # --- calls ---

    def call(self, node: ast.Call) -> Value:
        """A conversion, an intrinsic, or another function of restricted Python."""
        if node.keywords or not isinstance(node.func, ast.Name):
            self.refuse(node, "only plain calls by position are supported")
        name = node.func.id
        if name in ("int", "bool"):
            self.refuse(node, "use a conversion to a type with a width")
        if name in NAMED:
            return self.convert(node, self.expression(node.args[0]), NAMED[name])
        target = self.names.get(name)
        if isinstance(target, type) and issubclass(target, Struct):
            return Value(self.fit(node, self.expression(node.args[0]), POINTER), PointerType(target))
        if target is None:
            self.refuse(node, f"there is no {name}")
        if getattr(target, "__module__", "") == intrinsics.__name__:
            return self.call_intrinsic(node, name)
        if not callable(target):
            self.refuse(node, f"{name} is no function")
        return self.call_function(node, target)

    def call_function(self, node: ast.Call, target: Callable[..., Any]) -> Value:
        """Overridden where functions are known."""
        self.refuse(node, "no functions here")

    def address(self, node: ast.Call) -> str:
        """The first argument plus the second, if there is one, as an address."""
        base = self.fit(node, self.expression(node.args[0]), POINTER)
        if len(node.args) < 2:
            return base
        offset = self.fit(node, self.expression(node.args[1]), U64)
        return self.result(f"getelementptr i8, ptr {base}, i64 {offset}", POINTER).text

    def call_intrinsic(self, node: ast.Call, name: str) -> Value:
        """One of ``intrinsics``."""
        arguments = node.args
        if name in _LOADS:
            kind = IntType(_LOADS[name])
            return self.result(f"load {kind.ir}, ptr {self.address(node)}, align 1", kind)
        if name == "load_pointer":
            return self.result(f"load ptr, ptr {self.address(node)}, align 8", POINTER)
        if name in _STORES or name == "store_pointer":
            stored: NativeType = IntType(_STORES[name]) if name in _STORES else POINTER
            place = self.address(node)
            text = self.fit(node, self.expression(arguments[2]), stored)
            self.emit(f"store {stored.ir} {text}, ptr {place}, align 1")
            return Value("", VOID)
        if name in ("likely", "unlikely"):
            return Value(self.condition(arguments[0]), BOOL)
        if name == "scratch":
            size = self.constant(arguments[0])
            if not isinstance(size, int):
                self.refuse(node, "the size must be a constant")
            return Value(self.allocate(f"[{size} x i8]"), POINTER)
        values = [self.expression(argument) for argument in arguments]
        return self._operate(node, name, values)

    def _operate(self, node: ast.Call, name: str, values: list[Value]) -> Value:
        first = values[0]
        kind = first.type
        if name in ("swap_bytes", "leading_zeros", "rotate_left"):
            if not isinstance(kind, IntType):
                self.refuse(node, "the operand's type is unknown")
            operand = f"{kind.ir} {first.text}"
            if name == "swap_bytes":
                return self.result(self.intrinsic(f"llvm.bswap.{kind.ir}", kind.ir, [operand]), kind)
            if name == "leading_zeros":
                return self.result(self.intrinsic(f"llvm.ctlz.{kind.ir}", kind.ir, [operand, "i1 false"]), kind)
            count = f"{kind.ir} {self.fit(node, values[1], kind)}"
            return self.result(self.intrinsic(f"llvm.fshl.{kind.ir}", kind.ir, [operand, operand, count]), kind)
        if name == "high_half":
            wide = self.result(f"lshr i128 {self.fit(node, first, U128)}, 64", U128)
            return self.convert(node, wide, U64)
        if name == "copy_bytes":
            target, source = (self.fit(node, value, POINTER) for value in values[:2])
            size = self.fit(node, values[2], U64)
            arguments = [f"ptr {target}", f"ptr {source}", f"i64 {size}", "i1 false"]
            self.emit(self.intrinsic("llvm.memmove.p0.p0.i64", "void", arguments))
            return Value("", VOID)
        if name == "zero_bytes":
            target, size = self.fit(node, first, POINTER), self.fit(node, values[1], U64)
            self.emit(
                self.intrinsic("llvm.memset.p0.i64", "void", [f"ptr {target}", "i8 0", f"i64 {size}", "i1 false"])
            )
            return Value("", VOID)
        if name == "is_null":
            return self.result(f"icmp eq ptr {self.fit(node, first, POINTER)}, null", BOOL)
        if name == "call_handler":
            function, passed = self._call_address(node, values, (POINTER, POINTER, POINTER, I64, POINTER))
            self.emit(f"call {HANDLER_CONVENTION} void {function}({passed})")
            return Value("", VOID)
        if name == "ask":
            function, passed = self._call_address(node, values, (POINTER, U64, U64, U64))
            return self.result(f"call i64 {function}({passed})", I64)
        self.refuse(node, "is not supported here")

    def _call_address(self, node: ast.Call, values: list[Value], kinds: tuple[NativeType, ...]) -> tuple[str, str]:
        """(function, arguments) of a call by address."""
        passed = [f"{kind.ir} {self.fit(node, value, kind)}" for kind, value in zip(kinds, values[1:], strict=True)]
        return self.fit(node, values[0], POINTER), ", ".join(passed)
