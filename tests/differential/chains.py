"""Blocks on a genesis: made by this node, some of them changed so that they must be refused, and imported by it.

A block of a case: ``attributes`` (what a proposer decides), ``txs``, ``withdrawals``, ``ommers`` (siblings of earlier
blocks, by age), and ``tamper`` (header fields that get another value; ``refused`` puts a transaction in that the
block was made without; ``swap`` exchanges the first two).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

from network.genesis import predeployed
from network.vectors.allocations import Alloc, alloc_after, read_alloc, reader
from network.vectors.imported_chain import ImportedChain
from node.crypto.hashes import EMPTY_TRIE_ROOT
from node.evm.interpreter import Interpreter
from node.evm.machine import VirtualMachine
from node.execution.block import transactions_root
from node.execution.builder import BuiltBlock, PayloadAttributes, build_block
from node.execution.ommers import NEPHEW_SHARE, OMMER_SHARES, ommers_hash
from node.execution.system_calls import DEPOSIT_EVENT_TOPIC
from node.primitives.scalars import ZERO_HASH, Address, Hash32
from node.state.commit import commit
from node.state.genesis_state import state_from_alloc
from node.state.journal import JournaledState
from node.state.view import TrieView
from node.types.blocks import Block, Header, Withdrawal
from node.types.invalid import InvalidBlock, InvalidTransaction
from node.types.receipts import EMPTY_BLOOM
from node.types.transactions import Transaction
from tests.differential.cases import CHAIN_ID, FORKS, Answer, Case, account_json, age, from_hex, since, to_hex
from tests.differential.node_answers import accounts_json, signed, spec_of
from tests.differential.worlds import COINBASE, CONTRACTS, GAS_LIMIT, SENDERS, allocation, spoil, transaction

DEPOSIT_CONTRACT = from_hex("0x00000000219ab540356cbb839cbe05303d7705fa")
WITHDRAWAL_REQUESTS = from_hex("0x00000961ef480eb55e80d19ad83579a64c007002")
CONSOLIDATION_REQUESTS = from_hex("0x0000bbddc7ce488642fb579f8b00f3a590007251")
_ECHO_AS_DEPOSIT = bytes.fromhex("365f5f37" + "7f" + DEPOSIT_EVENT_TOPIC.hex() + "365fa100")
"""LOG1 of the call data with the topic of a deposit."""
_GENESIS_TIME = 1_700_000_000
_CHANGED_FIELDS = (
    *("state_root", "receipts_root", "transactions_root", "logs_bloom", "gas_used", "gas_limit", "timestamp", "number"),
    *("parent_hash", "extra_data", "ommers_hash", "nonce", "difficulty", "coinbase", "prev_randao"),
)
_LATER_FIELDS = (
    ("London", "base_fee_per_gas"),
    ("Shanghai", "withdrawals_root"),
    ("Cancun", "blob_gas_used"),
    ("Cancun", "excess_blob_gas"),
    ("Cancun", "parent_beacon_block_root"),
    ("Prague", "requests_hash"),
)


def chain_case(chance: random.Random, fork: str) -> Case:
    """A chain of one to four blocks; in one case of four the next fork begins on the way."""
    case: Case = {"kind": "block", "fork": fork}
    blocks_wanted = chance.choice((1, 2, 3, 4))
    if chance.random() < 0.25 and fork != FORKS[-1]:
        blocks_wanted = max(blocks_wanted, 2)
        case |= {"next": FORKS[age(fork) + 1], "begins": chance.randrange(1, blocks_wanted + 1)}
    youngest = fork_at(case, blocks_wanted)
    alloc = allocation(chance, youngest)
    if since(youngest, "Cancun"):
        alloc |= {
            address.lower(): account_json(0, 1, from_hex(told["code"])) for address, told in predeployed().items()
        }
    if since(youngest, "Prague"):
        alloc[to_hex(DEPOSIT_CONTRACT)] = account_json(0, 1, _ECHO_AS_DEPOSIT)
    gas_limit = chance.choice((5_000_000, GAS_LIMIT, GAS_LIMIT))
    genesis = {
        "gasLimit": to_hex(gas_limit),
        "gasUsed": to_hex(chance.choice((0, gas_limit // 2, gas_limit, chance.randrange(gas_limit)))),
        "difficulty": to_hex(chance.choice((131_072, 131_072, 10**6, 2**40))),
        "baseFee": to_hex(chance.choice((1, 6, 7, 7, 900))),
        "excessBlobGas": to_hex(chance.choice((0, 0, 131_072, 10_000_000, 50_000_000))),
        "blobGasUsed": to_hex(131_072 * chance.choice((0, 3, 6))),
    }
    used = dict.fromkeys(range(len(SENDERS)), 0)
    blocks: list[dict[str, Any]] = []
    time = _GENESIS_TIME
    for number in range(1, blocks_wanted + 1):
        time += chance.choice((1, 5, 9, 10, 13, 20, 60, 2_000))
        blocks.append(_block(chance, fork_at(case, number), alloc, used, number, time))
        if "next" in case:  # the reference judges them, and the first gas limit, otherwise where rules change
            blocks[-1]["ommers"] = []
            blocks[-1]["tamper"].pop("gas_limit", None)
    return {**case, "alloc": alloc, "genesis": genesis, "blocks": blocks}


def fork_at(case: Case, number: int) -> str:
    """The fork of a block by its number."""
    fork: str = case["next"] if number >= case.get("begins", number + 1) else case["fork"]
    return fork


def _block(
    chance: random.Random, fork: str, alloc: dict[str, Any], used: dict[int, int], number: int, time: int
) -> dict[str, Any]:
    txs = []
    for _ in range(chance.choice((0, 1, 2, 3))):
        sender = chance.randrange(len(SENDERS))
        tx = transaction(chance, fork, alloc, sender, used[sender])
        if since(fork, "Prague") and chance.random() < 0.3:
            _request(chance, tx)
        if chance.random() < 0.12:
            spoil(chance, fork, tx)
        elif int(tx.get("gasPrice", tx.get("maxFeePerGas")), 16) >= 1000 or not since(fork, "London"):
            used[sender] += 1
        else:
            tx["gasPrice" if "gasPrice" in tx else "maxFeePerGas"] = to_hex(1000)
            used[sender] += 1
        txs.append(tx)
    told: dict[str, Any] = {
        "attributes": {
            "timestamp": to_hex(time),
            "prevRandao": to_hex(chance.randbytes(32)),
            "coinbase": to_hex(chance.choice((COINBASE, COINBASE, CONTRACTS[1], SENDERS[2]))),
            "beaconRoot": to_hex(chance.randbytes(32)),
            "extraData": to_hex(chance.randbytes(chance.choice((0, 5, 32)))),
            "gasLimitTarget": to_hex(chance.choice((5_000, GAS_LIMIT, 2 * GAS_LIMIT))),
        },
        "txs": txs,
        "withdrawals": [],
        "ommers": [],
        "tamper": {},
    }
    if since(fork, "Shanghai"):
        told["withdrawals"] = [
            {
                "index": to_hex(index),
                "validatorIndex": to_hex(chance.randrange(9)),
                "address": to_hex(chance.choice((*CONTRACTS, COINBASE, b"\xe5" * 20))),
                "amount": to_hex(chance.choice((0, 1, 10**9))),
            }
            for index in range(chance.choice((0, 0, 1, 3)))
        ]
    if not since(fork, "Paris") and number > 1:
        for _ in range(chance.choice((0, 0, 1, 1, 1, 2, 2, 3))):
            age = min(number, chance.choice((0, 1, 1, 1, 1, 2, 2, 3)))
            told["ommers"].append(
                {"age": age, "coinbase": to_hex(chance.choice((b"\xa1" * 20, b"\xa2" * 20, COINBASE)))}
            )
    if chance.random() < 0.3:
        told["tamper"] = _tampering(chance, fork)
    return told


def _request(chance: random.Random, tx: dict[str, Any]) -> None:
    """Make a transaction one that asks for a deposit, a withdrawal or a consolidation."""
    kind = chance.randrange(3)
    if kind == 0:
        fields = (48, 32, 8, 96, 8)
        offsets = (160, 256, 320, 384, 512)
        data = b"".join(offset.to_bytes(32, "big") for offset in offsets)
        for size in fields:
            data += size.to_bytes(32, "big") + chance.randbytes(size).ljust((size + 31) // 32 * 32, b"\x00")
        to = DEPOSIT_CONTRACT
    elif kind == 1:
        data, to = chance.randbytes(56), WITHDRAWAL_REQUESTS
    else:
        data, to = chance.randbytes(96), CONSOLIDATION_REQUESTS
    tx.update(to=to_hex(to), input=to_hex(data), gas=to_hex(400_000))
    tx["value"] = to_hex(0 if kind == 0 else chance.choice((0, 1, 1, 50)))


def _tampering(chance: random.Random, fork: str) -> dict[str, Any]:
    roll = chance.random()
    if roll < 0.25:
        return {"refused": True}
    if roll < 0.3:
        return {"swap": True}
    names = [*_CHANGED_FIELDS, *(name for first, name in _LATER_FIELDS if since(fork, first))]
    name = chance.choice(names)
    if name in ("gas_used", "gas_limit", "number", "timestamp", "difficulty", "base_fee_per_gas"):
        return {name: chance.choice((-1, 1, 2, -1000, 1000, 30_000_000))}
    if name in ("blob_gas_used", "excess_blob_gas"):
        return {name: chance.choice((-131_072, 131_072, 1))}
    sizes = {"logs_bloom": 256, "extra_data": chance.choice((1, 31, 33)), "nonce": 8, "coinbase": 20}
    return {name: to_hex(chance.randbytes(sizes.get(name, 32)))}


# --- made and imported ---


@dataclass
class Made:
    """The chain of a case: its genesis, each block's bytes, and what this node said to it."""

    genesis: Block
    alloc: Alloc
    raws: list[bytes] = field(default_factory=list)
    accepted: list[bool] = field(default_factory=list)
    errors: list[InvalidBlock | InvalidTransaction] = field(default_factory=list)
    chain: ImportedChain | None = None

    @property
    def refusals(self) -> list[str]:
        """Why those that were not accepted were not."""
        return [str(error) for error in self.errors]


