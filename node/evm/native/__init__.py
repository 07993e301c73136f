"""A machine whose source is restricted Python, compiled once by LLVM; rules of forks reach it as tables.

runtime/, interpreter/ --compiler/--> LLVM IR --llvm.py--> object file --library.py--> functions of this process
"""
