"""Runs code against a Host. Imports no state, no chain, no fork; rules arrive as a ``Spec`` value.

    Message --call_stack.execute_message--> loop of frames --machine.run_frame--> Success | Revert | Halt
                                                       CALL/CREATE: run_frame returns ChildCall, the loop pushes a frame

No Python recursion: depth 1024 is a list of frames. Pure: no clock, no async.
"""
