"""The judge sees each kind of wrong, and is quiet about what is right."""

from __future__ import annotations

import pytest

from network.invariants import BlockFacts, Invariant, InvariantViolated, Judge

GENESIS = bytes(32)


def chain(length: int, salt: str = "", start: BlockFacts | None = None) -> list[BlockFacts]:
    blocks: list[BlockFacts] = []
    for _ in range(length):
        parent = blocks[-1] if blocks else start
        number = parent.number + 1 if parent else 1
        name = f"{salt}{number}".encode()
        blocks.append(
            BlockFacts(
                number, name.rjust(32), parent.block_hash if parent else GENESIS, b"root" + name, (b"tx" + name,)
            )
        )
    return blocks


def judge_with(nodes: str, blocks: list[BlockFacts], finalized: int) -> Judge:
    judge = Judge(GENESIS)
    for node in nodes:
        judge.on_head(node, blocks)
        judge.on_finalized(node, finalized, blocks[finalized - 1].block_hash)
    return judge


def seen(invariant: Invariant, judge: Judge, method: str, *arguments: object) -> None:
    with pytest.raises(InvariantViolated) as caught:
        getattr(judge, method)(*arguments)
    assert caught.value.invariant is invariant, caught.value
    assert caught.value.exit_code == (128 if invariant is Invariant.PROGRESS else 129)


def test_a_quiet_life() -> None:
    blocks = chain(5)
    judge = judge_with("ab", blocks, 3)
    fork = chain(3, "fork", blocks[2])
    judge.on_head("a", fork, [blocks[4], blocks[3]])
    judge.on_finalized("a", 6, fork[2].block_hash)
    judge.on_head("b", fork, [blocks[4], blocks[3]])
    judge.on_restart("a", [*blocks[:3], *fork], 6)
    assert judge.heights() == {"b": 6, "a": 6}
    assert judge.finalized() == {"b": 3, "a": 6}
    assert judge.block_at(4) == fork[0]
    assert judge.block_at(7) is None
    assert judge.inclusion_of(fork[0].transactions[0]) == 4
    assert judge.inclusion_of(blocks[4].transactions[0]) is None
    judge.check_progress({"a": 3, "b": 3}, ["a"], 3, 1000)


def test_disagreement() -> None:
    judge = judge_with("a", chain(3), 3)
    other = chain(3, "other")
    judge.on_head("b", other)
    seen(Invariant.AGREEMENT, judge, "on_finalized", "b", 1, other[0].block_hash)


def test_one_block_two_state_roots() -> None:
    blocks = chain(1)
    judge = judge_with("a", blocks, 1)
    wrong = BlockFacts(1, blocks[0].block_hash, GENESIS, b"another root")
    judge.on_head("b", [wrong])
    seen(Invariant.AGREEMENT, judge, "on_finalized", "b", 1, wrong.block_hash)


def test_the_finalized_mark_goes_back() -> None:
    blocks = chain(3)
    seen(Invariant.MEMORY, judge_with("a", blocks, 3), "on_finalized", "a", 2, blocks[1].block_hash)
    seen(Invariant.MEMORY, judge_with("a", blocks, 3), "on_head", "a", [], [blocks[2]])


def test_a_node_forgets_over_a_restart() -> None:
    blocks = chain(3)
    seen(Invariant.MEMORY, judge_with("a", blocks, 3), "on_restart", "a", blocks[:2], 2)
    seen(Invariant.MEMORY, judge_with("a", blocks, 3), "on_restart", "a", chain(3, "other"), 3)


def test_blocks_hang_together() -> None:
    blocks = chain(3)
    seen(Invariant.LINKAGE, Judge(GENESIS), "on_head", "a", blocks[1:])
    seen(Invariant.LINKAGE, Judge(b"another genesis"), "on_head", "a", blocks)
    seen(Invariant.LINKAGE, judge_with("a", blocks[:2], 1), "on_head", "a", chain(3, "other")[2:])
    seen(Invariant.LINKAGE, judge_with("a", blocks, 1), "on_head", "a", [], [chain(3, "other")[2]])


def test_marks_are_ordered() -> None:
    blocks = chain(3)
    seen(Invariant.ORDER, judge_with("a", blocks[:2], 1), "on_finalized", "a", 3, blocks[2].block_hash)
    seen(Invariant.ORDER, judge_with("a", blocks, 1), "on_finalized", "a", 2, b"another block")
    seen(Invariant.ORDER, judge_with("a", blocks[:2], 1), "on_head", "a", blocks[2:], (), 4)
    seen(Invariant.ORDER, judge_with("a", blocks[:2], 2), "on_head", "a", blocks[2:], (), 1)


def test_transactions_are_included_once_and_were_sent() -> None:
    blocks = chain(2)
    again = BlockFacts(3, b"3".rjust(32), blocks[1].block_hash, b"root", blocks[0].transactions)
    seen(Invariant.VALIDITY, judge_with("a", blocks, 1), "on_head", "a", [again])
    seen(Invariant.VALIDITY, Judge(GENESIS, {b"tx1": None}), "on_head", "a", blocks)
    Judge(GENESIS, {b"tx1": None, b"tx2": None}).on_head("a", blocks)


def test_no_progress() -> None:
    judge = judge_with("ab", chain(3), 3)
    judge.check_progress({"a": 1, "b": 1}, "ab", 2, 1000)
    seen(Invariant.PROGRESS, judge, "check_progress", {"a": 1, "b": 2}, "ab", 2, 1000)
    seen(Invariant.PROGRESS, judge, "check_progress", {}, "abc", 1, 1000)
