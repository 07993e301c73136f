"""Level 1: the sans-I/O engines on a bare heap, thousands of seeds.

world.py the heap, links and faults · nodes.py one engine with its disk and key · byzantine.py what liars do ·
judge.py what must hold. The engine, signer and consensus log are the node's own; the EVM is a hash and
signatures are tags (the signer's key is a door), unless a run asks for real ones.
"""
