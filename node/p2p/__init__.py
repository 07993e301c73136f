"""Moves bytes between peers: authenticated, encrypted, bounded, scored.

    Network ─▶ peer_set ─▶ handshake ─▶ session ─▶ introduction ─▶ peer ─▶ switch ─▶ gossip │ requests │ neighbours
               dials by      Noise XX     sealed      hello, ready    outbox,   dispatch   inbox ─▶ handler ─▶ verdict
               discovery                  frames      or goodbye      pings     by kind    wire: msgpack, checked

Knows nothing of blocks, so it can be tested, fuzzed and simulated alone. What a peer can make us spend, and which
bound stops it: README.md beside this file.
Imports primitives, runtime, crypto, storage, telemetry.
"""
