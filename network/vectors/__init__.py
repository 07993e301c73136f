"""Official test vectors: reading them, running them, and the ``t8n`` and ``run`` tools that fillers and fuzzers drive.

fields, files      hostile JSON and archives into checked values, or one line that says what is wrong
networks           the fork names of fixtures
state_cases        one transaction on an allocation
block_cases        a genesis and blocks to import
verdicts, running  what came out; many files in several processes
transition*        ``t8n``: alloc, env and transactions into a result
single_run         ``run``: one message, with or without a state below it

It stands beside the cluster: it imports node, and nothing of the cluster.
"""
