"""``python -m tests.benchmarks.block_import``: what it costs to import blocks full of ERC-20 transfers, on each EVM.

A chain is built once; then its blocks are decoded and applied, senders recovered, every root compared, on the plain
and the native machine in turn. CPU time, the best round of each.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Final

from node.crypto.hashes import keccak256
from node.evm.machine import VirtualMachine
from node.evm.native import choice
from node.evm.native.choice import Evm
from node.primitives.scalars import GWEI, Address
from node.state.genesis_state import GenesisAccount
from node.types.blocks import Block, decode_block
from node.types.transactions import Transaction
from tests.unit.evm.program import Opcode as Op
from tests.unit.evm.program import operation, program, push
from tests.unit.execution.world import KEYS, SENDERS, World, contract, transaction

TENTHS: Final = 10
TOKEN: Final = contract(7)
_BALANCE_OF_CALLER: Final = program(Op.CALLER, push(0), Op.MSTORE, push(64), push(0), Op.KECCAK256)
_BALANCE_OF_TARGET: Final = program(push(4), Op.CALLDATALOAD, push(0), Op.MSTORE, push(64), push(0), Op.KECCAK256)
_AMOUNT: Final = program(push(36), Op.CALLDATALOAD)
TOKEN_CODE: Final = program(
    _BALANCE_OF_CALLER,
    program(_AMOUNT, Op.DUP2, Op.SLOAD, Op.SUB, Op.SWAP1, Op.SSTORE),
    _BALANCE_OF_TARGET,
    program(_AMOUNT, Op.DUP2, Op.SLOAD, Op.ADD, Op.SWAP1, Op.SSTORE),
    program(
        _AMOUNT, push(0), Op.MSTORE, push(4), Op.CALLDATALOAD, Op.CALLER, push(0xDDF252AD), push(32), push(0), Op.LOG3
    ),
    operation(Op.RETURN, 0, 32),
)
"""Two slots, three hashes and a log, as a transfer of an ERC-20 token has them."""


def transfer(sender: int, nonce: int, number: int) -> Transaction:
    """To an account that nobody else pays."""
    data = bytes(4) + keccak256(number.to_bytes(8, "big"))[12:].rjust(32, b"\0") + (1).to_bytes(32, "big")
    return transaction(
        sender, nonce=nonce, to=TOKEN, value=0, gas_limit=120_000, data=data, max_fee_per_gas=10**6 * GWEI
    )


def chain(blocks: int, transfers: int) -> tuple[World, list[tuple[Block, bytes]]]:
    """A world at its genesis, and blocks on it with their encodings."""
    balances = {int.from_bytes(keccak256(sender.rjust(32, b"\0") + bytes(32)), "big"): 10**9 for sender in SENDERS}
    alloc: dict[Address, GenesisAccount] = {
        TOKEN: GenesisAccount(nonce=1, code=TOKEN_CODE, storage=balances),
        **{sender: GenesisAccount(balance=10**30) for sender in SENDERS},
    }
    world = World(alloc, gas_limit=120_000 * transfers + 1_000_000)
    made = []
    nonces = [0] * len(KEYS)
    for number in range(blocks):
        txs = []
        for index in range(transfers):
            sender = index % len(KEYS)
            txs.append(transfer(sender, nonces[sender], number * transfers + index))
            nonces[sender] += 1
        built = world.build(txs)
        assert len(built.block.transactions) == transfers, built.skipped[:1]
        made.append((built.block, built.block.encode()))
        world.accept(built.block, built.result)
    world.head = world.blocks[world.hashes[0]].header
    return world, made


def imported(world: World, blocks: list[tuple[Block, bytes]], vm: VirtualMachine) -> list[float]:
    """CPU seconds to decode and apply all blocks, a tenth of the chain each."""
    genesis = world.head
    taken = []
    size = -(-len(blocks) // TENTHS)
    for start in range(0, len(blocks), size):
        began = time.thread_time()
        for _, encoded in blocks[start : start + size]:
            block = decode_block(encoded)
            world.accept(block, world.apply(block, vm))
        taken.append(time.thread_time() - began)
    world.head = genesis
    return taken


def main() -> int:
    """Build, import in turn, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.block_import", description=__doc__)
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--transfers", type=int, default=200, help="a block")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    world, blocks = chain(given.blocks, given.transfers)
    machines = {evm: choice.machine(evm, lambda line: print(line, file=sys.stderr)) for evm in (Evm.PLAIN, Evm.NATIVE)}
    taken = {evm: [imported(world, blocks, vm) for _ in range(given.rounds)] for evm, vm in machines.items()}
    best = {evm: min(rounds, key=sum) for evm, rounds in taken.items()}
    count, gas = given.blocks * given.transfers, sum(block.header.gas_used for block, _ in blocks)
    told = {
        str(evm): {
            "us_per_transaction": round(sum(times) / count * 1e6, 1),
            "ms_per_block": round(sum(times) / given.blocks * 1e3, 2),
            "mgas_s": round(gas / sum(times) / 1e6, 1),
            "us_per_transaction_by_tenths": [round(one * len(times) / count * 1e6, 1) for one in times],
        }
        for evm, times in best.items()
    }
    print(json.dumps({"blocks": given.blocks, "transfers_a_block": given.transfers, **told}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
