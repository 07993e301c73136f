"""Official vectors through the package's own runners (network/vectors); README.md tells which there are.

pytest tests/vectors                    a fast sample, the same every time
EVMESH_VECTORS=all pytest tests/vectors everything but the twelve longest cases (=slow: those, too)
scripts/test --vectors                  the same, on all processors
"""
