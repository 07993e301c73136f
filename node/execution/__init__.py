"""The pure state transition: (block, view, spec) -> result. No I/O, no async, no clock.

    fees, intrinsic, validity          what a transaction costs, and whether it may stand
    transaction                        CheckedTransaction -> evm/call_stack over state/journal -> TransactionResult
    header, system_calls               headers against their parent; calls, withdrawals and requests beside transactions
    block_run                          one block in progress, shared by both ends:
        block.apply_block              a received block: execute, compare every claim of its header, commit
        builder.build_block            our own block: the same run, then the header is filled in
    calls                              eth_call, estimates, access lists: runs that nobody keeps
    geth_words                         refusals in the words that client libraries match

Imports primitives, crypto, trie, types, evm, state. Knows no fork: rules arrive as a ``Spec`` value.
"""
