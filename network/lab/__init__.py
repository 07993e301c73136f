"""Networks for programs: the verbs of the command line as a Python object, on real processes or under virtual time.

    net.py          Net: what every such network can do, whatever carries it
    members.py      Node and Contract: what a network hands out
    processes.py    ProcessNet: real node processes (network/cluster)
    compose.py      ComposeNet: the same nodes in containers
    defaults.py     what they are where nothing is said
    simulated.py    SimulatedNet: the same nodes in this process, under virtual time (network/simulator)
    web3_door.py    a web3.py object for a node

The public door is network/evmesh.py; the pytest plugin (network/pytest_plugin.py) uses the same.
"""
