"""Moves bytes between peers: authenticated, encrypted, bounded, scored.

Knows nothing of blocks, so it can be tested, fuzzed and simulated alone.
Imports primitives, runtime, crypto, storage, telemetry.
"""
