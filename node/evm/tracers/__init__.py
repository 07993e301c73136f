"""Watchers behind the ``Tracer`` door: EIP-3155 lines and geth's tracers, each giving geth's JSON."""
