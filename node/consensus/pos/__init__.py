"""Simplified Gasper: slots and epochs, LMD-GHOST over a block tree, Casper FFG finality, slashing.

checkpoints    epochs, checkpoints, the pair (justified, finalized)
fork_choice    which block is the head: the store, on abstract values
"""
