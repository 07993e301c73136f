"""Every key prefix in one table; nothing else assembles key bytes.

| prefix | key | value |
|---|---|---|
| n | keccak256(node) | RLP of a trie node (state, storage) |
| c | code hash | contract code |
| h | block hash | RLP of the header |
| b | block hash | RLP of the body (transactions, ommers, withdrawals) |
| r | block hash | receipts: RLP list of consensus encodings |
| s | block hash | seal: what consensus decided the block by (certificate) |
| N | number, 8 bytes | canonical block hash |
| t | transaction hash | canonical block hash ‖ index, 4 bytes |
| m | mark name | head, safe, finalized, genesis: block hash; schema version; state-from, blocks-from: lowest height |
| w | sequence, 8 bytes | consensus log record |
| e | sequence, 8 bytes | evidence against a validator |
| p | peer id | address book entry |
"""

from __future__ import annotations

from typing import Final

SCHEMA_VERSION: Final = 1

NODE: Final = b"n"
CODE: Final = b"c"
HEADER: Final = b"h"
BODY: Final = b"b"
RECEIPTS: Final = b"r"
SEAL: Final = b"s"
OPERATIONS: Final = b"o"
UNFINALIZED: Final = b"u"
CANONICAL: Final = b"N"
TRANSACTION: Final = b"t"
MARK: Final = b"m"
CONSENSUS_LOG: Final = b"w"
EVIDENCE: Final = b"e"
PEER: Final = b"p"


def trie_node(node_hash: bytes) -> bytes:
    """Key of a trie node."""
    return NODE + node_hash


def code(code_hash: bytes) -> bytes:
    """Key of a contract's code."""
    return CODE + code_hash


def header(block_hash: bytes) -> bytes:
    """Key of a header."""
    return HEADER + block_hash


def body(block_hash: bytes) -> bytes:
    """Key of a body."""
    return BODY + block_hash


def receipts(block_hash: bytes) -> bytes:
    """Key of a block's receipts."""
    return RECEIPTS + block_hash


def seal(block_hash: bytes) -> bytes:
    """Key of a block's seal."""
    return SEAL + block_hash


def operations(block_hash: bytes) -> bytes:
    """Key of the state writes that consensus ordered into a block."""
    return OPERATIONS + block_hash


def unfinalized(number: int, block_hash: bytes) -> bytes:
    """Key that says: this block was stored before it was final. In order of height."""
    return UNFINALIZED + number.to_bytes(8, "big") + block_hash


def canonical(number: int) -> bytes:
    """Key of the canonical hash at a height."""
    return CANONICAL + number.to_bytes(8, "big")


def transaction(transaction_hash: bytes) -> bytes:
    """Key of a transaction's place in the canonical chain."""
    return TRANSACTION + transaction_hash


def mark(name: str) -> bytes:
    """Key of a named mark."""
    return MARK + name.encode()


def consensus_log(sequence: int) -> bytes:
    """Key of a consensus log record."""
    return CONSENSUS_LOG + sequence.to_bytes(8, "big")


def evidence(sequence: int) -> bytes:
    """Key of recorded evidence."""
    return EVIDENCE + sequence.to_bytes(8, "big")


def peer(node_id: bytes) -> bytes:
    """Key of an address book entry."""
    return PEER + node_id
