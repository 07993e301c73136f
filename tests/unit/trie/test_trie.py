"""The trie: reads, writes, collapses, commits, and a source that does not hold everything."""

from __future__ import annotations

import pytest

from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.primitives.bounded_cache import BoundedCache
from node.primitives.scalars import Hash32
from node.trie.node_cache import NodeCache
from node.trie.nodes import MissingNode, decode_node
from node.trie.sorted_build import build_sorted
from node.trie.trie import Trie


class Store(dict[bytes, bytes]):
    """Nodes by hash, counting what is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def source(self, node_hash: bytes) -> bytes | None:
        self.reads += 1
        return self.get(node_hash)


def root_of(pairs: dict[bytes, bytes]) -> Hash32:
    return build_sorted(sorted(pairs.items()))


def built(store: Store, pairs: dict[bytes, bytes]) -> Hash32:
    trie = Trie(EMPTY_TRIE_ROOT, store.source)
    for key, value in pairs.items():
        trie.put(key, value)
    root, nodes = trie.commit()
    store.update(nodes)
    return root


DOGE = {b"do": b"verb", b"dog": b"puppy", b"doge": b"coin", b"horse": b"stallion"}


def test_the_example_of_the_ethereum_wiki() -> None:
    root = built(Store(), DOGE)
    assert root.hex() == "5991bb8c6514148a29db676a14ac506cd2cd5775ace63c30a4fe457715e9ac84"
    assert root_of(DOGE) == root


def test_an_empty_trie() -> None:
    trie = Trie(EMPTY_TRIE_ROOT, {}.get)
    assert trie.get(b"") is None
    assert trie.get(b"a") is None
    assert list(trie.items()) == []
    trie.delete(b"a")
    assert trie.commit() == (EMPTY_TRIE_ROOT, {})
    trie.put(b"a", b"1")
    trie.delete(b"a")
    assert trie.commit() == (EMPTY_TRIE_ROOT, {})


def test_the_empty_key_is_a_key() -> None:
    trie = Trie(EMPTY_TRIE_ROOT, {}.get)
    trie.put(b"", b"root value")
    trie.put(b"\x10", b"1")
    assert trie.get(b"") == b"root value"
    assert list(trie.items()) == [(b"", b"root value"), (b"\x10", b"1")]
    trie.delete(b"\x10")
    assert trie.commit()[0] == root_of({b"": b"root value"})


def test_an_empty_value_deletes() -> None:
    trie = Trie(EMPTY_TRIE_ROOT, {}.get)
    trie.put(b"a", b"1")
    trie.put(b"b", b"2")
    trie.put(b"a", b"")
    assert trie.get(b"a") is None
    assert trie.commit()[0] == root_of({b"b": b"2"})


@pytest.mark.parametrize(
    ("pairs", "gone"),
    [
        pytest.param({b"\x11": b"a", b"\x12": b"b"}, b"\x11", id="branch becomes a leaf"),
        pytest.param({b"\x11": b"a", b"\x21": b"b"}, b"\x11", id="root branch becomes a leaf"),
        pytest.param({b"\x11\x11": b"a", b"\x11\x12": b"b", b"\x21": b"c"}, b"\x21", id="branch becomes an extension"),
        pytest.param({b"\x11\x11": b"a", b"\x11\x12": b"b", b"\x11": b"c"}, b"\x11", id="extensions join"),
        pytest.param({b"\x11": b"a", b"\x11\x12": b"b"}, b"\x11\x12", id="only the value of a branch is left"),
        pytest.param({b"\x11": b"a", b"\x11\x12": b"b"}, b"\x11", id="the value of a branch goes"),
        pytest.param(
            {b"\x11\x11": b"a", b"\x11\x12": b"b", b"\x12\x11": b"c"}, b"\x12\x11", id="branch above a branch"
        ),
        pytest.param({b"\x11\x11": b"a", b"\x11\x12": b"b", b"\x13": b"c"}, b"\x11\x12", id="leaf under an extension"),
    ],
)
@pytest.mark.parametrize("size", [1, 40])
@pytest.mark.parametrize("reopen", [True, False])
def test_deletes_collapse(pairs: dict[bytes, bytes], gone: bytes, size: int, reopen: bool) -> None:
    pairs = {key: value * size for key, value in pairs.items()}
    store = Store()
    trie = Trie(EMPTY_TRIE_ROOT, store.source)
    for key, value in pairs.items():
        trie.put(key, value)
    if reopen:
        root, nodes = trie.commit()
        store.update(nodes)
        trie = Trie(root, store.source)
    trie.delete(gone)
    del pairs[gone]
    assert trie.commit()[0] == root_of(pairs)
    assert list(trie.items()) == sorted(pairs.items())


def test_deleting_what_is_not_there_changes_nothing() -> None:
    store = Store()
    root = built(store, DOGE)
    trie = Trie(root, store.source)
    for key in (b"", b"d", b"dogs", b"doges", b"horsf", b"x"):
        trie.delete(key)
    assert trie.commit() == (root, {})


def test_commit_hands_out_each_changed_node_once_and_goes_on() -> None:
    store = Store()
    trie = Trie(EMPTY_TRIE_ROOT, store.source)
    pairs = {keccak256(bytes((index,))): b"v" * 40 for index in range(200)}
    for key, value in pairs.items():
        trie.put(key, value)
    root, nodes = trie.commit()
    assert all(keccak256(encoded) == node_hash for node_hash, encoded in nodes.items())
    assert trie.commit() == (root, {})
    # The store holds nothing yet: the trie goes on from its own nodes.
    key = keccak256(b"\x07")
    trie.put(key, b"w" * 40)
    pairs[key] = b"w" * 40
    second, more = trie.commit()
    assert second == root_of(pairs)
    assert 0 < len(more) <= 5
    assert store.reads == 0
    store.update(nodes)
    assert Trie(root, store.source).get(key) == b"v" * 40
    store.update(more)
    assert Trie(second, store.source).get(key) == b"w" * 40


def test_a_missing_node_is_named_and_leaves_the_trie_as_it_was() -> None:
    store = Store()
    pairs = {keccak256(bytes((index,))): b"v" * 40 for index in range(100)}
    root = built(store, pairs)
    victims = [node_hash for node_hash in store if node_hash != root]
    for victim in victims[::7]:
        broken = Store()
        broken.update(store)
        encoded = broken.pop(victim)
        trie = Trie(root, broken.source)
        missed: list[bytes] = []
        for key in pairs:
            try:
                trie.get(key)
                trie.put(key, b"x" * 40)
            except MissingNode as error:
                missed.append(error.node_hash)
        assert set(missed) == {victim}
        with pytest.raises(MissingNode):
            list(trie.items())
        # Put the node back: nothing was damaged by the failed writes.
        broken[victim] = encoded
        for key in pairs:
            trie.put(key, b"x" * 40)
        assert trie.commit()[0] == root_of(dict.fromkeys(pairs, b"x" * 40))


def test_a_missing_sibling_stops_a_delete_before_it_changes_anything() -> None:
    pairs = {b"\x11": b"a" * 40, b"\x12": b"b" * 40, b"\x21": b"c" * 40}
    store = Store()
    root = built(store, pairs)
    sibling = next(h for h, encoded in store.items() if b"b" * 40 in encoded)
    encoded = store.pop(sibling)
    trie = Trie(root, store.source)
    with pytest.raises(MissingNode):
        trie.delete(b"\x11")
    assert trie.get(b"\x11") == b"a" * 40
    store[sibling] = encoded
    trie.delete(b"\x11")
    del pairs[b"\x11"]
    assert trie.commit()[0] == root_of(pairs)


def test_items_from_a_key_on() -> None:
    store = Store()
    pairs = {bytes((a, b)): b"v" * (1 + a) for a in range(0, 256, 17) for b in range(0, 256, 51)} | DOGE | {b"": b"e"}
    trie = Trie(built(store, pairs), store.source)
    for start in [b"", b"\x00", b"\x11\x33", b"\x11\x34", b"do", b"doh", b"dog\x00", b"\xff\xff", b"\xff\xff\x00"]:
        assert list(trie.items(start)) == [pair for pair in sorted(pairs.items()) if pair[0] >= start]


def test_decoded_nodes_are_shared_and_never_changed() -> None:
    store = Store()
    pairs = {keccak256(bytes((index,))): b"v" * 40 for index in range(100)}
    root = built(store, pairs)
    cache = NodeCache(store.source)
    assert dict(Trie(root, cache).items()) == pairs
    reads = store.reads
    writer = Trie(root, cache)
    for key in list(pairs)[:50]:
        writer.delete(key)
    for key in list(pairs)[50:]:
        writer.put(key, b"other" * 9)
    assert dict(Trie(root, cache).items()) == pairs
    writer.commit()
    assert dict(Trie(root, cache).items()) == pairs
    assert store.reads == reads
    assert dict(Trie(root, cache.over({}.get)).items()) == pairs
    # A cache too small for the trie only costs reads.
    assert dict(Trie(root, NodeCache(store.source, 2)).items()) == pairs


def test_a_trie_finds_what_it_has_committed_though_nobody_has_stored_it() -> None:
    trie = Trie(EMPTY_TRIE_ROOT, NodeCache({}.get, 2))
    pairs = {keccak256(bytes((index,))): b"v" * 40 for index in range(100)}
    for key, value in pairs.items():
        trie.put(key, value)
    trie.commit()
    assert {key: trie.get(key) for key in pairs} == pairs


def test_many_puts_leave_the_bounded_cache_bounded() -> None:
    cache: BoundedCache[int, str] = BoundedCache(8)
    cache.put(-1, "first")
    cache.put_all({number: str(number) for number in range(3)})
    assert cache.get(-1) == "first"
    cache.put_all({number: str(number) for number in range(100)})
    assert len(cache) <= 8
    assert cache.get(99) == "99"
    for start in range(0, 50, 3):
        cache.put_all(dict.fromkeys(range(start, start + 3), "x"))
        assert len(cache) <= 8
    weighed: BoundedCache[int, str] = BoundedCache(8, len)
    with pytest.raises(AssertionError):
        weighed.put_all({1: "x"})


def test_the_bounded_cache_forgets_the_oldest_and_keeps_what_is_used() -> None:
    cache: BoundedCache[int, str] = BoundedCache(8)
    for number in range(100):
        cache.put(number, str(number))
        assert cache.get(0) == "0"
        assert len(cache) <= 8
    assert cache.get(99) == "99"
    assert cache.get(50) is None


def test_a_sorted_build_emits_the_same_nodes_as_puts() -> None:
    store = Store()
    pairs = {keccak256(bytes((index,))): bytes((index,)) * (index % 60 + 1) for index in range(1, 200)} | DOGE
    root = built(store, pairs)
    emitted: dict[Hash32, bytes] = {}
    assert build_sorted(sorted(pairs.items()), emitted.__setitem__) == root
    assert emitted == dict(store)
    for encoded in emitted.values():
        decode_node(encoded)


def test_a_sorted_build_refuses_disorder() -> None:
    assert build_sorted([]) == EMPTY_TRIE_ROOT
    for pairs in ([(b"b", b"1"), (b"a", b"1")], [(b"a", b"1"), (b"a", b"2")]):
        with pytest.raises(ValueError, match="ascend"):
            build_sorted(pairs)
    with pytest.raises(ValueError, match="empty"):
        build_sorted([(b"a", b"")])
