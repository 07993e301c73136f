"""Switches together: who finds whom, who is refused, what happens when links and nodes fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from network.faults.link_policy import LinkCondition, Loss
from node.p2p.identity import DialAddress
from node.p2p.peer import LinkTiming


def test_nodes_that_know_one_bootnode_find_all(world: Any) -> None:
    world.add("a")
    for name in "bcdef":
        world.add(name, "a")
    world.full_mesh(*"abcdef")
    assert world.members["f"].peer_names == list("abcde")
    directions = [peer.direction for peer in world.members["c"].switch.peers()]
    assert sorted(set(directions)) == ["inbound", "outbound"]


def test_without_discovery_only_the_named_are_dialled(world: Any) -> None:
    world.add("a", discovery=False)
    world.add("b", "a", discovery=False)
    world.add("c", "a", discovery=False)
    world.wait(5000)
    assert [world.members[name].peer_names for name in "abc"] == [["b", "c"], ["a"], ["a"]]


def test_a_node_on_another_chain_is_refused_and_both_logs_say_why(world: Any) -> None:
    a, b = world.add("a"), world.add("b", "a", chain=2)
    world.wait(3000)
    assert a.switch.peers() == b.switch.peers() == []
    assert "refused: chain 2" in a.log_text() or "refused by the other side: chain 1" in a.log_text()
    assert "refused by the other side: chain 2" in b.log_text() or "refused: chain 1" in b.log_text()
    refusals = [line for line in b.lines if "refused" in line]
    assert len(refusals) <= 2, "told once per reason, not once per attempt"
    assert a.ups == b.ups == []


def test_who_answers_at_a_bootnode_must_be_the_bootnode(world: Any) -> None:
    world.add("a")
    wrong = str(DialAddress(world.identity("z").node_id, world.address("a")))
    b = world.add("b")
    b.switch.add_peer(wrong)
    world.wait(3000)
    assert b.switch.peers() == []
    assert "answers there" in b.log_text()


@pytest.mark.parametrize("delay_ms", [1.0, 40.0, 400.0])
def test_crossing_dials_leave_one_session(make_world: Callable[..., Any], delay_ms: float) -> None:
    world = make_world(delay_ms=delay_ms)
    a, b = world.add("a", "b", up=False), world.add("b", "a", up=False)
    world.task("a", a.switch.start())
    world.task("b", b.switch.start())
    world.wait(12_000)
    assert (a.peer_names, b.peer_names) == (["b"], ["a"])
    assert a.switch.peers()[0].outbound != b.switch.peers()[0].outbound
    before = (list(a.ups), list(b.ups))
    world.wait(10_000)
    assert (a.ups, b.ups) == before, "and it is stable"
    a.switch.gossip.publish("t", b"hello")
    world.wait(2000)
    assert b.heard == [("a", b"hello")]


def test_a_killed_node_is_noticed_at_once_and_found_again(world: Any) -> None:
    a = world.add("a")
    world.add("b", "a")
    world.full_mesh("a", "b")
    world.kill("b")
    world.until(lambda: a.peer_names == [], 100)
    world.wait(7000)
    world.add("b", "a")
    world.until(lambda: a.peer_names == ["b"], 2000)
    assert a.ups == ["+b", "-b", "+b"]


def test_a_bootnode_that_comes_back_is_found_within_seconds(world: Any) -> None:
    a = world.add("a")
    b = world.add("b", "a")
    world.full_mesh("a", "b")
    world.kill("a")
    world.wait(60_000)
    assert b.peer_names == []
    a = world.add("a")
    world.until(lambda: a.peer_names == ["b"] and b.peer_names == ["a"], 3500)


def test_a_black_hole_is_noticed_by_its_silence_and_healing_reconnects(world: Any) -> None:
    a, b = world.add("a"), world.add("b", "a")
    world.full_mesh("a", "b")
    world.policy.cut("a", "b")
    world.wait(5500)
    assert a.peer_names == ["b"]
    world.until(lambda: a.peer_names == [] and b.peer_names == [], 2000)
    assert "silent for 6000 ms" in a.log_text()
    world.wait(30_000)
    world.policy.heal()
    world.until(lambda: a.peer_names == ["b"] and b.peer_names == ["a"], 6500)


def test_a_one_way_cut_ends_the_session_on_both_sides(world: Any) -> None:
    a, b = world.add("a"), world.add("b", "a")
    world.full_mesh("a", "b")
    world.policy.cut_one_way("a", "b")
    world.until(lambda: a.peer_names == [] and b.peer_names == [], 9000)


def test_a_short_cut_keeps_the_session(world: Any) -> None:
    a, b = world.add("a"), world.add("b", "a")
    world.full_mesh("a", "b")
    world.policy.cut("a", "b")
    a.switch.gossip.publish("t", b"held up")
    world.wait(3000)
    world.policy.heal()
    world.wait(2000)
    assert a.ups == ["+b"]
    assert b.payloads == [b"held up"]


def test_a_node_that_was_stopped_for_long_keeps_its_links_if_the_others_do(world: Any) -> None:
    """It counts ticks, not time: after SIGSTOP it must not conclude that all others have died."""
    timing = LinkTiming(silence_ms_max=600_000)
    a, b = world.add("a", timing=timing), world.add("b", "a")
    world.full_mesh("a", "b")
    world.loop.pause(b.owner)
    world.wait(60_000)
    world.loop.resume(b.owner)
    world.wait(5000)
    assert (a.ups, b.ups) == (["+b"], ["+a"])


def test_slots_are_bounded_but_static_peers_always_fit(world: Any) -> None:
    a = world.add("a", "f", peers_max=3)
    for name in "bcde":
        world.add(name, "a", discovery=False)
    world.wait(3000)
    assert len(a.switch.peers()) == 3
    assert "has 3 peers already" in "".join(world.members[name].log_text() for name in "bcde")
    world.add("f")
    world.until(lambda: "f" in a.peer_names, 5000)
    assert len(a.switch.peers()) == 4


def test_a_stopping_node_says_goodbye(world: Any) -> None:
    a, b = world.add("a"), world.add("b", "a")
    world.full_mesh("a", "b")
    world.do("a", a.switch.stop())
    world.until(lambda: b.peer_names == [], 50)
    assert "other side: node stops" in b.log_text()
    world.do("a", a.switch.stop())  # idempotent


def test_a_lost_session_is_dialled_again_soon_but_not_in_step(world: Any) -> None:
    a, b = world.add("a", "b"), world.add("b", "a")
    world.full_mesh("a", "b")
    a.switch.disconnect(b.switch.node_id, "for a test")
    world.wait(90)
    assert a.peer_names == b.peer_names == []
    world.until(lambda: a.peer_names == ["b"] and b.peer_names == ["a"], 500)


def test_a_busy_port_is_an_os_error(world: Any) -> None:
    world.add("a")
    other = world.add("b", up=False)
    other.switch._config = world.members["a"].switch._config
    with pytest.raises(OSError, match="in use"):
        world.do("b", other.switch.start())


def test_peers_can_be_added_and_removed_by_hand(world: Any) -> None:
    a, b = world.add("a"), world.add("b", discovery=False)
    a.switch.add_peer(world.dial_string("b"))
    world.full_mesh("a", "b")
    a.switch.remove_peer(b.switch.node_id)
    world.wait(5000)
    assert a.peer_names == []
    assert "removed by the operator" in b.log_text()


def test_peer_info_tells_what_operators_ask(world: Any) -> None:
    a, b = world.add("a"), world.add("b", "a")
    world.full_mesh("a", "b")
    world.wait(5000)
    (info,) = a.switch.peers()
    assert (info.name, info.node_id, info.direction, info.static) == ("b", b.switch.node_id, "inbound", False)
    assert info.listen_address == info.address == world.address("b")
    assert info.rtt_ms == 10
    assert info.bytes_in > 0 < info.bytes_out
    assert info.connected_ms > 5000
    (info,) = b.switch.peers()
    assert (info.direction, info.static, info.address) == ("outbound", True, world.address("a"))


@pytest.mark.parametrize(
    "condition",
    [
        LinkCondition(delay_ms=20, jitter_ms=30, loss=0.05),
        LinkCondition(delay_ms=20, loss=0.02, on_loss=Loss.RESET),
        LinkCondition(delay_ms=5, loss=0.03, duplication=0.05, reorder=0.05, on_loss=Loss.RAW),
    ],
    ids=["late", "reset", "raw"],
)
def test_bad_links_do_not_keep_nodes_apart(make_world: Callable[..., Any], condition: LinkCondition) -> None:
    world = make_world(seed=3)
    world.policy.default = condition
    for name in "abcd":
        world.add(name, *(() if name == "a" else ("a",)))
    world.until(lambda: all(len(world.members[name].switch.peers()) == 3 for name in "abcd"), 60_000)
    for number in range(40):
        world.members["abcd"[number % 4]].switch.gossip.publish("t", b"message %d" % number)
        world.wait(200)
    world.wait(10_000)
    for member in world.members.values():
        assert len(set(member.payloads)) >= 28, f"{member.name} misses too many of 30"


def test_the_same_seed_gives_the_same_trace(make_world: Callable[..., Any]) -> None:
    traces = []
    for _ in range(2):
        world = make_world(seed=9)
        world.policy.default = LinkCondition(delay_ms=3, jitter_ms=10, loss=0.05)
        for name in "abcd":
            world.add(name, *(() if name == "a" else ("a",)))
        world.wait(2000)
        for number in range(20):
            world.members["abcd"[number % 4]].switch.gossip.publish("t", b"%d" % number * 900)
            world.wait(37)
        world.policy.isolate("b", "abcd")
        world.wait(8000)
        world.policy.heal()
        world.wait(8000)
        traces.append(world.trace)
    assert len(traces[0]) > 300
    assert traces[0] == traces[1]
