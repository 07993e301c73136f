"""The trie against a dict: after any sequence of puts, deletes, commits and reopenings, the root is the
root of the dict, computed from the Yellow Paper's definition and nothing else."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.primitives import rlp
from node.trie.node_cache import NodeCache
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
