"""Bounded state history: what is kept is whole, what is not goes, and no moment to die is a bad one."""

import asyncio
import random

import pytest

from node.chain import chain as chain_module
from node.chain import pruning
from node.chain.pruning import StatePruner, children_of
from node.chain.store import CorruptDatabase
from node.crypto.hashes import EMPTY_TRIE_ROOT
from node.primitives.scalars import ETHER, Address
from node.storage import schema
from node.storage.database import Batch, MemoryDatabase
from node.trie.nodes import MissingNode
from tests.builders import address, advance, build, genesis_json, make_chain, make_genesis, transfer

CONTRACT = Address(b"\x77" * 20)
STORES = "0x5f3560203555 00".replace(" ", "")
"""SSTORE(key = calldata[32:64], value = calldata[0:32])."""


@pytest.fixture(autouse=True)
def small_portions(monkeypatch):
    """So that a small state needs many of them."""
    monkeypatch.setattr(pruning, "MARKED_AT_ONCE", 3)
    monkeypatch.setattr(pruning, "SWEPT_AT_ONCE", 5)
    monkeypatch.setattr(chain_module, "PRUNING_PAUSE_SECONDS", 0)


def genesis():
    """Some accounts, and a contract that stores what it is told."""
    document = genesis_json()
    document["alloc"]["0x" + CONTRACT.hex()] = {"code": STORES, "balance": "0x0"}
    return make_genesis(alloc=document["alloc"])


class Users:
    """Blocks that move ether around, and write, change and clear slots."""

    def __init__(self, seed=1):
        self.chance = random.Random(seed)
        self.nonces = [0, 0, 0, 0]

    def next_block(self):
        """Two transactions."""
        slot, value = self.chance.randrange(12), self.chance.choice([0, 0, 1, 2, 3])
        data = value.to_bytes(32, "big") + slot.to_bytes(32, "big")
        return [
            self._sent(address(20 + self.chance.randrange(30)), value=1 + self.chance.randrange(3)),
            self._sent(CONTRACT, value=0, data=data, gas_limit=100_000),
        ]

    def _sent(self, to, **changes):
        sender = self.chance.randrange(4)
        self.nonces[sender] += 1
        return transfer(sender, self.nonces[sender] - 1, to, **changes)


async def grow(chain, users, blocks):
    for _ in range(blocks):
        await advance(chain, *users.next_block())


def nodes_in(database):
    """Hashes of all stored trie nodes."""
    return {key[1:] for key, _ in database.iterate(schema.NODE)}


def reachable(chain, roots):
    """Every node below the roots. Raises MissingNode."""
    found, stack = set(), [(bytes(root), True) for root in roots]
    while stack:
        node_hash, of_accounts = stack.pop()
        if node_hash in found or node_hash == EMPTY_TRIE_ROOT:
            continue
        node = chain.store.node(node_hash)
        if node is None:
            raise MissingNode(node_hash)
        found.add(node_hash)
        stack += children_of(node, of_accounts)
    return found


def roots_of(chain, first):
    """State roots of the canonical blocks from a height on."""
    return [chain.header_by_number(number).state_root for number in range(first, chain.head.number + 1)]


async def test_exactly_what_the_kept_states_need_is_left():
    chain = make_chain(MemoryDatabase(), genesis())
    users = Users()
    await grow(chain, users, 30)
    before = len(nodes_in(chain.store.database))
    done = await chain.prune(5)
    assert done.state_from == chain.state_from == 25
    assert nodes_in(chain.store.database) == reachable(chain, roots_of(chain, 25))
    assert done.deleted_nodes == before - done.kept_nodes > 100
    with pytest.raises(MissingNode):
        reachable(chain, [chain.header_by_number(20).state_root])
    await grow(chain, users, 12)
    assert (await chain.prune(5)).state_from == 37
    assert nodes_in(chain.store.database) == reachable(chain, roots_of(chain, 37))
    # a second time there is nothing to do, and a longer history cannot bring anything back
    assert (await chain.prune(5)).deleted_nodes == 0
    assert (await chain.prune(20)).state_from == 37


