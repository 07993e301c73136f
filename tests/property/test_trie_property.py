"""The trie against a dict: after any sequence of puts, deletes, commits and reopenings, the root is the
root of the dict, computed from the Yellow Paper's definition and nothing else."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.primitives import rlp
from node.trie.batch_update import update
from node.trie.encoded import entry_span, with_entry
from node.trie.node_cache import NodeCache
from node.trie.nodes import Branch, Extension, MalformedNode, MissingNode, decode_node, encode_branch
from node.trie.proofs import proof, verify_proof
from node.trie.sorted_build import build_sorted
from node.trie.trie import Trie

# --- the definition (Yellow Paper, appendices C and D), written without regard for speed ---


def hex_prefix(nibbles: list[int], flag: int) -> bytes:
    if len(nibbles) % 2:
        digits = [flag * 2 + 1, *nibbles]
    else:
        digits = [flag * 2, 0, *nibbles]
    return bytes(16 * high + low for high, low in zip(digits[::2], digits[1::2], strict=True))


def structure(pairs: dict[tuple[int, ...], bytes], depth: int) -> rlp.Encodable:
    if len(pairs) == 1:
        ((path, value),) = pairs.items()
        return [hex_prefix(list(path[depth:]), 1), value]
    shared = depth
    first = next(iter(pairs))
    while all(len(path) > shared and path[shared] == first[shared] for path in pairs if len(first) > shared):
        if len(first) <= shared:
            break
        shared += 1
    if shared > depth:
        return [hex_prefix(list(first[depth:shared]), 0), named(pairs, shared)]
    children: list[rlp.Encodable] = []
    for nibble in range(16):
        below = {path: value for path, value in pairs.items() if len(path) > depth and path[depth] == nibble}
        children.append(named(below, depth + 1) if below else b"")
    ends = [value for path, value in pairs.items() if len(path) == depth]
    return [*children, ends[0] if ends else b""]


def named(pairs: dict[tuple[int, ...], bytes], depth: int) -> rlp.Encodable:
    node = structure(pairs, depth)
    encoded = rlp.encode(node)
    return node if len(encoded) < 32 else keccak256(encoded)


def defined_root(content: dict[bytes, bytes]) -> bytes:
    if not content:
        return keccak256(rlp.encode(b""))
    pairs = {tuple(half for byte in key for half in (byte >> 4, byte & 15)): v for key, v in content.items()}
    return keccak256(rlp.encode(structure(pairs, 0)))


# --- keys that meet often: few symbols, several lengths; and hashed ones ---

keys = st.one_of(
    st.lists(st.sampled_from([0x00, 0x01, 0x10, 0x11, 0x1F, 0xFF]), max_size=4).map(bytes),
    st.integers(0, 40).map(lambda number: keccak256(bytes((number,)))),
)
values = st.one_of(st.binary(min_size=1, max_size=4), st.binary(min_size=25, max_size=70))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), keys, values),
        st.tuples(st.just("delete"), keys, st.just(b"")),
        st.tuples(st.sampled_from(["commit", "reopen"]), st.just(b""), st.just(b"")),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(steps, st.sampled_from([2, 10, 1000]))
def test_the_trie_is_a_dict_with_a_root(operations: list[tuple[str, bytes, bytes]], cached: int) -> None:
    store: dict[bytes, bytes] = {}
    cache = NodeCache(store.get, cached)
    trie = Trie(EMPTY_TRIE_ROOT, cache)
    content: dict[bytes, bytes] = {}
    for action, key, value in operations:
        if action == "put":
            trie.put(key, value)
            content[key] = value
        elif action == "delete":
            trie.delete(key)
            content.pop(key, None)
        else:
            root, nodes = trie.commit()
            assert root == defined_root(content)
            store.update(nodes)
            if action == "reopen":
                trie = Trie(root, cache)
        assert trie.get(key) == content.get(key)
    root, nodes = trie.commit()
    assert root == defined_root(content) == build_sorted(sorted(content.items()))
    assert list(trie.items()) == sorted(content.items())
    store.update(nodes)
    assert dict(Trie(root, store.get).items()) == content


def reached(root: bytes, store: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """All nodes of a trie that are named by hash."""
    found: dict[bytes, bytes] = {}
    waiting: list[bytes] = [] if root == EMPTY_TRIE_ROOT else [b"\xa0" + root]
    while waiting:
        reference = waiting.pop()
        node = decode_node(reference if reference[0] != 0xA0 else found.setdefault(reference[1:], store[reference[1:]]))
        children = [node.child] if isinstance(node, Extension) else []
        if isinstance(node, Branch):
            children = node.children[:16]
        waiting += [child for child in children if isinstance(child, bytes) and child != b"\x80"]
    return found


changes = st.dictionaries(keys, st.one_of(values, st.just(b"")), max_size=30)
hashed_keys = st.integers(0, 300).map(lambda number: keccak256(number.to_bytes(2, "big")))
hashed = st.dictionaries(hashed_keys, values, max_size=150)


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(st.dictionaries(keys, values, max_size=30), hashed),
    st.lists(st.one_of(changes, hashed), min_size=1, max_size=4),
    st.data(),
    st.sampled_from([2, 1000]),
)
def test_many_changes_at_once_are_what_they_are_one_by_one(
    content: dict[bytes, bytes], rounds: list[dict[bytes, bytes]], data: st.DataObject, cached: int
) -> None:
    """The same root and the same nodes: all that are new, and none that nobody can reach."""
    store: dict[bytes, bytes] = {}
    content = dict(content)
    root = build_sorted(sorted(content.items()), store.__setitem__)
    cache = NodeCache(store.get, cached)
    for drawn in rounds:
        made = dict(drawn)
        if content:
            made |= dict.fromkeys(data.draw(st.lists(st.sampled_from(sorted(content)), max_size=6)), b"")
            again = data.draw(st.lists(st.sampled_from(sorted(content)), max_size=3))
            made |= {key: content[key] for key in again}
        trie = Trie(root, NodeCache(store.get))
        for key, value in made.items():
            trie.put(key, value)
        expected, nodes = trie.commit()
        new_root, new = update(root, cache, made.items())
        assert new_root == expected
        assert new.items() <= (nodes | reached(root, store)).items()
        before, after = reached(root, store), reached(new_root, store | new)
        assert after.keys() - before.keys() <= new.keys() <= after.keys()
        for node_hash, encoded in new.items():
            assert keccak256(encoded) == node_hash
        store |= new
        root = new_root
        for key, value in made.items():
            content.pop(key, None)
            if value:
                content[key] = value
            assert Trie(root, cache).get(key) == (value or None)
        assert root == build_sorted(sorted(content.items()))


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(keys, values, min_size=1, max_size=40), changes, st.data())
def test_an_update_without_a_node_says_which(
    content: dict[bytes, bytes], made: dict[bytes, bytes], data: st.DataObject
) -> None:
    """One node is lost: the update finds the same root without it, or says that it is missing."""
    store: dict[bytes, bytes] = {}
    root = build_sorted(sorted(content.items()), store.__setitem__)
    whole = update(root, store.get, made.items())
    lost = data.draw(st.sampled_from(sorted(store)))
    rest = {node_hash: encoded for node_hash, encoded in store.items() if node_hash != lost}
    missed: bytes = lost
    try:
        assert update(root, rest.get, made.items()) == whole
    except MissingNode as missing:
        missed = missing.node_hash
    assert missed == lost


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(keys, values, min_size=1, max_size=40), st.integers(0, 16), st.binary(min_size=1, max_size=34))
def test_entries_lie_where_decoding_finds_them(content: dict[bytes, bytes], index: int, other: bytes) -> None:
    store: dict[bytes, bytes] = {}
    build_sorted(sorted(content.items()), store.__setitem__)
    for encoded in store.values():
        node = decode_node(encoded)
        span = entry_span(encoded, index)
        if not isinstance(node, Branch):
            assert span is None
            continue
        assert span is not None
        assert encoded[span[0] : span[1]] == node.children[index]
        node.children[index] = other
        assert with_entry(encoded, *span, other) == encode_branch(node.children)
        for size in range(len(encoded)):
            with contextlib.suppress(MalformedNode):
                entry_span(encoded[:size], index)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(keys, values, max_size=30), keys, st.data())
def test_proofs_show_what_is_there(content: dict[bytes, bytes], key: bytes, data: st.DataObject) -> None:
    store: dict[bytes, bytes] = {}
    root = build_sorted(sorted(content.items()), store.__setitem__)
    for wanted in [key, *(data.draw(st.lists(st.sampled_from(sorted(content)), max_size=3)) if content else [])]:
        assert verify_proof(root, wanted, proof(root, store.get, wanted)) == content.get(wanted)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(keys, values, max_size=30), keys)
def test_iteration_starts_anywhere(content: dict[bytes, bytes], start: bytes) -> None:
    store: dict[bytes, bytes] = {}
    root = build_sorted(sorted(content.items()), store.__setitem__)
    expected = [pair for pair in sorted(content.items()) if pair[0] >= start]
    assert list(Trie(root, store.get).items(start)) == expected
