"""The Merkle-Patricia trie. Knows nothing of accounts; imports primitives and crypto.

trie.Trie            reads and writes at a root, new nodes out   <- node_cache.NodeCache <- a node source
batch_update         many changes at once: what a block does     <- encoded: nodes read and patched in their RLP
sorted_build         a whole trie at once: genesis, ordered_root (a block's lists)
proofs               the way to one key, for those who have only the root
"""
