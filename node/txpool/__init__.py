"""Waiting transactions by sender and nonce. One writer: TxPool."""
