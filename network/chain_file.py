"""Chain files: blocks as RLP items one after another, as geth's import and export have them; ``.gz`` too.

scan      every item whole, every block decoded, each on the one before it: nothing is written for a bad file
import    each block executed and compared with its header, then made head, safe and finalized
export    canonical blocks, byte for byte
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from network.failures import BadInput
from node.chain.chain import Chain
from node.primitives.scalars import Hash32
from node.types.blocks import Block, decode_block
from node.types.invalid import InvalidBlock, InvalidTransaction
from node.types.operations import Operation

BLOCK_BYTES_MAX: Final = 64 * 2**20
"""The largest block that is read; the protocol allows 8 MiB (EIP-7934), older files a little more."""
BATCH_BLOCKS: Final = 32
"""Blocks that become durable together; fewer than the chain keeps executed in memory."""
BATCH_BYTES: Final = 8 * 2**20

Progress = Callable[[int], None]
"""Called with the number of a block that has been done."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    blocks: int
    skipped: int
    """Blocks that were there already."""


def read_blocks(path: Path) -> Iterator[Block]:
    """The blocks of a file, one at a time. Raises BadInput: the file, where in it, what is wrong."""
    with _opened(path) as file:
        for index, (offset, item) in enumerate(_items(file, path)):
            try:
                yield decode_block(item)
            except (InvalidBlock, InvalidTransaction) as refusal:
                raise BadInput(f"{path}: item {index} at byte {offset} is no block: {refusal}") from None


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            yield file  # type: ignore[misc]
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: not a whole gzip file: {error}") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None


def _items(file: IO[bytes], path: Path) -> Iterator[tuple[int, bytes]]:
    """(offset, RLP list) of each item."""
    offset = 0
    while True:
        head = file.read(1)
        if not head:
            return
        kind = head[0]
        if kind < 0xC0:
            raise BadInput(f"{path}: byte {offset}: 0x{kind:02x} does not start an RLP list; this is no chain file")
        if kind <= 0xF7:
            size = kind - 0xC0
        else:
            length = file.read(kind - 0xF7)
            if len(length) < kind - 0xF7:
                raise BadInput(f"{path}: truncated: the item at byte {offset} ends inside its length")
            head += length
            size = int.from_bytes(length, "big")
        if size > BLOCK_BYTES_MAX:
            raise BadInput(f"{path}: the item at byte {offset} has {size} bytes; at most {BLOCK_BYTES_MAX} are read")
        payload = file.read(size)
        if len(payload) < size:
            raise BadInput(f"{path}: truncated: the item at byte {offset} has {len(payload)} of its {size} bytes")
        yield offset, head + payload
        offset += len(head) + size


def scan(path: Path, genesis: Block) -> int:
    """How many blocks the file holds. Raises BadInput where it is not a chain of whole blocks."""
    count = 0
    last: Block | None = None
    for block in read_blocks(path):
        if last is not None and block.header.parent_hash != last.hash:
            raise BadInput(f"{path}: block {block.number} 0x{block.hash.hex()} does not follow the block before it")
        if block.number == 0 and block.hash != genesis.hash:
            raise BadInput(
                f"{path}: its genesis block is 0x{block.hash.hex()}, the genesis file gives 0x{genesis.hash.hex()}"
            )
        if block.number == 1 and block.header.parent_hash != genesis.hash:
            raise BadInput(
                f"{path}: block 1 stands on 0x{block.header.parent_hash.hex()}, "
                f"the genesis file gives 0x{genesis.hash.hex()}"
            )
        last = block
        count += 1
    if count == 0:
        raise BadInput(f"{path}: empty: no block in it")
    return count


async def import_blocks(
    chain: Chain,
    path: Path,
    progress: Progress = lambda number: None,
    operations: Mapping[int, tuple[Operation, ...]] | None = None,
) -> Imported:
    """Execute every block of the file that is not there yet; the last one becomes head, safe and finalized.

    ``operations``: what consensus ordered into blocks, by height; a chain file has no place for it. Raises BadInput
    for a block that does not stand; the blocks before it are kept.
    """
    done = skipped = waiting = waiting_bytes = 0
    head: Hash32 = chain.head.hash
    try:
        for block in read_blocks(path):
            if chain.header_by_hash(block.hash) is not None:
                skipped += 1
                continue
            if block.header.parent_hash != head:
                raise BadInput(
                    f"{path}: block {block.number} stands on 0x{block.header.parent_hash.hex()}, "
                    f"but the head here is 0x{head.hex()}",
                    hint="import into a new --datadir, or a file that goes on from the head",
                )
            status = await chain.new_payload(block, (operations or {}).get(block.number, ()))
            if not status.valid:
                facts = ", ".join(f"{name}={_shown(value)}" for name, value in status.facts.items())
                told = f"{status.reason} ({facts})" if facts else status.reason
                raise BadInput(f"{path}: block {block.number} 0x{block.hash.hex()} is invalid: {told}")
            head = block.hash
            done += 1
            waiting += 1
            waiting_bytes += len(block.encode())
            if waiting >= BATCH_BLOCKS or waiting_bytes >= BATCH_BYTES:
                await chain.forkchoice_updated(head, head, head, {})
                waiting = waiting_bytes = 0
            progress(block.number)
    finally:
        if waiting:
            await chain.forkchoice_updated(head, head, head, {})
    return Imported(done, skipped)


def _shown(value: object) -> str:
    """Hashes whole, blooms cut."""
    if not isinstance(value, bytes):
        return str(value)
    return "0x" + value.hex() if len(value) <= 32 else f"0x{value[:16].hex()}… ({len(value)} bytes)"


def export_blocks(
    chain: Chain, file: IO[bytes], first: int, last: int, progress: Progress = lambda number: None
) -> int:
    """Write canonical blocks ``first`` to ``last``. Returns how many. Raises BadInput for one that no file can hold."""
    for number in range(first, last + 1):
        block = chain.block_by_number(number)
        if block is None:
            lowest = chain.blocks_from
            assert 0 < number < lowest, "canonical blocks up to the head are stored"
            raise BadInput(f"block {number} never came here: this node joined by a state", f"begin at block {lowest}")
        if chain.operations_of(block.hash):
            raise BadInput(
                f"block {number} has state writes that consensus ordered (a conviction); a chain file has no place for "
                "them, and nobody could import it",
                f"export the blocks before it: {first} {number - 1}" if number > first else "",
            )
        file.write(block.encode())
        progress(number)
    return last - first + 1
