"""Simplified Gasper: slots and epochs, LMD-GHOST over a block tree, Casper FFG finality, slashing.

rules          what a chain's validators agree on; slots on the wall clock
checkpoints    epochs, checkpoints, the pair (justified, finalized)
fork_choice    which block is the head: the store, on abstract values
justification  two thirds of the weight justify; four ways to become final
committees     who proposes and who attests in which slot
messages       blocks, attestations, evidence, statuses and requests; what is signed
state          the consensus state after a block, and how a block changes it
protection     what a key may still sign
"""
