"""The fork choice store: official cases, directed cases of our own, and mutants that each must die."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from network.vectors.fields import FixtureError
from network.vectors.fork_choice_cases import CaseReplay, read_cases, run_file
from node.consensus.pos.checkpoints import Checkpoint, Finality
from node.consensus.pos.fork_choice import BlockNode, ForkChoice, Refused, Weights

VECTORS = Path(__file__).parents[5] / "shared" / "consensus-vectors" / "fork_choice.json.xz"
E = 4


def root(name: str) -> bytes:
    return name.encode().ljust(32, b"\0")


ZERO = Finality(Checkpoint(0, root("g")), Checkpoint(0, root("g")))


class Tree:
    """A store with ten validators of weight 10 and a boost of 40 % of a slot's weight."""

    def __init__(self) -> None:
        anchor = BlockNode(root("g"), bytes(32), 0, ZERO, ZERO)
        self.store = ForkChoice(anchor, E, lambda justified: Weights(dict.fromkeys(range(10), 10), 10))

    def add(
        self,
        name: str,
        parent: str,
        slot: int,
        realized: Finality = ZERO,
        unrealized: Finality | None = None,
        timely: bool = False,
    ) -> None:
        node = BlockNode(root(name), root(parent), slot, realized, unrealized or realized, timely)
        self.store.add_block(node)

    def head(self) -> str:
        return self.store.head().rstrip(b"\0").decode()


def finality(justified: tuple[int, str], finalized: tuple[int, str] = (0, "g")) -> Finality:
    return Finality(Checkpoint(justified[0], root(justified[1])), Checkpoint(finalized[0], root(finalized[1])))


# --- directed --------------------------------------------------------------------------------------


def ties_go_to_the_higher_root(tree: Tree) -> None:
    tree.store.tick(2)
    tree.add("a", "g", 1)
    tree.add("b", "g", 1)
    assert tree.head() == "b"


def boost_decides_and_ends_with_the_slot(tree: Tree) -> None:
    tree.store.tick(1)
    tree.add("a", "g", 1, timely=True)
    tree.add("b", "g", 1, timely=True)
    assert tree.head() == "a"  # the first, not the last
    tree.store.tick(2)
    assert tree.store.boost_root is None
    assert tree.head() == "b"


def late_blocks_get_no_boost(tree: Tree) -> None:
    tree.store.tick(1)
    tree.add("a", "g", 1)
    assert tree.store.boost_root is None


def boost_needs_the_heads_duties(tree: Tree) -> None:
    tree.store.tick(3)
    tree.add("a", "g", 3)
    tree.add("b", "g", 2)
    tree.store.count_votes([0], root("a"), 0)
    tree.store.tick(8)  # epoch 2: duties depend on the last block before slot 4
    tree.add("c", "b", 8, timely=True)
    assert tree.store.boost_root is None
    tree.add("d", "a", 8, timely=True)
    assert tree.store.boost_root == root("d")


def a_later_vote_of_the_same_epoch_counts_not(tree: Tree) -> None:
    tree.store.tick(2)
    tree.add("a", "g", 1)
    tree.add("b", "g", 1)
    tree.store.count_votes([0], root("a"), 0)
    tree.store.count_votes([0], root("b"), 0)
    assert tree.head() == "a"
    tree.store.count_votes([0], root("b"), 1)
    assert tree.head() == "b"


def equivocators_count_not(tree: Tree) -> None:
    tree.store.tick(2)
    tree.add("a", "g", 1)
    tree.add("b", "g", 1)
    tree.store.count_votes([0], root("a"), 0)
    tree.store.discard_equivocators([0])
    assert tree.head() == "b"
    tree.store.count_votes([0], root("a"), 1)
    assert tree.head() == "b"


def justified_branch_wins_over_votes(tree: Tree) -> None:
    tree.store.tick(5)
    tree.add("a", "g", 4)
    tree.add("b", "a", 5)
    tree.store.tick(9)
    tree.add("b2", "b", 9, finality((1, "a")))
    tree.add("c2", "a", 9)  # does not know that epoch 1 is justified, but is recent enough
    tree.store.count_votes(range(5), root("c2"), 2)
    assert tree.head() == "c2"
    tree.store.tick(12)  # its voting source, epoch 0, is now too old
    assert tree.head() == "b2"


def unrealized_is_adopted_when_the_epoch_ends(tree: Tree) -> None:
    tree.store.tick(7)
    tree.add("a", "g", 4)
    tree.add("b", "a", 7, ZERO, finality((1, "a")))
    assert tree.store.finality.justified.epoch == 0
    tree.store.tick(8)
    assert tree.store.finality.justified == Checkpoint(1, root("a"))


