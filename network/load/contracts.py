"""Compiled contracts: read artifacts, make call data, read results and reverts.

Reads the artifact shapes of solc-based tools: ``abi`` beside ``bytecode``, which is hex (ours, Hardhat,
Truffle) or ``{"object": hex}`` (Foundry, solc's own output).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final

import orjson

from network import abi
from network.failures import BadInput
from network.reverts import canonical_type

ARTIFACT_BYTES_MAX: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a contract, by its ABI."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    reads_only: bool = False
    input_names: tuple[str, ...] = ()

    @property
    def signature(self) -> str:
        """``transfer(address,uint256)``."""
        return f"{self.name}({','.join(self.inputs)})"

    def call_data(self, values: Sequence[Any]) -> bytes:
        """Selector and encoded arguments. Raises abi.AbiError."""
        return abi.selector(self.signature) + abi.encode(self.inputs, values)

    def call_data_from_text(self, texts: Sequence[str]) -> bytes:
        """The same from command-line words."""
        if len(texts) != len(self.inputs):
            raise BadInput(f"{self.signature} takes {len(self.inputs)} arguments, {len(texts)} were given")
        values = [abi.parse_value(kind, text) for kind, text in zip(self.inputs, texts, strict=True)]
        return self.call_data(values)

    def result(self, data: bytes) -> list[Any]:
        """The returned values. Raises abi.AbiError."""
        return abi.decode(self.outputs, data)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract."""

    name: str
    abi: list[dict[str, Any]] = field(repr=False)
    bytecode: bytes = field(repr=False)
    runtime_code: bytes = field(default=b"", repr=False)
    """What stands at the address afterwards, where nothing in it is filled in while it is deployed."""
    layout: dict[str, Any] | None = field(default=None, repr=False)
    """solc's ``storageLayout``: which variable is in which slot."""

    @property
    def constructor_types(self) -> tuple[str, ...]:
        """ABI types of the constructor's arguments."""
        for entry in self.abi:
            if entry.get("type") == "constructor":
                return tuple(canonical_type(item) for item in entry.get("inputs", []))
        return ()

    def creation_data(self, values: Sequence[Any] = ()) -> bytes:
        """Bytecode followed by the encoded constructor arguments."""
        if not self.bytecode:
            raise BadInput(f"{self.name} has no bytecode", "an interface or an abstract contract cannot be deployed")
        return self.bytecode + abi.encode(self.constructor_types, values)

    def creation_data_from_text(self, texts: Sequence[str]) -> bytes:
        """The same from command-line words."""
        types = self.constructor_types
        if len(texts) != len(types):
            raise BadInput(
                f"the constructor of {self.name} takes {len(types)} arguments ({', '.join(types) or 'none'}), "
                f"{len(texts)} were given"
            )
        return self.creation_data([abi.parse_value(kind, text) for kind, text in zip(types, texts, strict=True)])

    def functions(self) -> list[Function]:
        """Every function, in the order of the ABI."""
        return functions_of(self.abi)

    def function(self, name: str, argument_count: int | None = None) -> Function:
        """The function called ``name`` (or ``name(types)``). Raises BadInput naming the candidates."""
        return find_function(self.functions(), name, argument_count, self.name)


def functions_of(entries: Sequence[dict[str, Any]]) -> list[Function]:
    """Every function of an ABI."""
    return [
        Function(
            name=str(entry["name"]),
            inputs=tuple(canonical_type(item) for item in entry.get("inputs", [])),
            outputs=tuple(canonical_type(item) for item in entry.get("outputs", [])),
            reads_only=entry.get("stateMutability") in ("view", "pure"),
            input_names=tuple(str(item.get("name", "")) for item in entry.get("inputs", [])),
        )
        for entry in entries
        if entry.get("type") == "function" and "name" in entry
    ]


def find_function(functions: Sequence[Function], name: str, argument_count: int | None, of: str) -> Function:
    """The one that is meant: by full signature, or by name and number of arguments."""
    named = [one for one in functions if name in (one.name, one.signature)]
    fitting = [one for one in named if argument_count is None or len(one.inputs) == argument_count] or named
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        from difflib import get_close_matches  # only on the way to an error

        near = get_close_matches(name, [one.name for one in functions], n=1)
        known = ", ".join(one.signature for one in functions)
        raise BadInput(
            f"{of} has no function {name!r}", f"did you mean {near[0]}?" if near else f"its functions are: {known}"
        )
    raise BadInput(
        f"{of}.{name} is overloaded", "name it with its types: " + " or ".join(one.signature for one in fitting)
    )


