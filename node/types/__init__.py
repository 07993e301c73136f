"""What travels: transactions, blocks, receipts, and the refusals that name what was wrong with them.

Frozen values with exact Ethereum encodings and hashes. May import primitives and crypto. Pure.

    raw bytes --transactions.decode--> Transaction --.sender--> Address
    raw bytes --blocks.decode_block--> Block(Header, transactions, withdrawals)
"""
