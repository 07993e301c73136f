"""The Merkle-Patricia trie: reads and writes at a root, one batch of new nodes out (Yellow Paper, appendix D).

    root --source--> decoded nodes (shared, cached) --put/delete--> own copies of a path --commit--> root + new nodes

A node reached through a reference is shared and only read; a node reached as an object is ours and is
changed in place. ``commit`` encodes and hashes each of ours once, however often it was changed.
"""

from __future__ import annotations

from collections.abc import Iterator

from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.primitives import rlp
from node.primitives.scalars import Hash32
from node.trie.encoded import entry_span
from node.trie.node_cache import NodeCache
from node.trie.nodes import (
    EMPTY_REFERENCE,
    VALUE_INDEX,
    Branch,
    Child,
    Extension,
    Leaf,
    MalformedNode,
    Node,
    NodeSource,
    common_prefix_length,
    decode_node,
    decode_value,
    encode_branch,
    encode_extension,
    encode_node,
    from_nibbles,
    joined,
    reference_of,
    root_reference,
    to_nibbles,
)


class Trie:
    """A trie at ``root``. Keys are any bytes, values any bytes but none. One writer.

    Every operation may raise MissingNode; the trie then stands as before the operation.
    """

    __slots__ = ("_cache", "_fresh", "_root")

    def __init__(self, root: Hash32, source: NodeSource) -> None:
        self._cache = source if isinstance(source, NodeCache) else NodeCache(source)
        self._root: Child = root_reference(root)
        self._fresh: dict[bytes, Node] = {}
        """Committed by this trie: the source may not hold them yet."""

    # --- reading ---

    def _resolve(self, reference: bytes) -> Node:
        if reference[0] != 0xA0:
            return decode_node(reference)
        node_hash = reference[1:]
        return self._fresh.get(node_hash) or self._cache.node(node_hash)

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        path = to_nibbles(key)
        position = 0
        child = self._root
        cache = self._cache
        fresh = self._fresh
        while True:
            if type(child) is bytes:
                if child == EMPTY_REFERENCE:
                    return None
                if child[0] == 0xA0 and not fresh and position < len(path):
                    data = cache.encoded(child[1:])
                    span = entry_span(data, path[position])
                    if span is not None:
                        child = data[span[0] : span[1]]
                        position += 1
                        continue
                child = self._resolve(child)
            if type(child) is Branch:
                if position == len(path):
                    return decode_value(child.children[VALUE_INDEX])
                child = child.children[path[position]]
                position += 1
            elif type(child) is Extension:
                if not path.startswith(child.path, position):
                    return None
                position += len(child.path)
                child = child.child
            else:
                assert type(child) is Leaf
                return child.value if path[position:] == child.path else None

    def items(self, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All pairs with a key of at least ``start``, in key order. The trie must not change meanwhile."""
        bound = to_nibbles(start)
        stack: list[tuple[bytes, Child]] = [] if self._root == EMPTY_REFERENCE else [(b"", self._root)]
        while stack:
            prefix, child = stack.pop()
            if prefix < bound[: len(prefix)]:
                continue  # everything below sorts before the bound
            node = self._resolve(child) if isinstance(child, bytes) else child
            if isinstance(node, Branch):
                children = node.children
                used = [index for index in range(15, -1, -1) if children[index] != EMPTY_REFERENCE]
                stack.extend((prefix + bytes((index,)), children[index]) for index in used)
                value = decode_value(children[VALUE_INDEX])
                if value is not None and prefix >= bound:
                    yield from_nibbles(prefix), value
            elif isinstance(node, Extension):
                stack.append((prefix + node.path, node.child))
            elif prefix + node.path >= bound:
                yield from_nibbles(prefix + node.path), node.value

    # --- writing ---

    def _own(self, child: Child) -> Node:
        """The child as a node of ours, that may be changed."""
        if type(child) is not bytes:
            return child  # type: ignore[return-value]  # a Child that is not bytes is a Node
        node = self._resolve(child)
        if type(node) is Branch:
            return Branch(node.children.copy())
        if type(node) is Extension:
            return Extension(node.path, node.child)
        assert type(node) is Leaf
        return Leaf(node.path, node.value)

    def _attach(self, parent: Branch | Extension | None, index: int, node: Child) -> None:
        """Make ``node`` the child of ``parent`` (the root where there is none)."""
        if parent is None:
            self._root = node
        elif type(parent) is Branch:
            parent.children[index] = node
        else:
            assert type(parent) is Extension
            parent.child = node

    def put(self, key: bytes, value: bytes) -> None:
        """Store ``value``; an empty one deletes, as in the Yellow Paper."""
        if not value:
            self.delete(key)
            return
        path = to_nibbles(key)
        position = 0
        parent: Branch | Extension | None = None
        index = 0
        child = self._root
        while True:
            if type(child) is bytes:
                if child == EMPTY_REFERENCE:
                    self._attach(parent, index, Leaf(path[position:], value))
                    return
                child = self._own(child)
                self._attach(parent, index, child)
            if type(child) is Branch:
                if position == len(path):
                    child.children[VALUE_INDEX] = rlp.encode_bytes(value)
                    return
                parent = child
                index = path[position]
                position += 1
                child = child.children[index]
            elif type(child) is Extension:
                if not path.startswith(child.path, position):
                    self._attach(parent, index, _split(child, path[position:], value))
                    return
                position += len(child.path)
                parent = child
                child = child.child
            else:
                assert type(child) is Leaf
                if path[position:] == child.path:
                    child.value = value
                else:
                    self._attach(parent, index, _split(child, path[position:], value))
                return

    def delete(self, key: bytes) -> None:
        """Remove ``key``; no change where it is absent."""
        path = to_nibbles(key)
        trail = self._trail(path)
        if trail is None:
            return
        child, position = trail.pop()
        if type(child) is Branch:
            left: Child = self._without(child, VALUE_INDEX)
        else:
            left = EMPTY_REFERENCE
        # A parent changes its kind only where it loses a child; the sibling it then needs is read before
        # anything of ours is changed, so a missing one leaves the trie as it was.
        while trail:
            node, position = trail.pop()
            if type(node) is Extension:
                assert not isinstance(left, bytes)
                left = joined(node.path, left)
            else:
                assert type(node) is Branch
                index = path[position]
                if left == EMPTY_REFERENCE:
                    left = self._without(node, index)
                else:
                    children = node.children.copy()
                    children[index] = left
                    left = Branch(children)
        self._root = left

    def _trail(self, path: bytes) -> list[tuple[Node, int]] | None:
        """The nodes from the root to where ``path`` ends, with the position in the path; None where it is absent."""
        trail: list[tuple[Node, int]] = []
        position = 0
        child = self._root
        while True:
            if isinstance(child, bytes):
                if child == EMPTY_REFERENCE:
                    return None
                child = self._resolve(child)
            trail.append((child, position))
            if isinstance(child, Branch):
                if position == len(path):
                    return None if child.children[VALUE_INDEX] == EMPTY_REFERENCE else trail
                child = child.children[path[position]]
                position += 1
            elif isinstance(child, Extension):
                if not path.startswith(child.path, position):
                    return None
                position += len(child.path)
                child = child.child
            else:
                return trail if path[position:] == child.path else None

    def _without(self, branch: Branch, index: int) -> Node:
        """What a branch becomes without one entry: itself, or what is left when a single entry remains."""
        remaining = [i for i, child in enumerate(branch.children) if child != EMPTY_REFERENCE and i != index]
        if len(remaining) > 1:
            children = branch.children.copy()
            children[index] = EMPTY_REFERENCE
            return Branch(children)
        if not remaining:
            raise MalformedNode("branch with a single entry")
        only = remaining[0]
        if only == VALUE_INDEX:
            value = decode_value(branch.children[VALUE_INDEX])
            assert value is not None
            return Leaf(b"", value)
        child = branch.children[only]
        node = self._resolve(child) if isinstance(child, bytes) else child
        if isinstance(node, Branch):
            return Extension(bytes((only,)), child)
        return joined(bytes((only,)), node)

    # --- committing ---

    def commit(self) -> tuple[Hash32, dict[Hash32, bytes]]:
        """The root, and by hash every node that was changed since the last commit. The trie goes on from there."""
        root = self._root
        if isinstance(root, bytes):
            return (EMPTY_TRIE_ROOT if root == EMPTY_REFERENCE else Hash32(root[1:])), {}
        nodes: dict[Hash32, bytes] = {}
        encoded = self._encode(root, nodes)
        root_hash = keccak256(encoded)  # the root is named by hash, however short
        nodes[root_hash] = encoded
        self._fresh[root_hash] = root
        self._cache.remember(nodes)
        self._root = b"\xa0" + root_hash
        return root_hash, nodes

    def _encode(self, node: Node, nodes: dict[Hash32, bytes]) -> bytes:
        """RLP of a node of ours; its changed children are encoded first and become references."""
        if type(node) is Branch:
            children = node.children
            for index, child in enumerate(children):
                if type(child) is not bytes:
                    children[index] = self._seal(child, nodes)  # type: ignore[arg-type]
            return encode_branch(children)  # type: ignore[arg-type]  # all are references now
        if type(node) is Extension:
            child = node.child
            if type(child) is not bytes:
                child = node.child = self._seal(child, nodes)  # type: ignore[arg-type]
            return encode_extension(node.path, child)
        return encode_node(node)

    def _seal(self, node: Node, nodes: dict[Hash32, bytes]) -> bytes:
        encoded = self._encode(node, nodes)
        reference, node_hash = reference_of(encoded)
        if node_hash is not None:
            nodes[node_hash] = encoded
            self._fresh[node_hash] = node
        return reference


def _split(node: Leaf | Extension, path: bytes, value: bytes) -> Node:
    """A leaf or extension that a key parts from: a branch, under an extension where they share nibbles."""
    shared = common_prefix_length(node.path, path)
    children: list[Child] = [EMPTY_REFERENCE] * 17
    rest = node.path[shared:]
    if isinstance(node, Extension):
        children[rest[0]] = Extension(rest[1:], node.child) if len(rest) > 1 else node.child
    elif rest:
        children[rest[0]] = Leaf(rest[1:], node.value)
    else:
        children[VALUE_INDEX] = rlp.encode_bytes(node.value)
    rest = path[shared:]
    if rest:
        children[rest[0]] = Leaf(rest[1:], value)
    else:
        children[VALUE_INDEX] = rlp.encode_bytes(value)
    branch = Branch(children)
    return Extension(path[:shared], branch) if shared else branch
