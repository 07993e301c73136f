"""The blocks of a case through the Python execution specification's ``state_transition``."""

from __future__ import annotations

from dataclasses import fields
from types import SimpleNamespace
from typing import Any

from tests.differential import chains
from tests.differential.cases import CHAIN_ID, Answer, Case, account_json, from_hex, since, to_hex
from tests.differential.spec_answers import Snapshot, accounts_of, read_state, room


def answer(case: Case) -> Answer:
    """Import the blocks that this node made; proof-of-work seals are not looked at."""
    from ethereum.exceptions import EthereumException
    from ethereum_rlp import rlp

    made = chains.make(case)
    world = _World(case["fork"], read_state(case["fork"], case["alloc"]))
    world.blocks = [rlp.decode_to(world.block_class, made.genesis.encode())]
    accepted: list[bool] = []
    refusals: list[str] = []
    for raw, told in zip(made.raws, case["blocks"], strict=True):
        number = 1 + sum(accepted)
        world.move_to(chains.fork_at(case, number), number)
        snapshot = Snapshot(world.fork, world.state)
        try:
            world.extend(rlp.decode_to(world.block_class, raw))
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
        "state_root": to_hex(room(world.fork, "state").state_root(world.state)),
        "accounts": accounts_of(world.state),
        "?refusals": refusals,
    }


class _World:
    """The specification's chain, each block under the package of its fork."""

    def __init__(self, fork: str, state: Any) -> None:
        self.fork = fork
        self.state = state
        self.blocks: list[Any] = []
        self._first_london = 0

    @property
    def block_class(self) -> Any:
        """What the fork's blocks decode to."""
        return room(self.fork, "blocks").Block

    def move_to(self, fork: str, number: int) -> None:
        """From block ``number`` on another fork's rules."""
        if fork == self.fork:
            return
        alloc = {
            address: account_json(balance, nonce, from_hex(code), {int(k, 16): int(v, 16) for k, v in slots.items()})
            for address, (nonce, balance, code, slots) in accounts_of(self.state).items()
        }
        self.state = read_state(fork, alloc)
        self.fork = fork
        self.blocks = [SimpleNamespace(header=self._as_own(block.header)) for block in self.blocks]
        if fork == "London":
            self._first_london = number

    def _as_own(self, header: Any) -> Any:
        """The header in the new package's class where it has the same form: only so is it believed to have blobs."""
        from ethereum_rlp import rlp

        try:
            return rlp.decode_to(room(self.fork, "blocks").Header, rlp.encode(header))
        except Exception:
            return header

    def extend(self, block: Any) -> None:
        """Import one; proof-of-work seals are not looked at. Raises what the specification raises."""
        from ethereum.fork_criteria import ByBlockNumber
        from ethereum_types.numeric import U64

        rules = room(self.fork, "fork")
        if not since(self.fork, "Paris"):
            rules.validate_proof_of_work = _not_looked_at
        if self.fork == "London":
            rules.FORK_CRITERIA = ByBlockNumber(self._first_london)
        if self.fork == "Prague":
            rules.calculate_excess_blob_gas = _excess_after_any_parent
        chain = rules.BlockChain(self.blocks, self.state, U64(CHAIN_ID))
        rules.state_transition(chain, block)
        self.blocks = chain.blocks


def _excess_after_any_parent(parent: Any) -> Any:
    """The specification takes a parent without requests for one without blobs."""
    from ethereum_types.bytes import Bytes32

    own = room("Prague", "blocks").Header
    if hasattr(parent, "excess_blob_gas") and not isinstance(parent, own):
        held = {entry.name: getattr(parent, entry.name) for entry in fields(parent)}
        parent = own(**held, requests_hash=Bytes32(bytes(32)))
    return room("Prague", "vm.gas").calculate_excess_blob_gas(parent)


def _not_looked_at(header: Any) -> None:
    """Instead of the seal's check."""
