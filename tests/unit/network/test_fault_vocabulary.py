"""Faults as data: names, types, files; and which links a fault touches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from network.faults.link_faults import LinkFaults, cut_links, spoiled_links
from network.faults.link_policy import LinkCondition, LinkPolicy
from network.faults.vocabulary import KINDS, BadPlan, FaultAction, Plan, Unit, read_plan

NAMES = ["n0", "n1", "n2", "n3"]


def example(name: str) -> FaultAction:
    kind = KINDS[name]
    needed = {
        parameter.name: ("n1",) if parameter.unit is Unit.NODES else max(int(parameter.low), 1)
        for parameter in kind.parameters
        if parameter.default is None
    }
    return FaultAction(1000, name, ("n0",), needed, until_ms=2000 if kind.lasts else None)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_goes_through_json_and_back(name: str) -> None:
    action = example(name)
    assert FaultAction.from_json(json.loads(json.dumps(action.to_json()))) == action
    assert name in str(action)
    assert KINDS[name].text


def test_there_are_enough_kinds() -> None:
    assert len(KINDS) >= 20
    assert sum(kind.is_byzantine for kind in KINDS.values()) >= 9


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"at_ms": 1, "kind": "partitoin", "targets": ["n0"]}, "did you mean partition?"),
        ({"at_ms": 1, "kind": 7, "targets": ["n0"]}, "there is no fault 7"),
        ({"kind": "crash", "targets": ["n0"]}, "at_ms is missing"),
        ({"at_ms": 1, "targets": ["n0"]}, "kind is missing"),
        ({"at_ms": -1, "kind": "crash", "targets": ["n0"]}, "at_ms: expected milliseconds"),
        ({"at_ms": True, "kind": "crash", "targets": ["n0"]}, "at_ms: expected milliseconds"),
        ({"at_ms": 9, "kind": "crash", "targets": ["n0"], "until_ms": 9}, "is not after"),
        ({"at_ms": 9, "kind": "restart", "targets": ["n0"], "until_ms": 10}, "strikes once"),
        ({"at_ms": 1, "kind": "crash"}, "needs targets"),
        ({"at_ms": 1, "kind": "crash", "targets": "n0"}, "expected a list of node names"),
        ({"at_ms": 1, "kind": "crash", "targets": ["n0"], "untill_ms": 4}, "did you mean until_ms?"),
        ({"at_ms": 1, "kind": "loss"}, "needs share"),
        ({"at_ms": 1, "kind": "loss", "share": 1.5}, "is not in 0..1"),
        ({"at_ms": 1, "kind": "loss", "share": "much"}, "expected a number"),
        ({"at_ms": 1, "kind": "loss", "shear": 0.5}, "did you mean share?"),
        ({"at_ms": 1, "kind": "delay", "delay_ms": 1.5}, "expected a whole number"),
        ({"at_ms": 1, "kind": "delay", "delay_ms": 5, "one_way": 1}, "expected true or false"),
        ({"at_ms": 1, "kind": "bridge", "targets": ["n0"], "side": "n1"}, "expected a list of node names"),
        ([], "expected an object"),
    ],
)
def test_what_is_wrong_is_said(document: object, told: str) -> None:
    with pytest.raises(BadPlan) as caught:
        Plan.from_json({"faults": [{"at_ms": 0, "kind": "restart", "targets": ["n0"]}, document]})
    assert str(caught.value).startswith("fault 2: ")
    assert told in str(caught.value)


def test_a_plan_is_read_from_both_kinds_of_file(tmp_path: Path) -> None:
    plan = Plan((FaultAction(9000, "crash", ("n1",), until_ms=9500), FaultAction(500, "loss", (), {"share": 0.25})))
    assert [action.kind for action in plan.actions] == ["loss", "crash"]
    as_json, as_toml = tmp_path / "plan.json", tmp_path / "plan.toml"
    as_json.write_text(json.dumps(plan.to_json()))
    as_toml.write_text(
        '[[faults]]\nat_ms = 500\nkind = "loss"\nshare = 0.25\n\n'
        '[[faults]]\nat_ms = 9000\nkind = "crash"\ntargets = ["n1"]\nuntil_ms = 9500\n'
    )
    assert read_plan(as_json) == read_plan(as_toml) == plan
    assert plan.end_ms == 9500


@pytest.mark.parametrize("content", ["{", '{"fault": []}', '{"faults": {}}', '{"faults": [1]}', "[" * 100_000])
def test_a_file_that_is_no_plan_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(BadPlan, match=r"bad\.json"):
        read_plan(path)
    with pytest.raises(BadPlan, match="missing"):
        read_plan(tmp_path / "missing.json")


def test_nodes_that_are_not_there_are_named() -> None:
    plan = Plan((FaultAction(1, "partition", ("n0",), {"others": ["node1"]}),))
    with pytest.raises(BadPlan, match=r"fault 1 \(partition\): there is no node 'node1'; did you mean n1"):
        plan.check_names(NAMES)


def test_a_smaller_cluster_keeps_what_still_means_something() -> None:
    plan = Plan(
        (
            FaultAction(1, "crash", ("n3",), until_ms=5),
            FaultAction(2, "partition", ("n0", "n3")),
            FaultAction(3, "partition", ("n0",), {"others": ["n3"]}),
            FaultAction(4, "delay", (), {"delay_ms": 5}),
        )
    )
    left = plan.without(["n3"])
    assert [(one.at_ms, one.targets) for one in left.actions] == [(2, ("n0",)), (4, ())]


def test_liars_are_known_beforehand() -> None:
    plan = Plan((FaultAction(5, "twins", ("n2",)), FaultAction(1, "crash", ("n0",)), FaultAction(1, "twins", ("n2",))))
    assert plan.byzantine() == ("n2",)


def test_cuts() -> None:
    def cuts(kind: str, *targets: str, **parameters: tuple[str, ...]) -> set[tuple[str, str]]:
        return set(cut_links(FaultAction(0, kind, targets, parameters), NAMES))

    assert ("n0", "n1") not in cuts("partition", "n0", "n1")
    assert len(cuts("partition", "n0", "n1")) == 8
    assert cuts("partition", "n0", others=("n3",)) == {("n0", "n3"), ("n3", "n0")}
    assert cuts("one-way-partition", "n0") == {("n0", "n1"), ("n0", "n2"), ("n0", "n3")}
    assert cuts("bridge", "n1", side=("n0",)) == {("n0", "n2"), ("n2", "n0"), ("n0", "n3"), ("n3", "n0")}
    assert cuts("pause", "n1") == set()


def test_spoiled_links() -> None:
    everywhere = FaultAction(0, "loss", (), {"share": 0.5})
    assert len(spoiled_links(everywhere, NAMES)) == 12
    one_way = FaultAction(0, "delay", ("n0",), {"delay_ms": 7, "others": ["n1"], "one_way": True})
    assert spoiled_links(one_way, NAMES) == [("n0", "n1")]


def test_the_end_of_one_fault_does_not_end_another() -> None:
    policy = LinkPolicy(LinkCondition(delay_ms=1))
    faults = LinkFaults(policy, NAMES)
    long, short = FaultAction(0, "partition", ("n0",)), FaultAction(1, "partition", ("n0", "n1"))
    slow, lossy = FaultAction(0, "delay", ("n2",), {"delay_ms": 50}), FaultAction(0, "loss", (), {"share": 0.5})
    for action in (long, slow, short, lossy):
        faults.begin(action)
    assert policy.is_cut("n0", "n2")
    assert policy.is_cut("n1", "n2")
    assert policy.condition("n2", "n3") == LinkCondition(delay_ms=51, loss=0.5)
    faults.end(short)
    faults.end(lossy)
    assert policy.is_cut("n0", "n2")
    assert not policy.is_cut("n1", "n2")
    assert policy.condition("n2", "n3") == LinkCondition(delay_ms=51)
    assert policy.condition("n0", "n1") == LinkCondition(delay_ms=1)
    faults.heal()
    assert policy.cuts == ()
    assert policy.condition("n2", "n3") == LinkCondition(delay_ms=1)
    assert faults.on == ()
