"""One evmesh node: an EVM, its chain, consensus, p2p and JSON-RPC in one asyncio process.

Rooms lie on floors; a room imports only lower floors (held by tests/architecture).
node/README.md draws the floors and the road of a transaction.
"""
