"""Simplified Gasper: slots and epochs, LMD-GHOST over a block tree, Casper FFG finality, slashing.

core           the engine: slots, duties, imports, marks
exchange       statuses, requests and answers; blocks that wait for their parent
block_tree     the unfinalized blocks with their states, and the fork choice over them
statement_pool votes and headers heard lately, and the evidence among them
fork_choice    which block is the head: the store, on abstract values
state          the consensus state after a block, and how a block changes it
justification  two thirds of the weight justify; four ways to become final
committees     who proposes and who attests in which slot
rules          what a chain's validators agree on; slots on the wall clock
checkpoints    epochs, checkpoints, the pair (justified, finalized)
messages       blocks, attestations, evidence, statuses and requests; what is signed
codec, seals   messages on the wire and their signatures; what is stored beside a block
protection     what a key may still sign
triage, inspection   cheap questions about messages; the state in JSON types
"""
