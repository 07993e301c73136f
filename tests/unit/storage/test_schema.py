"""Keys: every table has its own first byte, keys sort as their numbers do, and all fit the database."""

from __future__ import annotations

from node.storage import schema
from node.storage.database import KEY_BYTES_MAX

HASH = b"\xff" * 32

KEYS = {
    "NODE": schema.trie_node(HASH),
    "CODE": schema.code(HASH),
    "HEADER": schema.header(HASH),
    "BODY": schema.body(HASH),
    "RECEIPTS": schema.receipts(HASH),
    "SEAL": schema.seal(HASH),
    "OPERATIONS": schema.operations(HASH),
    "UNFINALIZED": schema.unfinalized(2**64 - 1, HASH),
    "EVIDENCE": schema.evidence(2**64 - 1),
    "CANONICAL": schema.canonical(2**64 - 1),
    "TRANSACTION": schema.transaction(HASH),
    "MARK": schema.mark("finalized"),
    "CONSENSUS_LOG": schema.consensus_log(2**64 - 1),
    "PEER": schema.peer(HASH),
}


def test_every_table_has_its_own_first_byte() -> None:
    prefixes = {name: value for name, value in vars(schema).items() if name.isupper() and isinstance(value, bytes)}
    assert set(prefixes) == set(KEYS)
    assert len(set(prefixes.values())) == len(prefixes)
    for name, prefix in prefixes.items():
        assert len(prefix) == 1
        assert KEYS[name].startswith(prefix)
        assert len(KEYS[name]) <= KEY_BYTES_MAX


def test_numbered_keys_sort_by_number() -> None:
    numbers = [0, 1, 255, 256, 65_535, 65_536, 2**32, 2**64 - 1]
    for key in (schema.canonical, schema.consensus_log):
        assert sorted(map(key, numbers)) == [key(number) for number in numbers]
    assert sorted(schema.unfinalized(number, HASH) for number in numbers) == [
        schema.unfinalized(number, HASH) for number in numbers
    ]
