"""The Merkle-Patricia trie. Knows nothing of accounts; imports primitives, crypto, storage."""
