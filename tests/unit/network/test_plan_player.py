"""Plans in real time: in order, ended in the end, and not stopped by a step that fails."""

import os

import pytest

from network.cluster import fault_hands, plan_player
from network.cluster.plan_player import play, steps_of
from network.failures import Failure
from network.faults.dying_engine import DyingEngine
from network.faults.kinds import KINDS, Group
from network.faults.vocabulary import BadPlan, FaultAction, Plan
from node.consensus.engine import Note

PAUSE = FaultAction(10, "pause", ("n0",), {}, 30)
DELAY = FaultAction(0, "delay", (), {"delay_ms": 5})
LATER = FaultAction(30, "pause", ("n0",), {}, 40)
JUMP = FaultAction(20, "clock-jump", ("n1",), {"by_ms": 7})


@pytest.fixture
def done(monkeypatch):
    calls = []

    def hand(word):
        def do(run, fault):
            calls.append((word, fault.kind))
            if fault.kind == "clock-jump":
                raise Failure("n1 is not running")

        return do

    monkeypatch.setattr(plan_player.fault_hands, "begin", hand("begin"))
    monkeypatch.setattr(plan_player.fault_hands, "end", hand("end"))
    return calls


def test_ends_come_before_beginnings_of_the_same_moment():
    steps = steps_of(Plan((PAUSE, DELAY, LATER)))
    assert [(step.at_ms, step.begins, step.action.kind) for step in steps] == [
        (0, True, "delay"),
        (10, True, "pause"),
        (30, False, "pause"),
        (30, True, "pause"),
        (40, False, "pause"),
    ]


def test_a_plan_is_carried_out_and_ended(make_run, done):
    told = []
    failed = play(make_run(), Plan((PAUSE, DELAY, JUMP)), False, told.append)
    assert done == [
        ("begin", "delay"),
        ("begin", "pause"),
        ("begin", "clock-jump"),
        ("end", "pause"),
        ("end", "delay"),
    ]
    assert [step.problem for step in failed] == ["n1 is not running"]
    assert "begin clock-jump on n1: n1 is not running" in str(told[2])


def test_what_lasts_may_be_left(make_run, done):
    play(make_run(), Plan((DELAY,)), True, lambda step: None)
    assert done == [("begin", "delay")]


def test_unknown_nodes_are_refused_before_anything_happens(make_run, done):
    with pytest.raises(BadPlan, match="n7"):
        play(make_run(), Plan((FaultAction(0, "pause", ("n7",)),)), False, lambda step: None)
    assert done == []


def test_there_are_hands_for_every_kind():
    for name, kind in KINDS.items():
        if kind.group is not Group.LINK:
            assert name in fault_hands._BEGIN, name
            assert (name in fault_hands._END) == kind.lasts, name


def test_a_dying_engine_dies_before_the_effect_that_is_too_many(monkeypatch):
    class Inner:
        name, height, more = "bft", 1, "inner's own"

        def handle(self, event):
            return [Note(str(number)) for number in range(3)]

    def die(pid, number):
        assert pid == os.getpid()
        raise SystemExit(number)

    monkeypatch.setattr("network.faults.dying_engine.os.kill", die)
    engine = DyingEngine(Inner(), 5)
    assert (engine.name, engine.height, engine.more) == ("bft", 1, "inner's own")
    assert len(list(engine.handle(None))) == 3
    carried_out = []

    def carry_out():
        for effect in engine.handle(None):
            carried_out.append(effect)

    with pytest.raises(SystemExit):
        carry_out()
    assert [effect.event for effect in carried_out] == ["0", "1"]
