"""What a proposer builds, every voter accepts with the same result; and no wei is made or lost on the way."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from node.primitives.scalars import ETHER, GWEI, Address
from node.state.account import decode_account
from node.state.genesis_state import GenesisAccount
from node.trie.trie import Trie
from node.types.blocks import Withdrawal
from node.types.transactions import ACCESS_LIST, BLOB, FEE_MARKET, LEGACY, Transaction
from tests.unit.execution.world import (
    CHAIN_ID,
    NOBODY,
    SENDERS,
    World,
    authorization,
    contract,
    set_code,
    transaction,
)

STORE = contract(1)  # sstore(word 0, word 1), log0, sstore(0, caller)
REVERT_IF_ODD = contract(2)  # sstore(0, caller), then revert if word 0 is odd
FORWARD = contract(3)  # sends its value on to the address in the first word
CONTRACTS = {
    STORE: GenesisAccount(nonce=1, code=bytes.fromhex("6020355f35555f5fa0335f5500")),
    REVERT_IF_ODD: GenesisAccount(nonce=1, code=bytes.fromhex("335f5560015f351660105780" + "00000000" + "5b5f5ffd")),
    FORWARD: GenesisAccount(nonce=1, code=bytes.fromhex("5f5f5f5f345f355af100")),
}
INIT_CODES = (b"", bytes.fromhex("6001600c60003960016000f300"), bytes.fromhex("fe"), bytes.fromhex("335f55"))

words = st.binary(min_size=64, max_size=64)
targets = st.sampled_from([NOBODY, STORE, REVERT_IF_ODD, FORWARD, *SENDERS[:4]])


@st.composite
def transactions(draw: Any) -> list[Transaction]:
    """Candidates of four senders; most nonces fit, some do not; a few ask for more than they can have."""
    nonces = dict.fromkeys(range(4), 0)
    result: list[Transaction] = []
    for _ in range(draw(st.integers(0, 12))):
        sender = draw(st.integers(0, 3))
        fields: dict[str, Any] = {
            "nonce": nonces[sender] + draw(st.sampled_from([0, 0, 0, 0, 0, 1])),
            "value": draw(st.sampled_from([0, 1, GWEI, ETHER, 6 * ETHER])),
            "gas_limit": draw(st.sampled_from([21_000, 60_000, 120_000, 400_000])),
            "to": draw(targets),
            "data": draw(st.sampled_from([b"", b"\x00" * 31 + b"\x01"])) or draw(st.one_of(st.just(b""), words)),
            "max_priority_fee_per_gas": draw(st.sampled_from([0, 1, GWEI, 3 * GWEI])),
            "max_fee_per_gas": draw(st.sampled_from([GWEI // 2, 3 * GWEI, 50 * GWEI])),
        }
        kind = draw(st.sampled_from(["plain", "create", "list", "blob", "authorize", "old"]))
        if kind == "create":
            fields |= {"to": None, "data": draw(st.sampled_from(INIT_CODES))}
        elif kind == "list":
            fields |= {"type": ACCESS_LIST, "access_list": ((STORE, (0, 1)),)}
            fields["max_priority_fee_per_gas"] = fields["max_fee_per_gas"]
        elif kind == "old":
            fields |= {"type": LEGACY, "chain_id": draw(st.sampled_from([CHAIN_ID, None]))}
            fields["max_priority_fee_per_gas"] = fields["max_fee_per_gas"]
        elif kind == "blob":
            count = draw(st.integers(0, 6))
            fields |= {"type": BLOB, "blob_versioned_hashes": (b"\x01" * 32,) * count, "max_fee_per_blob_gas": 7}
        elif kind == "authorize":
            signer = draw(st.integers(0, 3))
            nonce = nonces[signer] + draw(st.integers(0, 1))
            result.append(set_code(sender, authorization(signer, draw(targets), nonce), **fields))
            nonces[sender] = fields["nonce"] + 1
            continue
        else:
            fields["type"] = FEE_MARKET
        result.append(transaction(sender, **fields))
        nonces[sender] = fields["nonce"] + 1
    return result


def supply(world: World) -> int:
    return sum(decode_account(leaf).balance for _, leaf in Trie(world.head.state_root, world.nodes.get).items())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(transactions(), min_size=1, max_size=3), st.integers(0, 2), st.sampled_from([2, 100]))
def test_built_blocks_are_accepted_and_keep_the_supply(
    batches: list[list[Transaction]], paid_out_gwei: int, room: int
) -> None:
    world = World(CONTRACTS, gas_limit=room * 300_000)
    for batch in batches:
        before = supply(world)
        withdrawals = (Withdrawal(0, 0, Address(b"\x55" * 20), paid_out_gwei),)
        built = world.extend(*batch, withdrawals=withdrawals)
        assert len(built.block.transactions) + len(built.skipped) <= len(batch)
        header = built.block.header
        assert header.base_fee_per_gas is not None
        assert header.blob_gas_used is not None
        burnt = header.gas_used * header.base_fee_per_gas + header.blob_gas_used  # blobs cost 1 wei here
        assert supply(world) == before + paid_out_gwei * GWEI - burnt
        assert header.gas_used == built.result.gas_used <= header.gas_limit
