"""Level 1: the sans-I/O engines on a bare heap, thousands of seeds.

    heap         virtual time
    machine      one computer: effects in order, crashes between them, clocks, a log disk that tears and fills
    harness      links, faults, timers, trace and judgement of a run, the same for both engines
    swarm        a scenario drawn from a seed · draws: crashes, partitions, weather
    payloads     the EVM: a state root is a hash of the one before and of the payload

    bft  world · nodes · byzantine · judge · convictions
    pos  pos_world · pos_node · pos_byzantine · pos_judge

Engine, signer and consensus log are the node's own; signatures are tags (the signer's key is a door).
"""
