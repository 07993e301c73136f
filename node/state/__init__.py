"""Accounts and slots at a root; journalled changes on top; commit to a new root.

    StateView (root) <- JournaledState (checkpoints, warm sets, logs) --diff--> StateDiff --commit--> new root + nodes

Imports primitives, crypto, storage, trie, types. Pure: no clock, no async.
"""
