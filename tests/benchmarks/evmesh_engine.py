"""evmesh as an engine of an in-process EVM benchmark; EVMESH_EVM says which of its machines.

``engine_plain.py``, ``engine_transpiled.py`` and ``engine_native.py`` are all of them for one run, side by side.

    EVMESH_EVM=native python ../shared/bench/evm_bench.py --engine tests/benchmarks/evmesh_engine.py --engine pyrevm

``Adapter(block)`` with ``load(alloc)``, ``call(caller, to, data, gas)`` and ``apply(raw_txs)``: the benchmark's
docstring says what each must do. Transactions run as in a block, without its system calls, which peers do not make
either.
"""

from __future__ import annotations

from node.crypto.hashes import keccak256
from node.evm.call_stack import execute_message
from node.evm.message import BlockEnvironment, CallKind, Message, TransactionEnvironment
from node.evm.native import choice
from node.evm.outcome import Success
from node.execution.block_run import BlockRun
from node.forks.schedule import SPECS_BY_NAME
from node.node import VERSION
from node.primitives.scalars import ZERO_HASH, Address, Hash32
from node.state.commit import CommitResult, commit
from node.state.genesis_state import GenesisAccount, state_from_alloc
from node.state.journal import JournaledState
from node.state.view import TrieView
from node.trie.node_cache import NodeCache
from node.types.blocks import Header
from node.types.receipts import EMPTY_BLOOM
from node.types.transactions import decode

SPEC = SPECS_BY_NAME["Cancun"]


class Adapter:
    """One engine over one allocation."""

    evm: choice.Evm | None = None
    """None: what EVMESH_EVM says."""

    def __init__(self, block: dict) -> None:
        self._vm = choice.machine(self.evm or choice.from_environment(), print)
        self.version = f"evmesh {VERSION} {choice.kind_of(self._vm)}"
        self._block = BlockEnvironment(
            chain_id=block["chain_id"],
            number=block["number"],
            timestamp=block["timestamp"],
            coinbase=Address(block["coinbase"]),
            gas_limit=block["gas_limit"],
            prev_randao=ZERO_HASH,
            base_fee_per_gas=block["base_fee"],
            blob_base_fee=1,
            block_hash=lambda number: keccak256(str(number).encode()),
        )
        self._header = Header(
            parent_hash=ZERO_HASH,
            coinbase=self._block.coinbase,
            state_root=ZERO_HASH,
            transactions_root=ZERO_HASH,
            receipts_root=ZERO_HASH,
            logs_bloom=EMPTY_BLOOM,
            difficulty=0,
            number=block["number"],
            gas_limit=block["gas_limit"],
            gas_used=0,
            timestamp=block["timestamp"],
            prev_randao=ZERO_HASH,
            base_fee_per_gas=block["base_fee"],
            excess_blob_gas=0,
        )

    def load(self, alloc: dict[bytes, dict]) -> None:
        """Replace the state."""
        state = state_from_alloc(
            {
                Address(address): GenesisAccount(
                    balance=account["balance"], nonce=account["nonce"], code=account["code"], storage=account["storage"]
                )
                for address, account in alloc.items()
            }
        )
        self._stored: dict[Hash32, bytes] = {}
        self._codes: dict[Hash32, bytes] = {}
        self._nodes = NodeCache(lambda node_hash: self._stored.get(Hash32(node_hash)))
        self._keep(state)

    def _keep(self, state: CommitResult) -> None:
        self._stored.update(state.nodes)
        self._codes.update(state.codes)
        self._view = TrieView(state.root, self._nodes, lambda code_hash: self._codes.get(Hash32(code_hash)))

    def call(self, caller: bytes, to: bytes, data: bytes, gas: int) -> tuple[int, bytes]:
        """(gas used, output) of one message call; the state is as before."""
        journal = JournaledState(self._view)
        journal.begin_transaction()
        journal.access_address(Address(caller))
        journal.access_address(Address(to))
        message = Message(
            kind=CallKind.CALL,
            caller=Address(caller),
            target=Address(to),
            code_address=Address(to),
            code=journal.code(Address(to)),
            data=data,
            value=0,
            gas=gas,
        )
        surroundings = TransactionEnvironment(Address(caller), self._block.base_fee_per_gas)
        outcome = execute_message(message, journal, self._block, surroundings, SPEC, self._vm)
        if not isinstance(outcome, Success):
            raise RuntimeError(f"call failed: {outcome}")
        return gas - outcome.gas_left, outcome.output

    def apply(self, raw_txs: list[bytes]) -> tuple[int, bytes]:
        """(gas used, state root) of transactions: decode, recover, execute, commit. The next call goes on there."""
        journal = JournaledState(self._view)
        run = BlockRun(
            self._header,
            journal,
            SPEC,
            self._vm,
            self._block.chain_id,
            lambda number: Hash32(self._block.block_hash(number)),
        )
        gas_used = 0
        for raw in raw_txs:
            result = run.apply(decode(raw))
            if not isinstance(result.outcome, Success):
                raise RuntimeError(f"transaction failed: {result.outcome}")
            gas_used += result.gas_used
        run.settle()
        state = commit(self._view.root, journal.diff(), self._nodes)
        self._keep(state)
        return gas_used, state.root
