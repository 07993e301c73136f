"""Compiled contracts (JSON artifacts with their source and compiler version) that ship with evmesh."""
