"""The same nodes under virtual time: one process, one loop, one seed, one trace hash.

    event_loop   asyncio whose clock is a number; pause and crash of one node
    entropy      every chance in the run, drawn from the seed
    clocks       wall time that is wrong in the way asked for
    disk         a database that forgets what was not made durable
    links        the network door, delivering through network/faults/link_policy
    world        machines on the above: start, crash, power cut, pause, partition; the trace and its hash
    simulation   N whole nodes in a world, every move of a head judged
    traffic      users who send transactions, and repeat what got lost
    scenario     a run as data, faults and all: what both levels take, what a failure file holds
    level1       the engines alone on a heap, hundreds of times faster than time
    level2       a scenario on whole nodes
    choosing     the scenario that a seed, or a plan, means
    runs         one run of either level, judged; the file of a run that fails
    shrinking    a failing run made smaller

May import node/ and the rest of network/. Nothing in node/ knows that it exists.
"""
