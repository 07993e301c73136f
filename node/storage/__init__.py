"""Bytes in, bytes out: the Database door, its durable and in-memory tenants, and every key prefix.

May import primitives and runtime. Knows nothing of blocks or accounts.
"""