def genesis_of(case: Case, state_root: Hash32) -> Block:
    """The first block."""
    fork, told = case["fork"], {name: int(value, 16) for name, value in case["genesis"].items()}
    cancun = since(fork, "Cancun")
    header = Header(
        parent_hash=ZERO_HASH,
        coinbase=Address(bytes(20)),
        state_root=state_root,
        transactions_root=EMPTY_TRIE_ROOT,
        receipts_root=EMPTY_TRIE_ROOT,
        logs_bloom=EMPTY_BLOOM,
        difficulty=0 if since(fork, "Paris") else told["difficulty"],
        number=0,
        gas_limit=told["gasLimit"],
        gas_used=told["gasUsed"],
        timestamp=_GENESIS_TIME,
        prev_randao=ZERO_HASH,
        base_fee_per_gas=told["baseFee"] if since(fork, "London") else None,
        withdrawals_root=EMPTY_TRIE_ROOT if since(fork, "Shanghai") else None,
        blob_gas_used=told["blobGasUsed"] if cancun else None,
        excess_blob_gas=told["excessBlobGas"] if cancun else None,
        parent_beacon_block_root=ZERO_HASH if cancun else None,
        requests_hash=ZERO_HASH if since(fork, "Prague") else None,
    )
    return Block(header, (), (), () if since(fork, "Shanghai") else None)


