"""Three engines under one sans-I/O protocol; driver.py alone is async.

    switch ──> driver ──Input──> engine.handle ──[Effect]──> driver ──> chain, switch, signer, timers
                 ^                                             │
                 └───────── answers come back as Inputs ───────┘

engine.py    the protocol: inputs, effects, what an engine may hold
validators   who votes, with what weight; quorum arithmetic; whose turn it is
proposal_fields  what consensus prescribes in a header (time, prev_randao, roots)
journal      the consensus log in the database; signer: the only holder of the key, guarded by the log
bft/         accountable Tendermint; instant.py: one node, a block whenever there is work

May import chain's floor and below by protocol only: the driver is given chain, pool and switch.
"""
