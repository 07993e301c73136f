"""The transpiled machine: code that runs much becomes Python source. For where nothing can be compiled to native code.

    machine    frames: compiled regions where there are some, else one instruction after another until a jump lands
      program  one code under one fork's rules: counts landings, decides what is worth compiling, keeps it
        writer     a region as the source of one function   <- expressions: words as text
        regions    blocks that static jumps join, as far as they have been seen to run
        rules      what each opcode is under a fork's rules, read from its table
        running    what the written functions call

It knows no instruction's price and no fork. Whatever depends on state is done by the plain functions, and where a
block's gas does not suffice the plain loop takes over before the block, so a run fails exactly where plain fails.
May import evm and what evm may.
"""
