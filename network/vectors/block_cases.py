"""Blockchain tests: a genesis and blocks to import, valid and invalid ones; the head and the state after them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from network.vectors.allocations import Alloc, alloc_after, alloc_json, differences, read_alloc
from network.vectors.fields import FieldError, data, mapping, member, number, sequence, text
from network.vectors.imported_chain import ImportedChain
from network.vectors.networks import Network, network_named
from network.vectors.verdicts import Verdict, exception_name, name_difference
from node.evm.machine import Tracer, VirtualMachine
from node.state.genesis_state import state_from_alloc
from node.types.blocks import Block, Header, decode_block
from node.types.invalid import InvalidBlock, InvalidTransaction

_HEADER_NAMES: Final = {
    "parent_hash": "parentHash",
    "ommers_hash": "uncleHash",
    "coinbase": "coinbase",
    "state_root": "stateRoot",
    "transactions_root": "transactionsTrie",
    "receipts_root": "receiptTrie",
    "logs_bloom": "bloom",
    "difficulty": "difficulty",
    "number": "number",
    "gas_limit": "gasLimit",
    "gas_used": "gasUsed",
    "timestamp": "timestamp",
    "extra_data": "extraData",
    "prev_randao": "mixHash",
    "nonce": "nonce",
    "base_fee_per_gas": "baseFeePerGas",
    "withdrawals_root": "withdrawalsRoot",
    "blob_gas_used": "blobGasUsed",
    "excess_blob_gas": "excessBlobGas",
    "parent_beacon_block_root": "parentBeaconBlockRoot",
    "requests_hash": "requestsHash",
}
"""Our header field -> the fixtures'."""


@dataclass(frozen=True, slots=True)
class BlockCase:
    """One chain to import, ready to run."""

    file: str
    name: str
    network: Network
    chain_id: int
    genesis: Block
    genesis_header: Mapping[str, Any]
    pre: Alloc
    blocks: Sequence[Any]
    test: Mapping[str, Any]

    @property
    def id(self) -> str:
        """``file::name``."""
        return f"{self.file}::{self.name}"


def cases_of(file: str, name: str, test: object, skipped: dict[str, int]) -> Iterator[BlockCase]:
    """The case of one test; one of a network not known here is counted in ``skipped``. Raises FieldError."""
    held = mapping(test, "")
    if "blocks" not in held:
        what = "a state test" if "post" in held else "no blockchain test"
        raise FieldError("blocks", f"missing; this is {what}")
    told = text(member(held, "network", ""), "network")
    network = network_named(told)
    if network is None:
        skipped[told] = skipped.get(told, 0) + 1
        return
    config = mapping(held.get("config") or {}, "config")
    try:
        genesis = decode_block(data(member(held, "genesisRLP", ""), "genesisRLP"))
    except (InvalidBlock, InvalidTransaction) as refusal:
        raise FieldError("genesisRLP", str(refusal)) from None
    yield BlockCase(
        file=file,
        name=name,
        network=network,
        chain_id=number(config.get("chainid", 1), "config.chainid", 64),
        genesis=genesis,
        genesis_header=mapping(member(held, "genesisBlockHeader", ""), "genesisBlockHeader"),
        pre=read_alloc(member(held, "pre", ""), "pre"),
        blocks=sequence(held["blocks"], "blocks"),
        test=held,
    )


