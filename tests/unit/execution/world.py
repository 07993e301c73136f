"""A small chain for tests: funded keys, a genesis with the system contracts, blocks built and applied on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from network.genesis import predeployed
from node.crypto.hashes import keccak256
from node.crypto.secp256k1 import address_of_private_key, sign
from node.evm.interpreter import Interpreter
from node.evm.machine import VirtualMachine
from node.evm.spec import Spec
from node.execution.block import BlockResult, apply_block
from node.execution.builder import BuiltBlock, PayloadAttributes, build_block
from node.forks import cancun, osaka, prague
from node.primitives.scalars import ETHER, GWEI, ZERO_HASH, Address, Hash32
from node.state.genesis_state import GenesisAccount, state_from_alloc
from node.state.view import TrieView
from node.types.blocks import Block, Header
from node.types.receipts import EMPTY_BLOOM
from node.types.transactions import FEE_MARKET, LEGACY, SET_CODE, Authorization, Transaction

CHAIN_ID = 1337
KEYS = [bytes(keccak256(b"world key %d" % index)) for index in range(6)]
SENDERS = [address_of_private_key(key) for key in KEYS]
COINBASE = Address(b"\xc0" * 20)
NOBODY = Address(b"\x99" * 20)
RANDAO = Hash32(keccak256(b"randao"))

BEACON_ROOTS = cancun.BEACON_ROOTS.address
HISTORY = prague.HISTORY.address
WITHDRAWAL_REQUESTS = prague.WITHDRAWAL_REQUESTS.address
CONSOLIDATION_REQUESTS = prague.CONSOLIDATION_REQUESTS.address
_PREDEPLOYED = {bytes.fromhex(address[2:]): account for address, account in predeployed().items()}
SYSTEM_CONTRACTS: dict[Address, bytes] = {
    address: bytes.fromhex(_PREDEPLOYED[address]["code"][2:])
    for address in (BEACON_ROOTS, HISTORY, WITHDRAWAL_REQUESTS, CONSOLIDATION_REQUESTS)
}
"""What blocks call by rule, with the code that new networks get."""


def contract(number: int) -> Address:
    """An address for a contract of the allocation."""
    return Address(b"\x00" * 16 + b"\xcc" + number.to_bytes(3, "big"))


def transaction(sender: int = 0, **fields: Any) -> Transaction:
    """A signed transaction of ``KEYS[sender]``: by default 1 wei to NOBODY, 2 gwei tip, 100 gwei cap."""
    given: dict[str, Any] = {
        "type": FEE_MARKET,
        "nonce": 0,
        "gas_limit": 21_000,
        "to": NOBODY,
        "value": 1,
        "data": b"",
        "max_fee_per_gas": 100 * GWEI,
        "max_priority_fee_per_gas": 2 * GWEI,
        "chain_id": CHAIN_ID,
    }
    given.update(fields)
    if "gas_price" in given:
        given["type"] = given.get("type") if given.get("type") == 1 else LEGACY
        given["max_fee_per_gas"] = given["max_priority_fee_per_gas"] = given.pop("gas_price")
    return Transaction(**given).signed_by(KEYS[sender])


def authorization(signer: int, target: Address, nonce: int = 0, chain_id: int = CHAIN_ID) -> Authorization:
    """A signed EIP-7702 tuple of ``KEYS[signer]``."""
    unsigned = Authorization(chain_id=chain_id, address=target, nonce=nonce, y_parity=0, r=0, s=0)
    y_parity, r, s = sign(unsigned.signing_hash(), KEYS[signer])
    return replace(unsigned, y_parity=y_parity, r=r, s=s)


def set_code(sender: int, *authorizations: Authorization, **fields: Any) -> Transaction:
    """A set-code transaction with room for its authorizations."""
    given: dict[str, Any] = {
        "type": SET_CODE,
        "gas_limit": 200_000 + 25_000 * len(authorizations),
        "authorization_list": tuple(authorizations),
    }
    given.update(fields)
    return transaction(sender, **given)


class World:
    """A chain in memory; ``head`` moves by ``extend``."""

    def __init__(
        self,
        alloc: Mapping[Address, GenesisAccount] | None = None,
        spec: Spec = osaka.SPEC,
        gas_limit: int = 30_000_000,
        base_fee: int = GWEI,
        system_contracts: bool = True,
    ) -> None:
        accounts = {sender: GenesisAccount(balance=10 * ETHER) for sender in SENDERS}
        if system_contracts:
            accounts |= {address: GenesisAccount(nonce=1, code=code) for address, code in SYSTEM_CONTRACTS.items()}
        accounts |= alloc or {}
        state = state_from_alloc(accounts)
        self.spec = spec
        self.nodes: dict[Hash32, bytes] = dict(state.nodes)
        self.codes: dict[Hash32, bytes] = dict(state.codes)
        has_blobs = spec.header_items >= 20
        self.head = Header(
            parent_hash=ZERO_HASH,
            coinbase=COINBASE,
            state_root=state.root,
            transactions_root=ZERO_HASH,
            receipts_root=ZERO_HASH,
            logs_bloom=EMPTY_BLOOM,
            difficulty=0 if spec.difficulty is None else 1_000_000,
            number=0,
            gas_limit=gas_limit,
            gas_used=gas_limit // 2,
            timestamp=1_000,
            prev_randao=RANDAO,
            base_fee_per_gas=base_fee if spec.has_base_fee else None,
            withdrawals_root=ZERO_HASH if spec.header_items >= 17 else None,
            blob_gas_used=0 if has_blobs else None,
            excess_blob_gas=0 if has_blobs else None,
            parent_beacon_block_root=ZERO_HASH if has_blobs else None,
            requests_hash=ZERO_HASH if spec.header_items >= 21 else None,
        )
        self.hashes: dict[int, Hash32] = {0: self.head.hash}
        self.blocks: dict[Hash32, Block] = {self.head.hash: Block(self.head, (), (), None)}

    def view(self) -> TrieView:
        """The state at the head."""
        return TrieView(self.head.state_root, self.nodes.get, self.codes.get)

    def attributes(self, **fields: Any) -> PayloadAttributes:
        """Attributes of the next block."""
        given: dict[str, Any] = {
            "timestamp": self.head.timestamp + 12,
            "prev_randao": RANDAO,
            "coinbase": COINBASE,
            "gas_limit_target": self.head.gas_limit,
        }
        given.update(fields)
        return PayloadAttributes(**given)

    def build(
        self, transactions: Iterable[Transaction] = (), time_check: Any = lambda: True, **fields: Any
    ) -> BuiltBlock:
        """A block on the head; the head stays."""
        return build_block(
            self.head,
            self.view(),
            self.attributes(**fields),
            transactions,
            self.spec,
            Interpreter(),
            CHAIN_ID,
            self.hashes.__getitem__,
            self.nodes.get,
            time_check,
        )

    def apply(self, block: Block, machine: VirtualMachine | None = None) -> BlockResult:
        """Execute a block on the head, by the interpreter unless told otherwise; the head stays."""
        return apply_block(
            block,
            self.head,
            self.view(),
            self.spec,
            machine or Interpreter(),
            CHAIN_ID,
            self.hashes.__getitem__,
            self.nodes.get,
            self,
        )

    def block(self, block_hash: Hash32) -> Block | None:
        """A block that was the head once."""
        return self.blocks.get(block_hash)

    def spec_of(self, header: Header) -> Spec:
        """One fork rules."""
        return self.spec

    def extend(self, *transactions: Transaction, **fields: Any) -> BuiltBlock:
        """Build a block, check that applying it gives the same, move the head to it."""
        built = self.build(transactions, **fields)
        assert self.apply(built.block) == built.result
        self.accept(built.block, built.result)
        return built

    def accept(self, block: Block, result: BlockResult) -> None:
        """Move the head."""
        self.nodes.update(result.commit.nodes)
        self.codes.update(result.commit.codes)
        self.head = block.header
        self.blocks[block.hash] = block
        self.hashes[block.number] = block.hash

    def balance(self, address: Address) -> int:
        """Wei at the head."""
        account = self.view().account(address)
        return 0 if account is None else account.balance

    def nonce(self, address: Address) -> int:
        """At the head."""
        account = self.view().account(address)
        return 0 if account is None else account.nonce

    def code(self, address: Address) -> bytes:
        """At the head."""
        account = self.view().account(address)
        return b"" if account is None else self.view().code(account.code_hash)
