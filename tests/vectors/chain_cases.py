"""Blockchain tests: a genesis and blocks to import, valid and invalid ones; the head and the state after them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from node.evm.interpreter import Interpreter
from node.evm.spec import Spec
from node.execution.block import apply_block
from node.primitives.scalars import Address, Hash32
from node.state.genesis_state import state_from_alloc
from node.state.view import TrieView
from node.types.blocks import Block, Header, decode_block
from node.types.invalid import BlockReason, InvalidBlock, InvalidTransaction
from tests.vectors.state_cases import allocation
from tests.vectors.verdicts import Verdict, data, name_difference, number, spec_of


class _Chain:
    """Imported blocks by hash, over one store of trie nodes and codes."""

    def __init__(self, genesis: Block, test: dict[str, Any], chain_id: int) -> None:
        state = state_from_alloc(allocation(test["pre"]))
        assert state.root == genesis.header.state_root, "the genesis state is the header's"
        self.nodes: dict[Hash32, bytes] = dict(state.nodes)
        self.codes: dict[Hash32, bytes] = dict(state.codes)
        self.headers: dict[Hash32, Header] = {genesis.hash: genesis.header}
        self.head = genesis.header
        self.chain_id = chain_id

    def view(self, header: Header) -> TrieView:
        return TrieView(header.state_root, self.nodes.get, self.codes.get)

    def block_hashes(self, parent: Header) -> Callable[[int], Hash32]:
        def block_hash(asked: int) -> Hash32:
            header = parent
            while header.number > asked:
                header = self.headers[header.parent_hash]
            return header.hash

        return block_hash

    def add(self, raw: bytes, spec_at: Callable[[int], Spec]) -> Block:
        """Decode and import. Raises InvalidBlock or InvalidTransaction."""
        block = decode_block(raw)
        parent = self.headers.get(block.header.parent_hash)
        if parent is None:
            raise InvalidBlock(BlockReason.UNKNOWN_PARENT, parent=block.header.parent_hash)
        spec = spec_at(block.header.timestamp)
        result = apply_block(
            block,
            parent,
            self.view(parent),
            spec,
            Interpreter(),
            self.chain_id,
            self.block_hashes(parent),
            self.nodes.get,
        )
        self.nodes.update(result.commit.nodes)
        self.codes.update(result.commit.codes)
        self.headers[block.hash] = block.header
        self.head = block.header
        return block


def run_file(path: str, content: dict[str, Any], forks: frozenset[str] | None = None) -> Iterator[Verdict]:
    """Every case of a file whose network we have (and, where given, is one of ``forks``)."""
    for name, test in content.items():
        network = test["network"]
        spec_at = spec_of(network)
        if spec_at is None or (forks is not None and network not in forks):
            continue
        yield run_case(f"{path}::{name}", network, test, spec_at)


def run_case(case: str, network: str, test: dict[str, Any], spec_at: Callable[[int], Spec]) -> Verdict:
    """Import the blocks one after the other."""
    genesis = decode_block(data(test["genesisRLP"]))
    if genesis.hash != data(test["genesisBlockHeader"]["hash"]):
        return Verdict(case, network, "other genesis hash")
    chain = _Chain(genesis, test, number(test.get("config", {}).get("chainid", "0x1")))
    differs: list[str] = []
    for index, told in enumerate(test["blocks"]):
        expected = told.get("expectException")
        raw = data(told["rlp"])
        try:
            block = chain.add(raw, spec_at)
        except (InvalidBlock, InvalidTransaction) as refusal:
            if expected is None:
                return Verdict(case, network, f"block {index} refused: {refusal}")
            differs.append(name_difference(expected, refusal))
            continue
        if expected is not None:
            return Verdict(case, network, f"block {index} accepted, expected {expected}")
        if _encoded_anew(block) != raw:
            return Verdict(case, network, f"block {index}: another encoding")
    problem = _end_state(chain, test)
    return Verdict(case, network, problem, "; ".join(filter(None, differs)))


def _encoded_anew(block: Block) -> bytes:
    return replace(block, transactions=tuple(replace(tx, _raw=[]) for tx in block.transactions)).encode()


def _end_state(chain: _Chain, test: dict[str, Any]) -> str:
    """Empty where head and accounts are as told."""
    if chain.head.hash != data(test["lastblockhash"]):
        return f"other head: block {chain.head.number}"
    if "postStateHash" in test:
        return "" if chain.head.state_root == data(test["postStateHash"]) else "other post state root"
    view = chain.view(chain.head)
    for address_text, account in test["postState"].items():
        address = Address(data(address_text))
        found = view.account(address)
        if found is None:
            return f"{address_text} is missing"
        if (found.balance, found.nonce) != (number(account["balance"]), number(account["nonce"])):
            return f"{address_text}: other balance or nonce"
        if view.code(found.code_hash) != data(account["code"]):
            return f"{address_text}: other code"
        for slot, value in account["storage"].items():
            if view.slot(address, number(slot)) != number(value):
                return f"{address_text}[{slot}]: {view.slot(address, number(slot)):#x}, expected {value}"
    return ""
