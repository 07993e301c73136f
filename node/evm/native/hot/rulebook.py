"""What a unit must know of a fork, as plain data that travels between processes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from node.evm.native.interpreter.catalogue import ENTRIES, numbers_of
from node.evm.spec import Spec


class Row(NamedTuple):
    """One opcode of the fork: what runs (the plain instruction's name), operands, results, base gas."""

    plain: str
    pops: int
    pushes: int
    gas: int


@dataclass(frozen=True, slots=True)
class Rulebook:
    """Rows by opcode, None where it is undefined; prices in gas."""

    rows: tuple[Row | None, ...]
    keccak_word: int
    exp_byte: int
    copy_word: int
    log_data_byte: int

    def digest(self) -> bytes:
        """What tells rulebooks apart."""
        return hashlib.sha256(repr(self).encode()).digest()


def rulebook_of(spec: Spec) -> Rulebook:
    """The rules of a fork. Raises ``UnknownInstruction``."""
    rows: list[Row | None] = []
    for number, gas in numbers_of(spec.instructions):
        if number == 0:
            rows.append(None)
            continue
        entry = ENTRIES[number - 1]
        rows.append(Row(entry.plain, entry.pops, entry.pushes, gas))
    prices = spec.gas
    return Rulebook(
        rows=tuple(rows),
        keccak_word=prices.keccak_word,
        exp_byte=prices.exp_byte,
        copy_word=prices.copy_word,
        log_data_byte=prices.log_data_byte,
    )
