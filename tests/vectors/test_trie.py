"""Official TrieTests, RLPTests and hex-prefix tests."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.primitives import rlp
from node.trie.batch_update import update
from node.trie.nodes import encode_path
from node.trie.sorted_build import build_sorted
from node.trie.trie import Trie
from tests.vectors.archives import read_files

pytestmark = pytest.mark.vectors

ARCHIVE = "trie_rlp_tx_tests"


def files(part: str) -> dict[str, dict[str, Any]]:
    """The JSON files whose path has ``part``, by file name."""
    found = {name.rsplit("/", 1)[1]: content for name, content in read_files(ARCHIVE, lambda name: part in name)}
    assert found
    return found


def as_bytes(text: str | None) -> bytes:
    """Hex where it starts with 0x, else the text's bytes; null is the empty value, which deletes."""
    if text is None:
        return b""
    return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()


def check_root(operations: list[tuple[bytes, bytes]], root: bytes, secure: bool) -> None:
    """Put and delete in this order, committing after every step and only at the end: the root is ``root``."""
    if secure:
        operations = [(keccak256(key), value) for key, value in operations]
    content: dict[bytes, bytes] = {}
    store: dict[bytes, bytes] = {}
    at_once = Trie(EMPTY_TRIE_ROOT, {}.get)
    stepwise = EMPTY_TRIE_ROOT
    for key, value in operations:
        at_once.put(key, value)
        trie = Trie(stepwise, store.get)
        trie.put(key, value)
        stepwise, nodes = trie.commit()
        store.update(nodes)
        content.pop(key, None)
        if value:
            content[key] = value
    assert at_once.commit()[0] == stepwise == build_sorted(sorted(content.items())) == root
    assert update(EMPTY_TRIE_ROOT, {}.get, content.items())[0] == root
    half = dict(operations[: len(operations) // 2])
    first, nodes = update(EMPTY_TRIE_ROOT, {}.get, half.items())
    assert update(first, nodes.get, [*content.items(), *((key, b"") for key in half if key not in content)])[0] == root


def test_trie_in_order_and_in_any_order() -> None:
    cases = 0
    for name, tests in files("/TrieTests/").items():
        if name == "trietestnextprev.json":
            continue
        secure = "secure" in name.lower()
        for test in tests.values():
            root = as_bytes(test["root"])
            pairs = test["in"].items() if isinstance(test["in"], dict) else test["in"]
            operations = [(as_bytes(key), as_bytes(value)) for key, value in pairs]
            cases += 1
            if isinstance(test["in"], list):
                check_root(operations, root, secure)
            elif len(operations) <= 4:
                for order in permutations(operations):
                    check_root(list(order), root, secure)
            else:
                for start in range(len(operations)):
                    check_root(operations[start:] + operations[:start], root, secure)
    assert cases == 25


def test_trie_neighbours() -> None:
    """The keys next to a given one, by iterating from it."""
    for test in files("trietestnextprev")["trietestnextprev.json"].values():
        trie = Trie(EMPTY_TRIE_ROOT, {}.get)
        for key in test["in"]:
            trie.put(key.encode(), key.encode())
        for key, before, after in test["tests"]:
            behind = [found for found, _ in trie.items(key.encode()) if found != key.encode()]
            assert (behind[0] if behind else b"") == after.encode()
            ahead = [found for found, _ in trie.items() if found < key.encode()]
            assert (ahead[-1] if ahead else b"") == before.encode()


def as_item(value: Any) -> rlp.Encodable:
    """Strings starting with # are big numbers, other numbers are minimal big-endian."""
    if isinstance(value, list):
        return [as_item(child) for child in value]
    if isinstance(value, int):
        return rlp.int_to_bytes(value)
    return rlp.int_to_bytes(int(value[1:])) if value.startswith("#") else value.encode("latin-1")


def test_rlp_both_ways() -> None:
    cases = 0
    for test in files("rlptest.json")["rlptest.json"].values():
        encoded = as_bytes(test["out"])
        item = as_item(test["in"])
        assert rlp.encode(item) == encoded
        assert rlp.decode(encoded) == item
        cases += 1
    assert cases == 28


def test_rlp_valid_and_invalid() -> None:
    cases = 0
    for name in ("invalidRLPTest.json", "example.json"):
        for case, test in files(name)[name].items():
            data = as_bytes(test["out"])
            cases += 1
            if test["in"] == "VALID":
                assert rlp.encode(rlp.decode(data)) == data
                continue
            with pytest.raises(rlp.RLPError):
                print(case, rlp.decode(data))
    assert cases > 20


def test_hex_prefix() -> None:
    for test in files("hexencodetest")["hexencodetest.json"].values():
        assert encode_path(bytes(test["seq"]), test["term"]).hex() == test["out"]
