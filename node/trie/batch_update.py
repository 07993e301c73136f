"""Many changes of one trie at once: every node on their ways is read once, and encoded and hashed once.

Keys are sorted, so a node's share of them is a range, and what they share is what the outer two share. A node that
changes is built anew from its children's answers; it becomes a reference where its parent holds it, not before, because
a parent that loses its other children takes it in.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.primitives import rlp
from node.primitives.scalars import Hash32
from node.trie.encoded import entry_span, leaf_path, leaf_value, with_entry
from node.trie.node_cache import NodeCache
from node.trie.nodes import (
    EMPTY_REFERENCE,
    VALUE_INDEX,
    Branch,
    Child,
    Extension,
    Leaf,
    Node,
    NodeSource,
    common_prefix_length,
    decode_node,
    decode_value,
    encode_node,
    joined,
    list_of,
    root_reference,
    to_nibbles,
)


def update(
    root: Hash32, source: NodeSource, changes: Iterable[tuple[bytes, bytes]]
) -> tuple[Hash32, dict[Hash32, bytes]]:
    """The root after ``changes``, pairs of distinct keys and values, and by hash every new node; b"" deletes.

    The same root and nodes as ``Trie.put`` and ``delete`` one by one, then ``commit``. Raises MissingNode.
    """
    cache = source if isinstance(source, NodeCache) else NodeCache(source)
    pairs = sorted(changes)
    reference = root_reference(root)
    batch = _Batch(cache, pairs)
    changed = batch.apply(reference, 0, 0, len(pairs)) if pairs else reference
    if changed is reference:
        return root, {}
    if type(changed) is bytes:
        assert changed == EMPTY_REFERENCE
        return EMPTY_TRIE_ROOT, {}
    encoded = encode_node(changed)  # type: ignore[arg-type]  # a Child that is not bytes is a Node
    new_root = keccak256(encoded)  # the root is named by hash, however short
    batch.nodes[new_root] = encoded
    cache.remember(batch.nodes)
    return new_root, batch.nodes


class _Batch:
    """Sorted changes on their way down, new nodes on their way up."""

    __slots__ = ("_cache", "_deletions", "_keys", "_paths", "_values", "nodes")

    def __init__(self, cache: NodeCache, pairs: list[tuple[bytes, bytes]]) -> None:
        self._cache = cache
        self._keys = [key for key, _ in pairs]
        self._paths = [to_nibbles(key) for key in self._keys]
        self._values = [value for _, value in pairs]
        self._deletions = [0, *accumulate(not value for value in self._values)]
        """How many there are before each."""
        self.nodes: dict[Hash32, bytes] = {}

    def apply(self, child: Child, depth: int, first: int, end: int) -> Child:
        """What stands in the place of ``child`` after changes ``first`` to ``end``: itself where they change nothing.

        All of them agree with the way to ``child``, ``depth`` nibbles; a node that is returned has only references.
        """
        if type(child) is bytes:
            if child == EMPTY_REFERENCE:
                return self._grown(depth, first, end)
            node = decode_node(self._cache.passing(child[1:]) if child[0] == 0xA0 else child)
        else:
            node = child  # type: ignore[assignment]
        if type(node) is Branch:
            return self._branch(child, node.children.copy(), [], depth, first, end)
        if type(node) is Leaf:
            path = node.path
            if end - first == 1 and self._paths[first][depth:] == path:
                value = self._values[first]
                if value == node.value:
                    return child
                return Leaf(path, value) if value else EMPTY_REFERENCE
        else:
            assert type(node) is Extension
            path = node.path
        shared = self._shared(path, depth, first, end)
        if shared == len(path) and type(node) is Extension:
            below = self.apply(node.child, depth + shared, first, end)
            return child if below is node.child else self._under(path, below)
        return self._parted(child, node, shared, depth, first, end)

    def _grown(self, depth: int, first: int, end: int) -> Child:
        """What grows where nothing was."""
        values = self._values
        while first < end and not values[first]:
            first += 1
        if first == end:
            return EMPTY_REFERENCE
        leaf = Leaf(self._paths[first][depth:], values[first])
        return self.apply(leaf, depth, first + 1, end) if first + 1 < end else leaf

    def _shared(self, path: bytes, depth: int, first: int, end: int) -> int:
        """How many nibbles of ``path`` all changes go along."""
        shared = common_prefix_length(path, self._paths[first][depth:])
        if end - first == 1:
            return shared
        return min(shared, common_prefix_length(path, self._paths[end - 1][depth:]))

    def _parted(self, child: Child, node: Leaf | Extension, shared: int, depth: int, first: int, end: int) -> Child:
        """Where changes leave the path of a leaf or an extension: a branch with what was there, and them."""
        children: list[Child] = [EMPTY_REFERENCE] * 17
        rest = node.path[shared:]
        if not rest:
            assert type(node) is Leaf
            index = VALUE_INDEX
            children[index] = rlp.encode_bytes(node.value)
        else:
            index = rest[0]
            if type(node) is Leaf:
                children[index] = Leaf(rest[1:], node.value)
            elif len(rest) > 1:
                children[index] = Extension(rest[1:], node.child)  # type: ignore[union-attr]
            else:
                children[index] = node.child  # type: ignore[union-attr]
        made = self._branch(child, children, [index], depth + shared, first, end)
        return made if made is child or shared == 0 else self._under(node.path[:shared], made)

    def _under(self, path: bytes, below: Child) -> Child:
        """``below`` at the end of ``path``."""
        if type(below) is bytes:
            if below != EMPTY_REFERENCE:
                node = self._cache.node(below[1:]) if below[0] == 0xA0 else decode_node(below)
                return Extension(path, below) if type(node) is Branch else joined(path, node)
            return EMPTY_REFERENCE
        if type(below) is Branch:
            return Extension(path, self._sealed(below))
        return joined(path, below)  # type: ignore[arg-type]

    def _branch(
        self, child: Child, children: list[Child], touched: list[int], depth: int, first: int, end: int
    ) -> Child:
        """Changes in children that are ours, of which those at ``touched`` are new; ``child`` where nothing changes."""
        paths = self._paths
        changed = False
        lost = bool(touched)
        # a branch that loses nothing takes no child in, so a child may become a reference at once
        keeps = self._deletions[end] == self._deletions[first]
        if len(paths[first]) == depth:
            value = self._values[first]
            entry = rlp.encode_bytes(value) if value else EMPTY_REFERENCE
            if entry != children[VALUE_INDEX]:
                children[VALUE_INDEX] = entry
                changed = True
                lost = lost or not value
            first += 1
        while first < end:
            nibble = paths[first][depth]
            stop = first + 1
            while stop < end and paths[stop][depth] == nibble:
                stop += 1
            old = children[nibble]
            if keeps and stop - first == 1 and type(old) is bytes:
                new: Child = self._patched(old, depth + 1, first)
            else:
                new = self.apply(old, depth + 1, first, stop)
            if new is not old and new != old:
                changed = True
                children[nibble] = new
                touched.append(nibble)
                if new == EMPTY_REFERENCE:
                    lost = True
            first = stop
        if not changed:
            return child
        if lost:
            used = [index for index, entry in enumerate(children) if entry != EMPTY_REFERENCE]
            if len(used) < 2:
                return self._only(children, used)
        for index in touched:
            made = children[index]
            if type(made) is not bytes:
                children[index] = self._sealed(made)  # type: ignore[arg-type]
        return Branch(children)

    def _patched(self, child: bytes, depth: int, index: int) -> bytes:
        """The new reference where one change, no deletion, goes down alone; ``child`` where it changes nothing.

        Branches on its way are patched. A value that is set in a leaf and a leaf that a branch gets need no more.
        """
        path, key, value = self._paths[index], self._keys[index], self._values[index]
        way: list[tuple[bytes, int, int]] = []
        reference = child
        while True:
            if reference == EMPTY_REFERENCE:
                return self._up(way, list_of(leaf_path(key, depth) + rlp.encode_bytes(value)))
            if reference[0] != 0xA0:
                node = decode_node(reference)
                break
            data = self._cache.passing(reference[1:])
            if depth == len(path):
                node = decode_node(data)
                break
            span = entry_span(data, path[depth])
            if span is None:
                item, wanted = leaf_path(key, depth), rlp.encode_bytes(value)
                held = leaf_value(data, item)
                if held is not None:
                    return child if held == wanted else self._up(way, list_of(item + wanted))
                node = decode_node(data)
                break
            start, end = span
            way.append((data, start, end))
            reference = data[start:end]
            depth += 1
        made = self.apply(node, depth, index, index + 1)
        return child if made is node else self._up(way, encode_node(made))  # type: ignore[arg-type]

    def _up(self, way: list[tuple[bytes, int, int]], data: bytes) -> bytes:
        """The reference of the first branch on ``way`` with ``data`` below the last one."""
        reference = self._named(data)
        while way:
            data, start, end = way.pop()
            reference = self._named(with_entry(data, start, end, reference))
        return reference

    def _only(self, children: list[Child], used: list[int]) -> Child:
        """What a branch becomes that keeps one entry, or none."""
        if not used:
            return EMPTY_REFERENCE
        index = used[0]
        entry = children[index]
        if index == VALUE_INDEX:
            value = decode_value(entry)
            assert value is not None
            return Leaf(b"", value)
        return self._under(bytes((index,)), entry)

    def _sealed(self, node: Node) -> bytes:
        """The reference of a node that is done."""
        return self._named(encode_node(node))

    def _named(self, encoded: bytes) -> bytes:
        """The reference of a node with this RLP, which is kept where it is named by its hash."""
        if len(encoded) < 32:
            return encoded
        node_hash = keccak256(encoded)
        self.nodes[node_hash] = encoded
        return b"\xa0" + node_hash