def unrealized_of_a_past_block_is_adopted_at_once(tree: Tree) -> None:
    tree.store.tick(9)
    tree.add("a", "g", 4)
    tree.add("b", "a", 7, ZERO, finality((1, "a")))
    assert tree.store.finality.justified == Checkpoint(1, root("a"))


def pulled_up_branch_is_viable(tree: Tree) -> None:
    tree.store.tick(7)
    tree.add("a", "g", 4)
    tree.add("b", "a", 7, ZERO, finality((1, "a")))
    tree.add("z", "a", 6)
    tree.store.tick(12)
    assert tree.head() == "b"


def the_walk_starts_at_the_justified_block(tree: Tree) -> None:
    tree.store.tick(9)
    tree.add("a", "g", 4)
    tree.add("x", "g", 5)
    tree.add("b", "a", 8, finality((1, "a")))
    tree.store.count_votes(range(5), root("x"), 1)
    assert tree.head() == "b"


def finalized_branch_only(tree: Tree) -> None:
    """Justified says nothing against ``x``, finalized does: only the final check keeps it out."""
    tree.store.tick(5)
    tree.add("a", "g", 2)
    tree.add("b", "a", 4)
    tree.add("x", "a", 5)
    tree.store.tick(12)
    # epoch 1's checkpoint on x's chain is a; a store that finalized (1, b) while a stays the start of the walk
    tree.store.finality = Finality(Checkpoint(3, root("a")), Checkpoint(1, root("b")))
    tree.store.count_votes(range(5), root("x"), 2)
    tree.store.nodes[root("x")] = BlockNode(root("x"), root("a"), 5, finality((3, "a")), finality((3, "a")))
    tree.store.nodes[root("b")] = BlockNode(root("b"), root("a"), 4, finality((3, "a")), finality((3, "a")))
    assert tree.head() == "b"


DIRECTED: list[Callable[[Tree], None]] = [
    ties_go_to_the_higher_root,
    boost_decides_and_ends_with_the_slot,
    late_blocks_get_no_boost,
    boost_needs_the_heads_duties,
    a_later_vote_of_the_same_epoch_counts_not,
    equivocators_count_not,
    justified_branch_wins_over_votes,
    unrealized_is_adopted_when_the_epoch_ends,
    unrealized_of_a_past_block_is_adopted_at_once,
    pulled_up_branch_is_viable,
    the_walk_starts_at_the_justified_block,
    finalized_branch_only,
]


@pytest.mark.parametrize("case", DIRECTED, ids=lambda case: case.__name__)
def test_directed(case: Callable[[Tree], None]) -> None:
    case(Tree())


# --- mutants ---------------------------------------------------------------------------------------

MUTANTS: dict[str, tuple[str, Callable[..., object]]] = {
    "no_boost": ("_boost", lambda self, weights: 0),
    "keep_boost": ("_on_new_slot", lambda self: None),
    "boost_late": ("_is_timely", lambda self, node: True),
    "boost_last": ("_boost_is_free", lambda self: True),
    "no_dep_check": ("_same_duties", lambda self, head, block: True),
    "no_filter": ("_is_viable_leaf", lambda self, node: True),
    "no_unrealized": ("_voting_source", lambda self, node: node.realized.justified),
    "no_plus2": ("_is_recent_source", lambda self, epoch: False),
    "no_pull_up_on_tick": ("_on_new_epoch", lambda self: None),
    "no_pull_up_block": ("_epoch_is_past", lambda self, node: False),
    "latest_ge": ("_replaces", lambda self, epoch, latest: epoch >= latest.epoch),
    "count_equiv": ("_counts", lambda self, validator: True),
    "tie_low": ("_rank", lambda self, weight, block: (weight, bytes(255 - byte for byte in block))),
    "no_final_check": ("_agrees_on_finalized", lambda self, node: True),
    "root_at_final": ("_start", lambda self: self.finality.finalized.root),
}


def _directed_failures() -> list[str]:
    failures = []
    for case in DIRECTED:
        try:
            case(Tree())
        except AssertionError:
            failures.append(case.__name__)
    return failures


