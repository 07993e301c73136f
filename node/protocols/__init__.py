"""Gives meaning to p2p bytes: what peers say about chains and transactions."""
