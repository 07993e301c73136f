"""The cluster: processes, genesis, faults, simulator, command line.

Stands beside the roof: may import node, never imported by it.
"""
