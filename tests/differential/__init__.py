"""The differential fuzzer: random cases through this node, the reference specification, and revm.

    python -m tests.differential --seeds 0..999 [--fork F] [--kind program|transaction|block] [--oracle spec|pyrevm|all]

cases       what a case and an answer look like
words, programs   random programs: stack-valid, with jumps, calls, creations, and now and then nonsense
worlds      the accounts around them, and transactions of every type, also such as must be refused
chains      blocks on a genesis, also such as must be refused
node_answers, spec_answers, revm_answers   the three that are asked
shrinking   a difference made small
campaign    many seeds; what they covered

The oracles are the extra ``oracles`` of pyproject.toml; without them the tests here skip.
"""
