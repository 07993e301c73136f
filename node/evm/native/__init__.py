"""A machine whose source is restricted Python, compiled once by LLVM; rules of forks reach it as tables.

runtime/, interpreter/ --compiler/--> LLVM IR --llvm.py--> object file --object_file.py--> functions of this process
hot/ compiles loops while they run, and is off unless it is asked for.
machine.py runs messages, block_tables.py transactions in a row; bridge.py asks the host and tells it of changes
"""
