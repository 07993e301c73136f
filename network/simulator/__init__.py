"""The same nodes under virtual time: one process, one loop, one seed, one trace hash.

    event_loop   asyncio whose clock is a number; pause and crash of one node
    entropy      every chance in the run, drawn from the seed
    clocks       wall time that is wrong in the way asked for
    disk         a database that forgets what was not made durable
    links        the network door, delivering through network/faults/link_policy
    simulation   N whole nodes on the above; faults, invariants, trace hash

May import node/ and the rest of network/. Nothing in node/ knows that it exists.
"""
