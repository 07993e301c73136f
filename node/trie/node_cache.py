"""Decoded nodes in front of a node source: what makes the upper levels of a trie cheap to read.

Nodes are named by their content, so a cached one is right for ever and for every root.
"""

from __future__ import annotations

from typing import Final

from node.primitives.bounded_cache import BoundedCache
from node.trie.nodes import MissingNode, Node, NodeSource, decode_node

NODES_MAX: Final = 32_000
"""Default bound: about 40 MB when most are full branches."""


class NodeCache:
    """A ``NodeSource`` that also hands out decoded nodes; share one between all tries of a node.

    ``over`` gives another source in front of the same decoded nodes: candidates that are not stored yet,
    a branch that lost. A node that was decoded once is read from no source again.
    """

    __slots__ = ("_nodes", "_source")

    def __init__(self, source: NodeSource, nodes_max: int = NODES_MAX) -> None:
        self._source = source
        self._nodes: BoundedCache[bytes, Node] = BoundedCache(nodes_max)

    def over(self, source: NodeSource) -> NodeCache:
        """This cache in front of another source."""
        other = NodeCache(source, 2)
        other._nodes = self._nodes
        return other

    def __call__(self, node_hash: bytes) -> bytes | None:
        return self._source(node_hash)

    def node(self, node_hash: bytes) -> Node:
        """The decoded node, which nobody may change. Raises MissingNode or MalformedNode."""
        node = self._nodes.get(node_hash)
        if node is None:
            encoded = self._source(node_hash)
            if encoded is None:
                raise MissingNode(node_hash)
            node = decode_node(encoded)
            self._nodes.put(node_hash, node)
        return node

    def remember(self, node_hash: bytes, node: Node) -> None:
        """Keep a node that is at hand already, all its children as references."""
        self._nodes.put(node_hash, node)