@pytest.mark.parametrize("name", list(MUTANTS))
def test_directed_cases_kill(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _directed_failures() == []
    monkeypatch.setattr(ForkChoice, *MUTANTS[name])
    assert _directed_failures(), f"mutant {name} survives"


@pytest.mark.vectors
def test_official_cases() -> None:
    if not VECTORS.exists():
        pytest.skip("../shared/consensus-vectors is absent")
    results = list(run_file(VECTORS))
    assert [result.difference for result in results if result.failed] == []
    assert len(results) == 41
    assert sum(result.passed for result in results) == 4 * 1792


@pytest.mark.vectors
@pytest.mark.parametrize("name", [name for name in MUTANTS if name not in ("no_final_check", "root_at_final")])
def test_official_cases_kill(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not VECTORS.exists():
        pytest.skip("../shared/consensus-vectors is absent")
    monkeypatch.setattr(ForkChoice, *MUTANTS[name])
    # a mutant that breaks the store's own order (an unknown root in a walk) is as dead as one that differs
    for case in read_cases(VECTORS):
        try:
            if CaseReplay(case["name"], case).run().failed:
                return
        except KeyError:
            return
    pytest.fail(f"mutant {name} survives")


# --- the store's own doors -------------------------------------------------------------------------


def test_refusals_change_nothing() -> None:
    tree = Tree()
    tree.store.tick(2)
    tree.add("a", "g", 2)
    for name, parent, slot, why, early in [
        ("b", "nowhere", 2, "parent is not known", True),
        ("b", "a", 3, "in the future", True),
        ("b", "a", 2, "not after its parent", False),
    ]:
        with pytest.raises(Refused, match=why) as refusal:
            tree.add(name, parent, slot)
        assert refusal.value.early is early
    tree.store.tick(3)
    with pytest.raises(Refused, match="checkpoint of epoch 7"):
        tree.add("b", "a", 3, finality((7, "nowhere")))
    assert list(tree.store.nodes) == [root("g"), root("a")]


def test_blocks_beside_the_finalized_one_are_refused() -> None:
    tree = Tree()
    tree.store.tick(6)
    tree.add("a", "g", 4)
    tree.add("x", "g", 5)
    tree.add("b", "a", 6)
    tree.store.tick(17)
    tree.add("c", "b", 16, finality((2, "b"), (1, "a")))
    with pytest.raises(Refused, match="does not descend"):
        tree.add("y", "x", 17)
    with pytest.raises(Refused, match="not after the finalized epoch"):
        tree.add("y", "g", 4)
    assert sorted(tree.store.prune()) == [root("g"), root("x")]
    assert tree.head() == "c"


def test_attestations_wait_and_are_judged() -> None:
    tree = Tree()
    tree.store.tick(5)
    tree.add("a", "g", 4)
    tree.add("b", "a", 5)
    store = tree.store
    for slot, head, target, why, early in [
        (5, "b", (1, "a"), "counts from slot 6", True),
        (4, "b", (1, "a"), "later slot", False),
        (4, "nowhere", (1, "a"), "head is not known", True),
        (4, "a", (1, "g"), "not on its head's chain", False),
        (4, "a", (0, "g"), "not of its slot's epoch", False),
    ]:
        with pytest.raises(Refused, match=why) as refusal:
            store.check_attestation(slot, root(head), Checkpoint(target[0], root(target[1])))
        assert refusal.value.early is early
    store.check_attestation(4, root("a"), Checkpoint(1, root("a")))
    store.tick(12)
    with pytest.raises(Refused, match="too old"):
        store.check_attestation(4, root("a"), Checkpoint(1, root("a")))
    store.check_attestation(4, root("a"), Checkpoint(1, root("a")), in_block=True)


def test_weights_equal_the_definition() -> None:
    """Every subtree's weight, by walking from each vote as the specification does."""
    tree = Tree()
    tree.store.tick(9)
    names = ["g"]
    for number in range(1, 9):
        parent = names[number * 7 % len(names)]
        slot = max(number, tree.store.nodes[root(parent)].slot + 1)
        tree.add(f"n{number}", parent, slot, timely=number == 8)
        names.append(f"n{number}")
    for validator in range(10):
        tree.store.count_votes([validator], root(names[validator * 3 % 9]), 2)
    tree.store.discard_equivocators([4])
    store = tree.store
    naive = {
        name: sum(
            10
            for validator, vote in store.latest_votes.items()
            if validator != 4 and store.ancestor(vote.root, store.nodes[root(name)].slot) == root(name)
        )
        + (10 if store.boost_root and store.is_ancestor(root(name), store.boost_root) else 0)
        for name in names
    }
    assert {name: store.subtree_weights()[root(name)] for name in names} == naive


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 5000,
        "[]",
        "{}",
        '[{"name": 1}]',
        '[{"name": "a", "slots_per_epoch": 0, "anchor": [], "events": []}]',
        '[{"name": "a", "slots_per_epoch": 1e99, "anchor": [], "events": []}]',
    ],
)
def test_bad_files_are_refused_in_words(tmp_path: Path, text: str) -> None:
    for name in ("bad.json", "bad.json.xz"):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(FixtureError, match=r"bad\.json"):
            list(run_file(path))
