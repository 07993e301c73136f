"""Who sends what: contracts and their call data, and (later) workloads."""
