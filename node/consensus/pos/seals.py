"""What is stored beside a block: its consensus body, its proposer's signature, and the state after it."""

from __future__ import annotations

from node.consensus.engine import MalformedMessage
from node.consensus.pos.messages import SIGNATURE_BYTES, SignedBlock, decode_body
from node.consensus.pos.state import ChainState, decode_state
from node.primitives import rlp
from node.types.blocks import Block


def encode_seal(signed: SignedBlock, state: ChainState) -> bytes:
    """The seal of a block; the state saves whoever starts from this block the blocks before it."""
    return rlp.encode([signed.body.encode(), signed.signature, state.encode()])


def decode_seal(block: Block, seal: bytes) -> tuple[SignedBlock, ChainState]:
    """The inverse. Raises MalformedMessage."""
    try:
        body, signature, state = rlp.as_list(rlp.decode(seal), "seal", 3)
        signed = SignedBlock(
            block, decode_body(rlp.as_bytes(body, "body")), rlp.as_bytes(signature, "signature", SIGNATURE_BYTES)
        )
        if block.header.parent_beacon_block_root != signed.body.root:
            raise MalformedMessage("seal: the header commits to another body")
        return signed, decode_state(rlp.as_bytes(state, "state"))
    except rlp.RLPError as error:
        raise MalformedMessage(str(error)) from error
