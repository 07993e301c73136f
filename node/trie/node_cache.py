"""Encoded nodes in front of a node source: what makes the upper levels of a trie cheap to read.

Nodes are named by their content, so a cached one is right for ever and for every root.
"""

from __future__ import annotations

from typing import Final

from node.primitives.bounded_cache import BoundedCache
from node.primitives.scalars import Hash32
from node.trie.nodes import MissingNode, Node, NodeSource, decode_node

NODES_MAX: Final = 32_000
"""Default bound: about 20 MB when most are full branches."""


class NodeCache:
    """A ``NodeSource`` that also hands out nodes that were read before; share one between all tries of a node.

    ``over`` gives another source in front of the same nodes: candidates that are not stored yet, a branch that lost.
    """

    __slots__ = ("_nodes", "_source")

    def __init__(self, source: NodeSource, nodes_max: int = NODES_MAX) -> None:
        self._source = source
        self._nodes: BoundedCache[bytes, bytes] = BoundedCache(nodes_max)

    def over(self, source: NodeSource) -> NodeCache:
        """This cache in front of another source."""
        other = NodeCache(source, 2)
        other._nodes = self._nodes
        return other

    def __call__(self, node_hash: bytes) -> bytes | None:
        return self._source(node_hash)

    def encoded(self, node_hash: bytes) -> bytes:
        """The node's RLP. Raises MissingNode."""
        encoded = self._nodes.get(node_hash)
        if encoded is None:
            encoded = self._source(node_hash)
            if encoded is None:
                raise MissingNode(node_hash)
            self._nodes.put(node_hash, encoded)
        return encoded

    def passing(self, node_hash: bytes) -> bytes:
        """The same for who replaces the node: what is not kept already, is not from now on. Raises MissingNode."""
        encoded = self._nodes.get(node_hash) or self._source(node_hash)
        if encoded is None:
            raise MissingNode(node_hash)
        return encoded

    def node(self, node_hash: bytes) -> Node:
        """The decoded node, the caller's own. Raises MissingNode or MalformedNode."""
        return decode_node(self.encoded(node_hash))

    def remember(self, nodes: dict[Hash32, bytes]) -> None:
        """Keep nodes that are at hand already."""
        self._nodes.put_all(nodes)
