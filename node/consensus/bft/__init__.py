"""Accountable Tendermint, the rules R0..R10 of README.md beside this file.

messages.py what is said and signed · vote_keeper.py counting · evidence.py convictions ·
round_machine.py the rules of one height · core.py heights, catch-up, boot: the Engine ·
signatures.py who signed. Imports consensus/{engine,validators,proposal_fields}, types and below.
"""
