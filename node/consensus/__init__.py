"""Engines under one sans-I/O protocol; driver.py alone is async."""
