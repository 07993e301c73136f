"""What handlers share, in restricted Python: 256-bit arithmetic, keccak, memory, tables of accounts and slots."""
