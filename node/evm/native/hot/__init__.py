"""Hot code: loops that run often, compiled in a process of their own and entered while they run.

code, hits ──blocks, regions──▶ what a unit holds ──emitter, steps──▶ LLVM IR ──worker──▶ object ──codes──▶ entries

A unit does only what it can finish: for everything else it leaves, with the stack as it must be, to the interpreter,
before the block or the instruction in question. So results never depend on what is hot.
"""
