"""Metrics and logs. Any room above the ground may use it; it uses only runtime."""
