"""JSON-RPC over HTTP: one file a namespace (eth in three, by noun)."""
