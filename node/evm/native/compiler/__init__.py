"""Restricted Python to LLVM IR: annotated functions over fixed-width integers and addresses.

A source module is ordinary Python that mypy reads: ``types`` has the words it may use, ``intrinsics`` the operations
that Python has no sign for. ``module`` follows the calls from the exported functions, ``function`` translates one.
"""