def make(case: Case, vm: VirtualMachine | None = None) -> Made:
    """Make the blocks one after the other on what was accepted so far; ``vm`` checks them, the plain one made them."""
    alloc = read_alloc(case["alloc"], "alloc")
    state = state_from_alloc(alloc)
    genesis = genesis_of(case, state.root)
    chain = ImportedChain(
        genesis, state, CHAIN_ID, lambda number, time, total: spec_of(fork_at(case, number)), vm or Interpreter()
    )
    made = Made(genesis, alloc, chain=chain)
    for told in case["blocks"]:
        block = _made_block(chain, fork_at(case, chain.head.number + 1), told)
        raw = block.encode()
        made.raws.append(raw)
        try:
            chain.add(raw)
        except (InvalidBlock, InvalidTransaction) as refusal:
            made.accepted.append(False)
            made.errors.append(refusal)
        else:
            made.accepted.append(True)
    return made


def answer(case: Case, vm: VirtualMachine | None = None) -> Answer:
    """Which blocks were accepted, and the state at the end."""
    made = make(case, vm)
    assert made.chain is not None, "it was made"
    alloc = made.alloc
    for diff in made.chain.diffs_to(made.chain.head):
        alloc = alloc_after(alloc, diff)
    return {
        "accepted": made.accepted,
        "state_root": to_hex(made.chain.head.state_root),
        "accounts": accounts_json(alloc),
        "?refusals": made.refusals,
    }


