"""Ground floor: the four doors to the outside world (clock, network, workers, entropy) and structured tasks.

The only room that may name wall time, sockets, threads and OS entropy. The simulator hands a node
other tenants of the same doors, so everything above runs unchanged under virtual time.
Imports nothing of ours.
"""
