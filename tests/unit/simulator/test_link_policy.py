"""What a link does to a frame, as data."""

from __future__ import annotations

import pytest

from network.faults.link_policy import BROKEN, LOST, Deliveries, LinkCondition, LinkPolicy, Loss
from network.simulator.entropy import seeded_random

MS = 1_000_000


def fates(condition: LinkCondition, count: int = 2000) -> list[Deliveries]:
    policy = LinkPolicy()
    policy.set_condition("a", "b", condition)
    chance = seeded_random(5, "fates")
    return [policy.deliveries("a", "b", 100, 0, chance) for _ in range(count)]


def test_a_quiet_link_only_takes_its_delay() -> None:
    assert set(fates(LinkCondition(delay_ms=2.5))) == {Deliveries((2_500_000,))}


def test_jitter_is_added() -> None:
    delays = [fate.after_ns[0] for fate in fates(LinkCondition(delay_ms=10, jitter_ms=4))]
    assert 10 * MS <= min(delays) < 10.1 * MS
    assert 13.9 * MS < max(delays) < 14 * MS


def test_loss_on_a_stream_is_lateness() -> None:
    drawn = fates(LinkCondition(delay_ms=1, loss=0.25))
    waits = {fate.after_ns[0] // MS for fate in drawn if not fate.reset}
    assert {1, 201, 601, 1401} <= waits
    late = sum(1 for fate in drawn if fate.reset or fate.after_ns[0] > MS)
    assert 420 < late < 580
    assert fates(LinkCondition(loss=1.0), 3) == [BROKEN] * 3, "a link that loses all breaks the connection"


def test_loss_can_break_the_connection_or_be_real() -> None:
    broken = fates(LinkCondition(loss=0.25, on_loss=Loss.RESET))
    assert 420 < broken.count(BROKEN) < 580
    raw = fates(LinkCondition(loss=0.25, on_loss=Loss.RAW))
    assert 420 < raw.count(LOST) < 580


def test_doubles_and_overtaking_show_on_a_raw_link_alone() -> None:
    raw = fates(LinkCondition(duplication=0.25, reorder=0.25, on_loss=Loss.RAW))
    assert 420 < sum(1 for fate in raw if len(fate.after_ns) == 2) < 580
    assert not any(fate.in_order for fate in raw)
    stream = fates(LinkCondition(duplication=0.25, reorder=0.25))
    assert all(len(fate.after_ns) == 1 and fate.in_order for fate in stream)
    assert 420 < sum(1 for fate in stream if fate.after_ns[0] > MS) < 580


def test_a_narrow_link_queues() -> None:
    policy = LinkPolicy(LinkCondition(delay_ms=1, bandwidth_bytes_per_s=100_000))
    chance = seeded_random(5, "x")
    arrivals = [policy.deliveries("a", "b", 1000, 0, chance).after_ns[0] // MS for _ in range(3)]
    assert arrivals == [11, 21, 31]
    assert policy.deliveries("a", "b", 1000, 100 * MS, chance).after_ns == (11 * MS,)


def test_cuts_and_partitions() -> None:
    policy = LinkPolicy()
    chance = seeded_random(1, "x")
    policy.cut_one_way("a", "b")
    assert policy.deliveries("a", "b", 1, 0, chance) == LOST
    assert policy.deliveries("b", "a", 1, 0, chance) != LOST
    policy.heal()
    policy.partition(["a", "b"], ["c", "d"])
    assert sorted(policy.cuts) == sorted(
        (x, y) for pair in (("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")) for x, y in (pair, pair[::-1])
    )
    policy.heal()
    policy.partition(["a", "bridge"], ["bridge", "c"])
    assert sorted(policy.cuts) == [("a", "c"), ("c", "a")]
    policy.heal()
    policy.isolate("a", ["a", "b", "c"])
    policy.heal_link("b", "a")
    assert sorted(policy.cuts) == [("a", "b"), ("a", "c"), ("c", "a")]


def test_conditions_of_single_links() -> None:
    policy = LinkPolicy(LinkCondition(delay_ms=1))
    policy.change("a", "b", delay_ms=50.0)
    policy.change("a", "b", loss=0.5)
    assert policy.condition("a", "b") == LinkCondition(delay_ms=50.0, loss=0.5)
    assert policy.condition("b", "a") == LinkCondition(delay_ms=1)
    policy.mend("a", "b")
    assert policy.condition("a", "b") == LinkCondition(delay_ms=1)


@pytest.mark.parametrize("fields", [{"loss": 1.5}, {"duplication": -0.1}, {"delay_ms": -1}, {"jitter_ms": -1}])
def test_nonsense_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        LinkCondition(**fields)  # type: ignore[arg-type]
