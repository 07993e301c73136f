"""One function of restricted Python as one function of LLVM.

Local variables live on the native stack here; LLVM's passes move them into registers. A variable has one type: that
of its annotation, or of the first value it is given.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from node.evm.native.compiler.expressions import HANDLER_CONVENTION, NOT_CONSTANT, Expressions, UnsupportedSource, Value
from node.evm.native.compiler.types import NAMED, POINTER, VOID, NativeType, PointerType, Struct

_WEIGHTS: Final = {"likely": ", !prof !0", "unlikely": ", !prof !1"}


@dataclass(frozen=True, slots=True)
class Signature:
    """How a function is called."""

    name: str
    parameters: tuple[tuple[str, NativeType], ...]
    returns: NativeType
    is_handler: bool
    attributes: str

    @property
    def convention(self) -> str:
        """The calling convention, with a space behind it."""
        return f"{HANDLER_CONVENTION} " if self.is_handler else ""


def visible_names(function: Callable[..., Any]) -> dict[str, Any]:
    """Globals, and what the closure of a function made by a factory holds."""
    names = dict(function.__globals__)
    code = function.__code__
    names.update(
        (name, cell.cell_contents) for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True)
    )
    return names


def _closure_name(value: Any) -> str:
    """What tells functions of one factory apart: constants by value, functions by their own names."""
    if isinstance(value, int):
        return str(int(value))
    return f"<{signature_of(value).name}>" if callable(value) and hasattr(value, "__code__") else repr(value)


def signature_of(function: Callable[..., Any]) -> Signature:
    """Read from the annotations; also gives functions of factories names of their own."""
    names = visible_names(function)

    def kind_of(annotation: Any, place: str) -> NativeType:
        text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
        if text == "None":
            return VOID
        if text in NAMED:
            return NAMED[text]
        struct = names.get(text)
        if isinstance(struct, type) and issubclass(struct, Struct):
            return PointerType(struct)
        raise UnsupportedSource(
            f"{inspect.getsourcefile(function)}:{function.__code__.co_firstlineno}: {function.__qualname__}: "
            f"{place} has no type of restricted Python ({text})"
        )

    annotations = function.__annotations__
    parameters = tuple(
        (name, kind_of(annotations.get(name), name))
        for name in function.__code__.co_varnames[: function.__code__.co_argcount]
    )
    closure = [_closure_name(names[name]) for name in function.__code__.co_freevars]
    marks = function.__dict__
    attributes = (
        "alwaysinline" if marks.get("native_inline") else "noinline" if marks.get("native_apart") else ""
    ) + " nounwind"
    return Signature(
        name=".".join([function.__module__.removeprefix("node.evm.native."), function.__qualname__, *closure]),
        parameters=parameters,
        returns=kind_of(annotations.get("return"), "the result"),
        is_handler=bool(marks.get("native_handler")),
        attributes=attributes.strip(),
    )


class FunctionCompiler(Expressions):
    """Translates one function; afterwards ``callees``, ``tables`` and ``declarations`` say what it needs."""

    def __init__(self, function: Callable[..., Any]) -> None:
        lines, first_line = inspect.getsourcelines(function)
        super().__init__(inspect.getsourcefile(function) or "?", first_line, visible_names(function))
        body = ast.parse(textwrap.dedent("".join(lines))).body[0]
        assert isinstance(body, ast.FunctionDef)
        self._body = body
        self.signature = signature_of(function)
        self._loops: list[tuple[str, str]] = []

    def compile(self, exported: str | None = None) -> str:
        """The text of the function; ``exported`` is the name under which the object file shows it."""
        signature = self.signature
        for name, kind in signature.parameters:
            place = self.allocate(kind.ir)
            self.variables[name] = (place, kind)
            self.emit(f"store {kind.ir} %{name}, ptr {place}, align 8")
        self.statements(self._body.body)
        if not self.ended:
            if signature.returns != VOID:
                self.refuse(self._body, "the end is reached without a result")
            self.emit("ret void")
        parameters = ", ".join(f"{kind.ir} %{name}" for name, kind in signature.parameters)
        linkage = "" if exported else "internal "
        name = exported or signature.name
        head = f'define {linkage}{signature.convention}{signature.returns.ir} @"{name}"({parameters})'
        body = "\n".join([*self.allocations, *self.lines])
        return f"{head} {signature.attributes} {{\nentry:\n{body}\n}}\n"

    def call_function(self, node: ast.Call, target: Callable[..., Any]) -> Value:
        """Another function of restricted Python."""
        signature = signature_of(target)
        if signature.is_handler:
            self.refuse(node, "handlers are only called behind return")
        text = self._call_text(node, target, signature)
        if signature.returns == VOID:
            self.emit(text)
            return Value("", VOID)
        return self.result(text, signature.returns)

    def _call_text(self, node: ast.Call, target: Callable[..., Any], signature: Signature) -> str:
        self.callees.append(target)
        if len(node.args) != len(signature.parameters):
            self.refuse(node, f"takes {len(signature.parameters)} arguments")
        arguments = ", ".join(
            f"{kind.ir} {self.fit(argument, self.expression(argument), kind)}"
            for argument, (_, kind) in zip(node.args, signature.parameters, strict=True)
        )
        return f'call {signature.convention}{signature.returns.ir} @"{signature.name}"({arguments})'

    # --- statements ---

    def statements(self, body: list[ast.stmt]) -> None:
        """In order; what stands behind a jump away is not reached and not translated."""
        for statement in body:
            if self.ended:
                return
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        """Any statement."""
        if isinstance(node, ast.AnnAssign | ast.Assign | ast.AugAssign):
            self._assign(node)
        elif isinstance(node, ast.If):
            self._if(node)
        elif isinstance(node, ast.While):
            self._while(node)
        elif isinstance(node, ast.For):
            self._unroll(node)
        elif isinstance(node, ast.Return):
            self._return(node)
        elif isinstance(node, ast.Break | ast.Continue):
            if not self._loops:
                self.refuse(node, "stands in no loop that runs")
            self.branch(self._loops[-1][isinstance(node, ast.Break)])
        elif isinstance(node, ast.Expr):
            if not isinstance(node.value, ast.Constant):  # a docstring
                self.expression(node.value)
        elif not isinstance(node, ast.Pass):
            self.refuse(node, f"{type(node).__name__} is not supported")

    def _assign(self, node: ast.AnnAssign | ast.Assign | ast.AugAssign) -> None:
        if isinstance(node, ast.Assign):
            if len(node.targets) != 1:
                self.refuse(node, "one target at a time")
            target = node.targets[0]
        else:
            target = node.target
        if isinstance(node, ast.AugAssign):
            if not isinstance(target, ast.Name | ast.Attribute):
                self.refuse(node, "only names and fields are assigned to")
            value = self.binary(node, node.op, self.expression(target), self.expression(node.value))
        elif node.value is None:
            self.refuse(node, "a variable needs a value")
        else:
            value = self.expression(node.value)
        if value.type == VOID:
            self.refuse(node, "has no value")
        if isinstance(target, ast.Attribute):
            address, kind = self.field(target)
            self.emit(f"store {kind.ir} {self.fit(node, value, kind)}, ptr {address}, align 8")
            return
        if not isinstance(target, ast.Name):
            self.refuse(node, "only names and fields are assigned to")
        self._set_variable(node, target.id, value)

    def _set_variable(self, node: ast.AnnAssign | ast.Assign | ast.AugAssign, name: str, value: Value) -> None:
        annotated: NativeType | None = None
        if isinstance(node, ast.AnnAssign):
            annotated = NAMED.get(ast.unparse(node.annotation))
            if annotated is None:
                self.refuse(node, f"{ast.unparse(node.annotation)} is no type of restricted Python")
        if name not in self.variables:
            kind = annotated or value.type
            if kind is None:
                self.refuse(node, "a variable that begins with a literal needs a type")
            self.variables[name] = (self.allocate(kind.ir), kind)
        place, kind = self.variables[name]
        if annotated is not None and annotated != kind:
            self.refuse(node, f"{name} is {kind} already")
        self.emit(f"store {kind.ir} {self.fit(node, value, kind)}, ptr {place}, align 8")

    def _if(self, node: ast.If) -> None:
        known = self.decided(node.test)
        if known is not NOT_CONSTANT:
            self.statements(node.body if known else node.orelse)
            return
        last = node.test.values[-1] if isinstance(node.test, ast.BoolOp) else node.test
        weight = (
            _WEIGHTS.get(last.func.id, "") if isinstance(last, ast.Call) and isinstance(last.func, ast.Name) else ""
        )
        then, end = self.fresh("then"), self.fresh("end")
        otherwise = self.fresh("else") if node.orelse else end
        self.branch_if(self.condition(node.test), then, otherwise, weight)
        self.label(then)
        self.statements(node.body)
        reached = not self.ended
        if reached:
            self.branch(end)
        if node.orelse:
            self.label(otherwise)
            self.statements(node.orelse)
            reached = reached or not self.ended
        else:
            reached = True
        if reached:
            self.label(end)

    def _while(self, node: ast.While) -> None:
        if node.orelse:
            self.refuse(node, "while .. else is not supported")
        again, body, end = self.fresh("while"), self.fresh("body"), self.fresh("end")
        self.label(again)
        endless = self.constant(node.test) is True
        if endless:
            self.branch(body)
        else:
            self.branch_if(self.condition(node.test), body, end)
        self.label(body)
        self._loops.append((again, end))
        self.statements(node.body)
        self._loops.pop()
        if not self.ended:
            self.branch(again)
        if not endless or any(f"label %{end}" in re.split(r",|  br ", line) for line in self.lines):
            self.label(end)

    def _unroll(self, node: ast.For) -> None:
        """``for i in range(constants)``: the body once for every value, which is a constant in it."""
        call = node.iter
        is_range = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range"
        if not is_range or not isinstance(node.target, ast.Name) or node.orelse:
            self.refuse(node, "only `for name in range(constants)` is supported; it is unrolled")
        assert isinstance(call, ast.Call)
        bounds = [self.constant(argument) for argument in call.args]
        if not all(isinstance(bound, int) for bound in bounds):
            self.refuse(node, "the bounds of an unrolled loop must be constants")
        loops, self._loops = self._loops, []
        for value in range(*bounds):
            self.names[node.target.id] = value
            self.statements(node.body)
        self._loops = loops

    def _return(self, node: ast.Return) -> None:
        signature = self.signature
        value = node.value
        if value is None or (isinstance(value, ast.Constant) and value.value is None):
            if signature.returns != VOID:
                self.refuse(node, f"must give a {signature.returns}")
            self.emit("ret void")
        elif signature.is_handler:
            self._tail_call(node, value)
        else:
            text = self.fit(node, self.expression(value), signature.returns)
            self.emit(f"ret {signature.returns.ir} {text}")
        self.ended = True

    def _tail_call(self, node: ast.Return, value: ast.expr) -> None:
        if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Name):
            self.refuse(node, "a handler returns by calling another one")
        if value.func.id == "jump":
            function, *arguments = [self.expression(argument) for argument in value.args]
            kinds = [kind for _, kind in self.signature.parameters]
            passed = ", ".join(
                f"{kind.ir} {self.fit(node, argument, kind)}" for kind, argument in zip(kinds, arguments, strict=True)
            )
            target = self.fit(node, function, POINTER)
            self.emit(f"musttail call {self.signature.convention}void {target}({passed})")
        else:
            callee = self.names.get(value.func.id)
            if callee is None or not callable(callee) or not signature_of(callee).is_handler:
                self.refuse(node, f"{value.func.id} is no handler")
            self.emit("musttail " + self._call_text(value, callee, signature_of(callee)))
        self.emit("ret void")