def run_case(case: BlockCase, vm: VirtualMachine, dump: bool = False, tracer: Tracer | None = None) -> Verdict:
    """Import the blocks one after the other and judge. Raises FieldError where the case itself is malformed."""
    began = time.perf_counter()
    verdict = Verdict(case.file, case.name, case.network.name)
    last = data(member(case.test, "lastblockhash", ""), "lastblockhash", 32)
    state = state_from_alloc(case.pre)
    if state.root != case.genesis.header.state_root:
        told = f"0x{state.root.hex()}, expected 0x{case.genesis.header.state_root.hex()}"
        return replace(verdict, problem=f"genesis: stateRoot of the allocation {told}", state_root=state.root)
    told_hash = data(member(case.genesis_header, "hash", "genesisBlockHeader"), "genesisBlockHeader.hash", 32)
    if case.genesis.hash != told_hash:
        problem = f"genesis: hash 0x{case.genesis.hash.hex()}, expected 0x{told_hash.hex()}"
        return replace(verdict, problem=problem + header_difference(case.genesis.header, case.genesis_header))
    chain = ImportedChain(case.genesis, state, case.chain_id, case.network.spec_at, vm, tracer)
    expectations: list[str] = []
    refusals: list[str] = []
    renamed: list[str] = []
    problem = ""
    for index, told in enumerate(case.blocks):
        entry = mapping(told, f"blocks[{index}]")
        expected = text(entry.get("expectException") or "", f"blocks[{index}].expectException")
        raw = data(member(entry, "rlp", f"blocks[{index}]"), f"blocks[{index}].rlp")
        invalid = bool(expected) or "blockHeader" not in entry
        if expected:
            expectations.append(expected)
        try:
            block = chain.add(raw)
        except (InvalidBlock, InvalidTransaction) as refusal:
            if not invalid:
                problem = f"block {index} refused: {refusal}{_after(chain, case, raw, index)}"
                break
            ours = exception_name(refusal)
            refusals.append(ours)
            differs = name_difference(expected, ours)
            renamed += [differs] if differs else []
            continue
        if invalid:
            problem = f"block {index} accepted, expected {expected or 'its refusal'}"
            break
        if _encoded_anew(block) != raw:
            problem = f"block {index}: another encoding"
            break
    if not problem:
        problem = _end_state(chain, case, last)
    return replace(
        verdict,
        problem=problem,
        state_root=chain.head.state_root,
        expected_exception="; ".join(expectations),
        got_exception="; ".join(refusals),
        name_differs="; ".join(renamed),
        seconds=time.perf_counter() - began,
        state=alloc_json(_alloc_at(chain, case, chain.head)) if dump else None,
    )


def _encoded_anew(block: Block) -> bytes:
    return replace(block, transactions=tuple(replace(tx) for tx in block.transactions)).encode()


def header_difference(header: Header, told: Mapping[str, Any]) -> str:
    """Which header fields are not as the file has them; empty where it cannot be told."""
    found: list[str] = []
    for entry in fields(header):
        name = _HEADER_NAMES.get(entry.name)
        value = getattr(header, entry.name)
        if name is None or name not in told or value is None:
            continue
        if isinstance(value, int):
            same, have = value == number(told[name], name), hex(value)
        else:
            same, have = value == data(told[name], name), "0x" + value.hex()
        if not same:
            found.append(f"{name} {have}, expected {told[name]}")
    return "".join(f"; {text}" for text in found[:4])


def _alloc_at(chain: ImportedChain, case: BlockCase, header: Header) -> Alloc:
    alloc = case.pre
    for diff in chain.diffs_to(header):
        alloc = alloc_after(alloc, diff)
    return alloc


def _after(chain: ImportedChain, case: BlockCase, raw: bytes, index: int) -> str:
    """What the state after a block refused by its results has that the file's has not: only for the last block."""
    if index != len(case.blocks) - 1 or not isinstance(case.test.get("postState"), dict):
        return ""
    found = chain.try_out(raw)
    if found is None:
        return ""
    header, diff = found
    parent = chain.headers.get(header.parent_hash)
    if parent is None:
        return ""
    ours = alloc_after(_alloc_at(chain, case, parent), diff)
    told = differences(ours, read_alloc(case.test["postState"], "postState"))
    return f": {told}" if told else ""


def _end_state(chain: ImportedChain, case: BlockCase, last: bytes) -> str:
    """Empty where head and accounts are as told."""
    if chain.head.hash != last:
        return f"head is block {chain.head.number} 0x{chain.head.hash.hex()}, expected 0x{last.hex()}"
    if case.test.get("postState") is None:
        told = data(member(case.test, "postStateHash", ""), "postStateHash", 32)
        ours = chain.head.state_root
        return "" if ours == told else f"state root 0x{ours.hex()}, expected 0x{told.hex()}"
    expected = read_alloc(case.test["postState"], "postState")
    return differences(_alloc_at(chain, case, chain.head), expected)
