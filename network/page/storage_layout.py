"""A contract's storage by variable, from the layout that the Solidity compiler writes (``storageLayout``).

Layout of State Variables in Storage, Solidity documentation: several small values share a slot from its low end; arrays
lie at keccak256(slot), mapped values at keccak256(key . slot), long strings at keccak256(slot). Which keys a mapping
holds is not written anywhere, so those are tried that somebody might mean: ``keys``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from network.accounts import checksum_address
from network.page.decoding import printable
from node.crypto.hashes import keccak256

SLOTS_MAX: Final = 512
ROWS_MAX: Final = 256
STEPS_MAX: Final = 4_096
"""Values that are looked at; structs of structs may have none to show."""
ITEMS_MAX: Final = 32
"""Of an array, and bytes of text in slots."""
DEPTH_MAX: Final = 4
NESTED_KEYS: Final = 6

Fetch = Callable[[Sequence[int]], Sequence[int]]


class _Enough(Exception):
    """The bounds are reached: what was read so far is shown."""


class StorageReader:
    """Reads one contract at one block. ``fetch``: words at slots."""

    def __init__(self, layout: Mapping[str, Any], fetch: Fetch, keys: Sequence[str] = ()) -> None:
        types = layout.get("types")
        self._types: Mapping[str, Any] = types if isinstance(types, Mapping) else {}
        variables = layout.get("storage")
        self._variables = [one for one in variables if isinstance(one, Mapping)] if isinstance(variables, list) else []
        self._fetch = fetch
        self._keys = list(keys)
        self._words: dict[int, int] = {}
        self._steps = 0
        self.rows: list[dict[str, str]] = []
        self.complete = True

    def read(self) -> list[dict[str, str]]:
        """Name, type, value and slot of each variable; ``complete`` is False where bounds cut it off."""
        try:
            places = [
                (str(one["label"]), int(one["slot"]), int(one["offset"]), str(one["type"])) for one in self._variables
            ]
            self._load([slot for _, slot, _, _ in places][:SLOTS_MAX])
            for name, slot, offset, kind in places:
                self._value(printable(name, 128), kind, slot, offset, 0)
        except _Enough:
            self.complete = False
        except (KeyError, ValueError, TypeError, AttributeError, ArithmeticError):
            self.complete = False  # a layout that no compiler wrote
        return self.rows

    def _load(self, slots: Sequence[int]) -> None:
        wanted = [slot for slot in dict.fromkeys(slots) if slot not in self._words]
        if len(self._words) + len(wanted) > SLOTS_MAX:
            raise _Enough
        if wanted:
            self._words.update(zip(wanted, self._fetch(wanted), strict=True))

    def _word(self, slot: int) -> int:
        slot %= 2**256
        self._load([slot])
        return self._words[slot]

    def _row(self, name: str, kind: str, value: str, slot: int) -> None:
        if len(self.rows) >= ROWS_MAX:
            raise _Enough
        label = printable(str(self._types[kind]["label"]), 128)
        self.rows.append({"name": name, "type": label, "value": value, "slot": hex(slot % 2**256)})

    def _value(self, name: str, kind: str, slot: int, offset: int, depth: int) -> None:
        told = self._types[kind]
        self._steps += 1
        if depth > DEPTH_MAX or self._steps > STEPS_MAX:
            raise _Enough
        match told["encoding"]:
            case "inplace" if "members" in told:
                for member in told["members"]:
                    label = printable(str(member["label"]), 128)
                    place = slot + int(member["slot"])
                    self._value(f"{name}.{label}", str(member["type"]), place, int(member["offset"]), depth + 1)
            case "inplace" if "base" in told:
                size = int(str(kind).rpartition(")")[2].partition("_")[0])
                self._items(name, str(told["base"]), slot, size, depth)
            case "inplace":
                size = int(told["numberOfBytes"])
                raw = (self._word(slot) >> (8 * offset)) % 2 ** (8 * size)
                self._row(name, kind, elementary(str(told["label"]), raw, size), slot)
            case "dynamic_array":
                length = self._word(slot)
                self._row(f"{name}.length", kind, str(length), slot)
                self._items(name, str(told["base"]), _hashed(slot), length, depth)
            case "bytes":
                self._row(name, kind, self._text(slot, str(told["label"]) == "string"), slot)
            case "mapping":
                self._mapping(name, kind, slot, depth)

    def _items(self, name: str, base: str, start: int, length: int, depth: int) -> None:
        size = int(self._types[base]["numberOfBytes"])
        for index in range(min(length, ITEMS_MAX)):
            if size <= 16:
                per_slot = 32 // size
                slot, offset = start + index // per_slot, (index % per_slot) * size
            else:
                slot, offset = start + index * -(-size // 32), 0
            self._value(f"{name}[{index}]", base, slot, offset, depth + 1)

    def _text(self, slot: int, is_string: bool) -> str:
        word = self._word(slot)
        if word % 2 == 0:
            data = word.to_bytes(32, "big")[: (word % 256) // 2]
        else:
            length = word // 2
            slots = min(-(-length // 32), ITEMS_MAX)
            first = _hashed(slot)
            data = b"".join(self._word(first + index).to_bytes(32, "big") for index in range(slots))[:length]
        return printable(data.decode("utf-8", "replace")) if is_string else "0x" + data.hex()

    def _mapping(self, name: str, kind: str, slot: int, depth: int) -> None:
        told = self._types[kind]
        key_kind, value_kind = str(told["key"]), str(told["value"])
        found = 0
        for key in self._keys[: NESTED_KEYS if depth else None]:
            encoded = _key(str(self._types[key_kind]["label"]), key)
            if encoded is None:
                continue
            place = int.from_bytes(keccak256(encoded + (slot % 2**256).to_bytes(32, "big")), "big")
            value = self._types[value_kind]
            before = len(self.rows)
            # of a mapping only what is set is there; structs and mappings may have nothing in their own first slot
            if value["encoding"] == "mapping" or "members" in value or self._word(place):
                self._value(f"{name}[{printable(key, 128)}]", value_kind, place, 0, depth + 1)
            if not any(row["value"] != "false" and row["value"].strip("0x") for row in self.rows[before:]):
                del self.rows[before:]
            found += len(self.rows) > before
        if not found and depth == 0:
            self._row(name, kind, "nothing set for the keys that were tried", slot)


def elementary(label: str, raw: int, size: int) -> str:
    """One value that lies in a slot, as text."""
    if label == "bool":
        return "true" if raw else "false"
    if label.startswith(("address", "contract ")) and size == 20:
        return checksum_address(raw.to_bytes(20, "big"))
    if label.startswith("bytes"):
        return "0x" + raw.to_bytes(size, "big").hex()
    if label.startswith("int"):
        return str(raw - 2 ** (8 * size) if raw >> (8 * size - 1) else raw)
    return str(raw)


def _hashed(slot: int) -> int:
    return int.from_bytes(keccak256((slot % 2**256).to_bytes(32, "big")), "big")


def _key(label: str, text: str) -> bytes | None:
    """A mapping's key as it is hashed; None where the text is no such key."""
    try:
        if label == "string":
            return text.encode()
        if label.startswith(("address", "contract ")):
            raw = bytes.fromhex(text.removeprefix("0x"))
            return raw.rjust(32, b"\x00") if text.startswith("0x") and len(raw) == 20 else None
        if label.startswith("bytes") and label != "bytes":
            raw = bytes.fromhex(text.removeprefix("0x"))
            return raw.ljust(32, b"\x00") if text.startswith("0x") and len(raw) == int(label[5:]) else None
        if label == "bool":
            return int(text == "true").to_bytes(32, "big") if text in ("true", "false") else None
        if label.startswith(("uint", "int", "enum ")):
            number = int(text, 16) if text.startswith("0x") and len(text) < 42 else int(text[:80])
            return (number % 2**256).to_bytes(32, "big")
    except ValueError:
        return None
    return None