def parse_signature(text: str) -> Function:
    """A function written as ``balanceOf(address)(uint256)``; result types mark it as read only. Raises BadInput."""
    found = re.fullmatch(r"([A-Za-z_$][A-Za-z0-9_$]*)\((.*?)\)(?:\((.*)\))?", text.strip(), re.DOTALL)
    if found is None:
        raise BadInput(
            f"{text!r} is not a function signature",
            "write name(types) or name(types)(result types), for example balanceOf(address)(uint256)",
        )
    inputs, outputs = tuple(abi.split_types(found[2])), tuple(abi.split_types(found[3] or ""))
    inputs, outputs = tuple(map(_full_name, inputs)), tuple(map(_full_name, outputs))
    for kind in (*inputs, *outputs):
        abi.parse_type(kind)
    return Function(found[1], inputs, outputs, reads_only=found[3] is not None)


def _full_name(kind: str) -> str:
    """``uint`` and ``int`` stand for their 256-bit forms."""
    return re.sub(r"\b(u?int)\b", r"\g<1>256", kind)


def json_value(value: Any) -> Any:
    """A decoded value as JSON: numbers beyond 2^53 as text, bytes as hex."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, bool) or not isinstance(value, int | list | tuple):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)
    return [json_value(item) for item in value]


# --- artifacts on disk --------------------------------------------------------------------------


_OF_THE_GENESIS: Final = ("predeployed.json", "Validators.json")
"""System contracts: they stand in the genesis file, nobody deploys them."""


def bundled_names() -> list[str]:
    """Names of the contracts that ship with evmesh."""
    folder = resources.files("network.contracts")
    return sorted(
        entry.name.removesuffix(".json")
        for entry in folder.iterdir()
        if entry.name.endswith(".json") and entry.name not in _OF_THE_GENESIS
    )


def bundled(name: str) -> Artifact:
    """A contract that ships with evmesh."""
    text = resources.files("network.contracts").joinpath(f"{name}.json").read_text("utf-8")
    return parse_artifact(json.loads(text), name)


def load_artifact(reference: str) -> Artifact:
    """An artifact file, or the name of a bundled contract. Raises BadInput."""
    path = Path(reference)
    if not path.is_file():
        name = path.name.removesuffix(".json")
        # examples/Counter.json works from any folder: the examples are part of the package
        if name in bundled_names() and (reference == name or path.parent.name == "examples"):
            return bundled(name)
        raise BadInput(
            f"{reference}: no such artifact",
            f"give the JSON file of a compiled contract, or one of: {', '.join(bundled_names())}",
        )
    if path.stat().st_size > ARTIFACT_BYTES_MAX:
        raise BadInput(f"{reference} is larger than {ARTIFACT_BYTES_MAX} bytes")
    try:
        content = orjson.loads(path.read_bytes())
    except (ValueError, OSError) as error:
        raise BadInput(f"{reference} is not a JSON file: {error}") from None
    return parse_artifact(content, path.name.split(".")[0])


def parse_artifact(content: Any, name: str) -> Artifact:
    """An artifact from its JSON. Raises BadInput."""
    if not isinstance(content, dict) or not isinstance(content.get("abi"), list):
        raise BadInput(
            f'{name}: not a contract artifact (no "abi")', "compile with Foundry, Hardhat or solc --combined-json"
        )
    told = content.get("evm")
    compiled: dict[str, Any] = told if isinstance(told, dict) else {}
    bytecode = _code_of(name, content.get("bytecode", compiled.get("bytecode", "")))
    try:
        runtime_code = _code_of(name, content.get("deployedBytecode", compiled.get("deployedBytecode", "")))
    except BadInput:
        runtime_code = b""  # only there to know the contract by; what is deployed does not depend on it
    layout = content.get("storageLayout")
    entries = content["abi"]
    if not all(isinstance(entry, dict) for entry in entries):
        raise BadInput(f"{name}: its abi is not a list of objects")
    return Artifact(
        str(content.get("contractName") or name),
        entries,
        bytecode,
        runtime_code,
        layout if isinstance(layout, dict) else None,
    )


def _code_of(name: str, code: Any) -> bytes:
    """Hex, or ``{"object": hex}``, as bytes. Raises BadInput."""
    if isinstance(code, dict):
        code = code.get("object", "")
    if not isinstance(code, str):
        raise BadInput(f"{name}: its bytecode is not hex")
    if "__" in code:
        raise BadInput(f"{name}: its bytecode has unlinked libraries", "link it with your compiler first")
    try:
        return bytes.fromhex(code.removeprefix("0x"))
    except ValueError:
        raise BadInput(f"{name}: its bytecode is not hex") from None
