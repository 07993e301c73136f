"""Ground floor: scalars, RLP and hex. Imports nothing of ours; every room may import it."""