def _built(
    chain: ImportedChain, fork: str, parent: Header, attributes: PayloadAttributes, txs: list[Transaction]
) -> BuiltBlock:
    def block_hash(number: int) -> Hash32:
        header = parent
        while header.number > number:
            header = chain.headers[header.parent_hash]
        return header.hash

    view = TrieView(parent.state_root, reader(chain.nodes), reader(chain.codes))
    spec = spec_of(fork)
    return build_block(parent, view, attributes, txs, spec, Interpreter(), CHAIN_ID, block_hash, reader(chain.nodes))


def _attributes(told: dict[str, Any], parent: Header) -> PayloadAttributes:
    given = told["attributes"]
    return PayloadAttributes(
        timestamp=max(int(given["timestamp"], 16), parent.timestamp + 1),
        prev_randao=Hash32(from_hex(given["prevRandao"])),
        coinbase=Address(from_hex(given["coinbase"])),
        withdrawals=tuple(
            Withdrawal(
                index=int(one["index"], 16),
                validator_index=int(one["validatorIndex"], 16),
                address=Address(from_hex(one["address"])),
                amount_gwei=int(one["amount"], 16),
            )
            for one in told["withdrawals"]
        ),
        parent_beacon_block_root=Hash32(from_hex(given["beaconRoot"])),
        extra_data=from_hex(given["extraData"]),
        gas_limit_target=int(given["gasLimitTarget"], 16),
    )


def _made_block(chain: ImportedChain, fork: str, told: dict[str, Any]) -> Block:
    parent = chain.head
    txs = [signed(tx) for tx in told["txs"]]
    try:
        built = _built(chain, fork, parent, _attributes(told, parent), txs)
    except InvalidBlock:  # a deposit of another layout: whoever names these transactions is refused
        block = replace(_built(chain, fork, parent, _attributes(told, parent), []).block, transactions=tuple(txs))
        return replace(block, header=replace(block.header, transactions_root=transactions_root(block)))
    block = built.block
    if told["ommers"]:
        block = _with_ommers(chain, fork, built, told["ommers"])
    return _tampered(block, told["tamper"], [tx for tx, _ in built.skipped])


def _with_ommers(chain: ImportedChain, fork: str, built: BuiltBlock, told: list[dict[str, Any]]) -> Block:
    """The block with siblings of its ancestors named, and everybody paid."""
    header = built.block.header
    nodes = {**chain.nodes, **built.result.commit.nodes}
    journal = JournaledState(TrieView(header.state_root, reader(nodes), reader(chain.codes)))
    reward = spec_of(fork).block_reward
    ommers = []
    for one in told:
        ancestor = header
        for _ in range(one["age"]):
            ancestor = chain.headers.get(ancestor.parent_hash, ancestor)
        parent = chain.headers.get(ancestor.parent_hash)
        if parent is None:
            continue
        attributes = PayloadAttributes(
            timestamp=parent.timestamp + 7, prev_randao=ZERO_HASH, coinbase=Address(from_hex(one["coinbase"]))
        )
        sibling = _built(chain, fork, parent, attributes, []).block.header
        ommers.append(sibling)
        journal.add_balance(sibling.coinbase, reward * (OMMER_SHARES + sibling.number - header.number) // OMMER_SHARES)
        journal.add_balance(header.coinbase, reward // NEPHEW_SHARE)
    root = commit(header.state_root, journal.diff(), reader(nodes)).root
    block = replace(built.block, ommers=tuple(ommers))
    return replace(block, header=replace(header, ommers_hash=ommers_hash(block), state_root=root))


def _tampered(block: Block, tamper: dict[str, Any], skipped: list[Transaction]) -> Block:
    for name, value in tamper.items():
        if name == "refused":
            block = replace(block, transactions=(*block.transactions, *skipped[:1]))
            changes: dict[str, Any] = {"transactions_root": transactions_root(block)}
        elif name == "swap":
            block = replace(block, transactions=(*block.transactions[1::-1], *block.transactions[2:]))
            changes = {"transactions_root": transactions_root(block)}
        elif isinstance(value, int):
            changes = {name: max(0, (getattr(block.header, name) or 0) + value)}
        else:
            changes = {name: from_hex(value)}
        block = replace(block, header=replace(block.header, **changes))
    return block
