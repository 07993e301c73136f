"""Pure functions over bytes: hashes, signatures, curves. The one place that knows which package does them.

May import primitives. Nothing here holds state or secrets beyond a call.
"""
