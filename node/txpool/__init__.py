"""Waiting transactions by sender and nonce. One writer: TxPool. Imports execution and below; no async, no clock.

    add -> check_static (execution/validity) -> sender's nonce and balance -> account_queue -> room by replacement
    on_new_head -> drop what was included or can no longer stand, take back what was reverted
    candidates -> ordering: best effective tip first, each sender in nonce order -> build_block

A transaction is *executable* when its sender's nonces reach it without a gap and the balance covers it with all
before it; it is *queued* otherwise and becomes executable when the gap closes or the money comes.
"""
