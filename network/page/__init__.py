"""The cluster page: the whole network in a browser, what goes wrong with it, and an explorer of its chain.

    browser  <- stream -  server  <- snapshot -  watch  <- JSON-RPC -  every node
             -- GET --->  server  -- asks ---->  explorer -- JSON-RPC ->  one node
             -- POST -->  server  -- calls --->  deeds  ->  the hands that the commands use

One process a network (``process.py``), on the loopback address only. What the nodes say is decoded here and shown there
as text; nothing that a node, a contract or a transaction holds is ever markup. May import ``network.cluster`` and what
that may; nobody imports it.
"""