async def test_a_restart_knows_from_where_states_are_kept():
    database = MemoryDatabase()
    chain = make_chain(database, genesis())
    users = Users()
    await grow(chain, users, 12)
    await chain.prune(3)
    again = make_chain(database, genesis())
    assert again.state_from == 9
    await grow(again, users, 3)
    assert again.head.number == 15


async def test_blocks_go_on_while_old_states_go():
    """Blocks come between all portions; they bring back slots and balances that the sweep is about to delete."""
    for seed in range(6):
        chain = make_chain(MemoryDatabase(), genesis())
        users = Users(seed)
        await grow(chain, users, 25)
        pruning_task = asyncio.create_task(chain.prune(4))
        while not pruning_task.done():
            await grow(chain, users, 1)
            for _ in range(seed + 1):
                await asyncio.sleep(0)
        assert (await pruning_task).state_from == 21
        reachable(chain, roots_of(chain, 21))


async def test_a_node_that_comes_back_during_the_sweep_stays():
    """The race itself, at its worst: marked as garbage, written again by a block, reached by the sweep only then."""
    chain = make_chain(MemoryDatabase(), genesis())

    def storing(nonce, value):
        data = value.to_bytes(32, "big") + (7).to_bytes(32, "big")
        return transfer(0, nonce, CONTRACT, value=0, data=data, gas_limit=100_000)

    await advance(chain, storing(0, 5))
    wanted = chain.view_at(chain.head).account(CONTRACT).storage_root
    await advance(chain, storing(1, 6))
    pruner = StatePruner(chain.store, kept=[chain.head.state_root], optional=[])
    chain.store.on_nodes = pruner.note_written
    while not pruner.mark():
        pass
    await advance(chain, storing(2, 5))
    assert chain.view_at(chain.head).account(CONTRACT).storage_root == wanted
    while not pruner.sweep():
        pass
    assert wanted in nodes_in(chain.store.database)
    reachable(chain, [chain.head.state_root])


async def test_dying_at_any_portion_leaves_a_database_that_is_whole():
    async def history(database):
        chain = make_chain(database, genesis())
        await grow(chain, Users(3), 14)
        return chain

    whole = await history(MemoryDatabase())
    blocks = [whole.header_by_number(number).hash for number in range(15)]
    for portions in range(60):
        database = MemoryDatabase()
        chain = await history(database)
        pruner = StatePruner(chain.store, kept=roots_of(chain, 14), optional=roots_of(chain, 11)[:-1])
        steps = iter(range(portions))
        marked = swept = False
        for _ in steps:
            if not marked:
                marked = pruner.mark()
            else:
                swept = pruner.sweep()
        # the process is gone; another one opens what is on the disk
        again = make_chain(database, genesis())
        assert again.head.hash == blocks[-1]
        reachable(again, roots_of(again, 11))
        done = await again.prune(3)
        assert done.state_from == 11
        assert nodes_in(database) == reachable(again, roots_of(again, 11))
        if swept:
            break
    assert swept, "not every moment was tried"


async def test_branches_above_the_final_block_are_kept():
    chain = make_chain(MemoryDatabase(), genesis())
    users = Users()
    await grow(chain, users, 10)
    final = chain.head
    one = await build(chain, final, transfer(0, users.nonces[0], address(90), value=ETHER))
    other = await build(chain, final, transfer(0, users.nonces[0], address(91), value=ETHER))
    for block in (one, other):
        await chain.store_block(block.hash, b"seal")
    await chain.forkchoice_updated(one.hash, final.hash, final.hash, {})
    await chain.prune(2)
    reachable(chain, [one.header.state_root, other.header.state_root, *roots_of(chain, 8)])
    await chain.forkchoice_updated(other.hash, final.hash, final.hash, {})
    assert chain.view_at(chain.head).account(address(91)).balance == ETHER


async def test_a_state_that_must_be_whole_and_is_not_ends_it():
    chain = make_chain(MemoryDatabase(), genesis())
    await grow(chain, Users(), 6)
    batch = Batch()
    batch.delete(schema.trie_node(chain.head.state_root))
    chain.store.database.write(batch, durable=True)
    before = nodes_in(chain.store.database)
    with pytest.raises(CorruptDatabase, match="must be whole"):
        await chain.prune(2)
    assert nodes_in(chain.store.database) == before
    assert chain.store.on_nodes is None
