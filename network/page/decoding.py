"""Calls, logs and reverts in words, by what is known of contracts. Everything decoded is hostile until it is text.

A contract is known by the name under which it was deployed, by an artifact that somebody attached to it, by its code
where that is one of the bundled ones, or as a part of the genesis. Of others, a function or an event that some known
contract has too is named all the same, and marked as a guess.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from network import abi
from network.cluster.run_directory import RunDirectory
from network.load.contracts import Artifact, bundled
from network.reverts import canonical_type, explain_revert, show_value
from node.crypto.hashes import keccak256

TEXT_MAX: Final = 2_048
"""Characters of one decoded value; a contract may return megabytes."""
WORDS_MAX: Final = 20_000
_SYSTEM: Final = {
    "0x000f3df6d732807ef1319fb7b8bb8522d0beac02": "Beacon roots (EIP-4788)",
    "0x0000f90827f1c53a10cb7a02335b175320002935": "Block hashes (EIP-2935)",
    "0x00000961ef480eb55e80d19ad83579a64c007002": "Withdrawal requests (EIP-7002)",
    "0x0000bbddc7ce488642fb579f8b00f3a590007251": "Consolidation requests (EIP-7251)",
    "0x4e59b44847b379578588920ca78fbf26c0b4956c": "Deterministic deployer",
}
_VALIDATORS: Final = "0x00000000000000000000000000000000005e7000"
_BUNDLED: Final = ("Counter", "DemoToken")


def printable(text: str, most: int = TEXT_MAX) -> str:
    """Text that shows as what it is: control and direction characters are written out, length is bounded."""
    shown = []
    for character in text[:most]:
        kind = unicodedata.category(character)
        hidden = kind in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
        shown.append(f"\\u{{{ord(character):x}}}" if hidden else character)
    return "".join(shown) + ("…" if len(text) > most else "")


@dataclass(frozen=True, slots=True)
class Contract:
    """What is known of one address. ``origin``: how."""

    name: str
    origin: str
    abi: Sequence[Mapping[str, Any]] = ()
    layout: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Contracts:
    """Everything that is known at one time."""

    by_address: dict[str, Contract] = field(default_factory=dict)
    _by_code: dict[str, Artifact] = field(default_factory=dict)

    @classmethod
    def read(cls, run: RunDirectory) -> Contracts:
        """From the run directory and the package. Raises Failure."""
        known = cls()
        for address, name in _SYSTEM.items():
            known.by_address[address] = Contract(name, "genesis")
        validators = bundled("Validators")
        known.by_address[_VALIDATORS] = Contract("Validators", "genesis", validators.abi, validators.layout)
        for name in _BUNDLED:
            artifact = bundled(name)
            known._by_code["0x" + artifact.runtime_code.hex()] = artifact
        for name, entry in run.contracts().items():
            told_abi, layout = entry.get("abi"), entry.get("storageLayout")
            known.by_address[str(entry.get("address", "")).lower()] = Contract(
                printable(str(name), 64),
                "deployed here",
                [one for one in told_abi if isinstance(one, dict)] if isinstance(told_abi, list) else (),
                layout if isinstance(layout, dict) else None,
            )
        return known

    def of(self, address: str | None, code: str = "") -> Contract | None:
        """What stands at an address; by its code where it was deployed without us."""
        if address is None:
            return None
        found = self.by_address.get(address.lower())
        artifact = self._by_code.get(code) if code and code != "0x" else None
        if artifact is not None and (found is None or found.layout is None):
            name = found.name if found is not None else artifact.name
            origin = found.origin if found is not None else "its code"
            return Contract(name, origin, artifact.abi, artifact.layout)
        return found

    def name_of(self, address: str | None, code: str = "") -> str | None:
        """The name, where there is one."""
        found = self.of(address, code)
        return found.name if found is not None else None

    def all_entries(self) -> list[Mapping[str, Any]]:
        """Every ABI entry known, for guesses."""
        contracts = [*self.by_address.values()]
        return [entry for one in contracts for entry in one.abi] + [e for a in self._by_code.values() for e in a.abi]

    # ---- calls

    def call(self, contract: Contract | None, data: bytes, output: bytes | None = None) -> dict[str, Any] | None:
        """Function and arguments of call data, and what came back; None where nobody knows them."""
        if len(data) < 4:
            return None
        for entries, guess in ((contract.abi if contract else (), False), (self.all_entries(), True)):
            for entry in entries:
                if entry.get("type") != "function" or abi.selector(signature_of(entry)) != data[:4]:
                    continue
                arguments = decoded(entry.get("inputs"), data[4:])
                if arguments is None:
                    continue
                told = {"name": printable(str(entry["name"]), 128), "signature": printable(signature_of(entry), 256)}
                results = decoded(entry.get("outputs"), output) if output else None
                return {**told, "arguments": arguments, "results": results, "guess": guess}
        return None

    def event(self, contract: Contract | None, topics: Sequence[str], data: bytes) -> dict[str, Any] | None:
        """Name and fields of a log; None where nobody knows it."""
        if not topics:
            return None
        for entries, guess in ((contract.abi if contract else (), False), (self.all_entries(), True)):
            for entry in entries:
                if entry.get("type") != "event" or entry.get("anonymous"):
                    continue
                signature = signature_of(entry)
                if "0x" + keccak256(signature.encode()).hex() != topics[0]:
                    continue
                fields = _event_fields(entry.get("inputs"), topics[1:], data)
                if fields is not None:
                    name = printable(str(entry["name"]), 128)
                    return {"name": name, "signature": printable(signature, 256), "arguments": fields, "guess": guess}
        return None

    def revert(self, contract: Contract | None, data: bytes) -> str:
        """Why something reverted."""
        entries = [dict(entry) for entry in [*(contract.abi if contract else ()), *self.all_entries()]]
        return printable(explain_revert(data, [entry for entry in entries if "name" in entry]))


def signature_of(entry: Mapping[str, Any]) -> str:
    """``transfer(address,uint256)`` of an ABI entry."""
    inputs = entry.get("inputs")
    kinds = [canonical_type(item) for item in inputs if isinstance(item, dict) and "type" in item] if inputs else []
    return f"{entry.get('name', '')}({','.join(kinds)})"


def decoded(items: Any, data: bytes) -> list[dict[str, str]] | None:
    """Names, types and values as text; None where the data is not of these types."""
    try:
        wanted = [item for item in items or () if isinstance(item, dict)]
        kinds = [canonical_type(item) for item in wanted]
        values = abi.decode(kinds, data, WORDS_MAX)
    except (abi.AbiError, KeyError, RecursionError):
        return None
    return [_field(item, kind, value) for item, kind, value in zip(wanted, kinds, values, strict=True)]


def _field(item: Mapping[str, Any], kind: str, value: Any) -> dict[str, str]:
    return {
        "name": printable(str(item.get("name", "")), 128),
        "type": printable(kind, 256),
        "value": printable(show_value(value)),
    }


def _event_fields(items: Any, topics: Sequence[str], data: bytes) -> list[dict[str, str]] | None:
    """Indexed fields come from topics; of those that do not fit one there is a hash only."""
    wanted = [item for item in items or () if isinstance(item, dict)]
    plain = decoded([item for item in wanted if not item.get("indexed")], data)
    if plain is None or sum(bool(item.get("indexed")) for item in wanted) != len(topics):
        return None
    rest, left = iter(plain), iter(topics)
    fields = []
    for item in wanted:
        if not item.get("indexed"):
            fields.append(next(rest))
            continue
        topic = next(left)
        try:
            kind = canonical_type(item)
            parsed = abi.parse_type(kind)
            word = bytes.fromhex(topic.removeprefix("0x"))
        except (abi.AbiError, KeyError, ValueError):
            return None
        whole = parsed.kind in ("uint", "int", "bool", "address", "fixedbytes")
        told = decoded([item], word) if whole else [_field(item, kind, f"hash {topic}")]
        if not told:
            return None
        fields.append(told[0])
    return fields
