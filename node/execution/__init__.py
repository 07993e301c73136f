"""The pure state transition: (block, view, spec) -> result. No I/O, no async, no clock."""
