"""The interpreter: one handler for every instruction, each of which ends by jumping to the next one's.

What an instruction needs of the stack is compiled in; what a fork may change (which handler, its base gas, every
price and switch) is read from tables. Calls do not recurse: a child's frame is a record, and so is its parent's.
"""
