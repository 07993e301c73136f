"""The blocks of a case through the Python execution specification's ``state_transition``."""

from __future__ import annotations

from typing import Any

from tests.differential import chains
from tests.differential.cases import CHAIN_ID, Answer, Case, since, to_hex
from tests.differential.spec_answers import Snapshot, accounts_of, read_state, room


def answer(case: Case) -> Answer:
    """Import the blocks that this node made; proof-of-work seals are not looked at."""
    from ethereum.exceptions import EthereumException
    from ethereum_rlp import rlp
    from ethereum_types.numeric import U64

    fork = case["fork"]
    made = chains.make(case)
    rules, blocks = room(fork, "fork"), room(fork, "blocks")
    if not since(fork, "Paris"):
        rules.validate_proof_of_work = _not_looked_at
    state = read_state(fork, case["alloc"])
    chain = rules.BlockChain([rlp.decode_to(blocks.Block, made.genesis.encode())], state, U64(CHAIN_ID))
    accepted: list[bool] = []
    refusals: list[str] = []
    for raw, told in zip(made.raws, case["blocks"], strict=True):
        snapshot = Snapshot(fork, state)
        try:
            rules.state_transition(chain, rlp.decode_to(blocks.Block, raw))
        except Exception as refusal:  # its decoder and its arithmetic refuse with errors of many kinds
            if not told["tamper"] and not told["ommers"] and not isinstance(refusal, EthereumException):
                raise
            snapshot.restore()
            accepted.append(False)
            refusals.append(repr(refusal))
        else:
            accepted.append(True)
    return {
        "accepted": accepted,
        "state_root": to_hex(rules.state_root(state)),
        "accounts": accounts_of(state),
        "?refusals": refusals,
    }


def _not_looked_at(header: Any) -> None:
    """Instead of the seal's check."""
