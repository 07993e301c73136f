"""Official vectors: state tests and blockchain tests against execution.

pytest tests/vectors                    a fast sample, the same every time
EVMESH_VECTORS=all pytest tests/vectors everything
python -m tests.vectors state_tests     counts per source and fork (``--help``)
"""
