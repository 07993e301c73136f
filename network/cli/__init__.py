"""The ``evmesh`` command, one file a subject. Thin: parses, calls a room below, prints."""
