"""The table of methods: a function, its name on the wire, and how its arguments are read.

    METHODS = MethodTable()

    @METHODS.method("eth_getBalance")
    def get_balance(api: Api, address: Address, block: BlockId = Tag.LATEST) -> str: ...

A parameter without a default is required; null stands for the default where there is one.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from node.rpc.errors import invalid_params
from node.rpc.parameters import SCALAR_PARSERS, Parser, parse

F = TypeVar("F", bound=Callable[..., Any])

_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Parameter:
    """How one argument is read, and what stands for it when it is not there."""

    parser: Parser
    default: Any

    @property
    def is_required(self) -> bool:
        """Nothing stands for it."""
        return self.default is _MISSING


@dataclass(frozen=True, slots=True)
class Method:
    """One entry of the table. ``function(api, *arguments)`` gives a JSON value, or a coroutine of one."""

    name: str
    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]

    def bind(self, params: object) -> list[Any]:
        """The arguments from the request's ``params``. Raises RpcError(-32602) in geth's words."""
        if params is None:
            params = []
        if not isinstance(params, list):
            raise invalid_params("non-array args")
        parameters = self.parameters
        if len(params) > len(parameters):
            raise invalid_params(f"too many arguments, want at most {len(parameters)}")
        arguments = []
        for index, parameter in enumerate(parameters):
            value = params[index] if index < len(params) else None
            if value is not None:
                arguments.append(parse(parameter.parser, value, index))
            elif parameter.default is not _MISSING:
                arguments.append(parameter.default)
            else:
                raise invalid_params(f"missing value for required argument {index}")
        return arguments


class MethodTable:
    """Methods by name. ``parsers`` adds readers for annotations that only this table's functions use."""

    def __init__(self, parsers: Mapping[Any, Parser] | None = None) -> None:
        self._parsers = {**SCALAR_PARSERS, **(parsers or {})}
        self._methods: dict[str, Method] = {}

    def method(self, name: str) -> Callable[[F], F]:
        """Decorator: register ``function(api, …)`` under ``name``."""

        def register(function: F) -> F:
            assert name not in self._methods, f"{name} is registered twice"
            self._methods[name] = Method(name, function, self._parameters(function))
            return function

        return register

    def _parameters(self, function: Callable[..., Any]) -> tuple[Parameter, ...]:
        hints = get_type_hints(function)
        parameters = list(inspect.signature(function).parameters.values())[1:]
        return tuple(
            Parameter(
                self._parser_for(hints[parameter.name]),
                _MISSING if parameter.default is inspect.Parameter.empty else parameter.default,
            )
            for parameter in parameters
        )

    def _parser_for(self, annotation: Any) -> Parser:
        parser = self._parsers.get(annotation)
        if parser is not None:
            return parser
        assert get_origin(annotation) in (Union, types.UnionType), f"no parser reads {annotation}"
        kept = [part for part in get_args(annotation) if part is not types.NoneType]
        return self._parsers[reduce(or_, kept)]

    def __iter__(self) -> Iterator[Method]:
        return iter(self._methods.values())


def combined(tables: Sequence[MethodTable]) -> dict[str, Method]:
    """All methods of several tables by name."""
    methods: dict[str, Method] = {}
    for table in tables:
        for method in table:
            assert method.name not in methods, f"{method.name} is registered twice"
            methods[method.name] = method
    return methods
