"""Gossip: reach, economy, repair, verdicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from network.faults.link_policy import LinkCondition, Loss
from node.p2p import gossip
from node.p2p.scoring import ScoreRules
from node.p2p.verdict import ACCEPT, IGNORE, REJECT


def connect(world: Any, *links: str) -> None:
    """Nodes without discovery, joined by the given links ("ab" = a dials b)."""
    for name in sorted(set("".join(links))):
        world.add(name, *(link[1] for link in links if link[0] == name), discovery=False)
    world.until(
        lambda: all(
            len(member.switch.peers()) == sum(member.name in link for link in links)
            for member in world.members.values()
        )
    )
    world.wait(500)


def test_in_a_full_mesh_each_message_crosses_each_link_once(world: Any) -> None:
    connect(world, "ba", "ca", "da", "cb", "db", "dc")
    before = {name: len(member.heard) for name, member in world.members.items()}
    world.trace.clear()
    for number in range(30):
        world.members["a"].switch.gossip.publish("t", b"vote %d" % number * 60)
    world.wait(1000)
    for name in "bcd":
        assert world.members[name].payloads == [b"vote %d" % number * 60 for number in range(30)]
        assert {peer for peer, _ in world.members[name].heard} == {"a"}
    assert before["a"] == len(world.members["a"].heard) == 0, "nothing comes back to its origin"
    pushed = [line for line in world.trace if line.split()[1] in ("b>c", "b>d", "c>b", "c>d", "d>b", "d>c")]
    assert all(int(line.split()[-1]) < 1000 for line in pushed), "the others exchange short announcements only"


@pytest.mark.parametrize("size", [50, 5000, 3_000_000])
def test_a_message_travels_along_a_line(world: Any, size: int) -> None:
    connect(world, "ab", "bc", "cd", "de")
    payload = b"\x07" * size
    world.members["a"].switch.gossip.publish("t", payload)
    world.until(lambda: world.members["e"].payloads == [payload], 3000)
    assert [member.heard for member in world.members.values()] == [
        [], [("a", payload)], [("b", payload)], [("c", payload)], [("d", payload)],
    ]  # fmt: skip


def test_a_message_goes_round_a_cut_between_two_nodes(world: Any) -> None:
    connect(world, "ba", "ca", "cb")
    world.policy.cut("a", "b")
    world.members["a"].switch.gossip.publish("t", b"to all")
    world.until(lambda: world.members["b"].payloads == [b"to all"], 1000)
    assert world.members["b"].heard == [("c", b"to all")], "before anybody has noticed the cut"
    world.wait(10_000)
    assert world.members["b"].peer_names == ["c"]
    world.members["a"].switch.gossip.publish("t", b"again")
    world.until(lambda: b"again" in world.members["b"].payloads, 100)
    assert len(world.members["b"].payloads) == 2


@pytest.mark.parametrize("topology", [("ab", "bc", "cd", "de"), ("ab", "bc", "cd", "de", "ea")], ids=["line", "ring"])
def test_loss_is_repaired(make_world: Callable[..., Any], topology: tuple[str, ...]) -> None:
    """Links that lose a tenth of all frames for good: late announcements and fetches bring the rest."""
    world = make_world(seed=5)
    connect(world, *topology)
    world.policy.default = LinkCondition(delay_ms=5, loss=0.1, on_loss=Loss.RAW)
    sent = [b"message %d" % number for number in range(60)]
    for number, payload in enumerate(sent):
        world.members["abcde"[number % 5]].switch.gossip.publish("t", payload)
        world.wait(50)
    world.wait(3000)
    for member in world.members.values():
        missing = set(sent) - set(member.payloads) - {sent[n] for n in range(60) if "abcde"[n % 5] == member.name}
        assert len(missing) <= 3, f"{member.name} misses {missing}"
        assert len(member.payloads) == len(set(member.payloads)), "nothing is judged twice"


def test_rejected_messages_go_no_further_and_cost_the_sender(world: Any) -> None:
    connect(world, "ab", "bc")
    world.members["b"].judge = lambda payload: REJECT("a lie")
    world.members["a"].switch.gossip.publish("t", b"lie")
    world.wait(1000)
    assert world.members["c"].heard == []
    (info,) = [peer for peer in world.members["b"].switch.peers() if peer.name == "a"]
    assert info.score < -15
    assert "a lie" in world.members["b"].log_text()


def test_liars_are_banned_told_why_and_stay_out(world: Any) -> None:
    a, b = world.add("a", scoring=ScoreRules(ban_ms=60_000)), world.add("b", "a")
    world.full_mesh("a", "b")
    a.judge = lambda payload: REJECT("a lie")
    for number in range(6):
        b.switch.gossip.publish("t", b"lie %d" % number)
    world.wait(1000)
    assert a.peer_names == []
    assert "peer banned" in a.log_text()
    assert "banned for 60000 ms: t: a lie" in b.log_text()
    world.wait(30_000)
    assert a.peer_names == [], "a ban outlives the connection"
    assert "refused by the other side: banned for another" in b.log_text()
    world.wait(35_000)
    assert a.peer_names == ["b"], "and ends"


def test_static_peers_are_not_banned(world: Any) -> None:
    a, b = world.add("a", "b"), world.add("b")
    world.full_mesh("a", "b")
    a.judge = lambda payload: REJECT("a lie")
    for number in range(10):
        b.switch.gossip.publish("t", b"lie %d" % number)
    world.wait(1000)
    assert a.peer_names == ["b"]
    assert a.switch.peers()[0].score < -100


def test_ignored_messages_go_no_further_cost_nothing_and_may_come_again(world: Any) -> None:
    connect(world, "ab", "bc")
    world.members["b"].judge = lambda payload: IGNORE("too early")
    world.members["a"].switch.gossip.publish("t", b"vote")
    world.wait(1000)
    assert world.members["c"].heard == []
    assert [peer.score for peer in world.members["b"].switch.peers()] == [0, 0]
    world.members["b"].judge = lambda payload: ACCEPT
    world.members["a"].switch.gossip.publish("t", b"vote")
    world.wait(1000)
    assert world.members["b"].payloads == [b"vote", b"vote"]
    assert world.members["c"].payloads == [b"vote"]


def test_accepted_messages_are_judged_once(world: Any) -> None:
    connect(world, "ab")
    for _ in range(5):
        world.members["a"].switch.gossip.publish("t", b"vote")
    world.wait(1000)
    assert world.members["b"].payloads == [b"vote"]


def test_direct_messages_reach_one_peer_each_time_and_are_not_forwarded(world: Any) -> None:
    connect(world, "ab", "bc", "ca")
    a, b = world.members["a"], world.members["b"]
    for _ in range(3):
        assert a.switch.send(b.switch.node_id, "t", b"for you")
    world.wait(1000)
    assert b.payloads == [b"for you"] * 3
    assert world.members["c"].heard == []
    assert not a.switch.send(world.identity("z").node_id, "t", b"nobody")


def test_topics_nobody_subscribed_are_dropped_without_blame(world: Any) -> None:
    connect(world, "ab")
    world.members["a"].switch.gossip.publish("unknown", b"?")
    world.members["a"].switch.gossip.publish("t", b"known")
    world.wait(500)
    assert world.members["b"].payloads == [b"known"]
    assert world.members["b"].switch.peers()[0].score >= 0


def test_a_node_that_lacks_an_announced_message_asks_the_next_announcer(world: Any) -> None:
    """Both b and c announce; b, asked first, has gone silent."""
    connect(world, "ab", "ac", "db", "dc")
    payload = b"\x01" * 10_000
    world.policy.cut_one_way("d", "b")  # the fetch never reaches b
    world.members["a"].switch.gossip.publish("t", payload)
    world.until(lambda: world.members["d"].payloads == [payload], 4000)
    assert world.members["d"].heard[0][0] == "c"


def test_memory_of_messages_is_bounded(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip, "ENTRIES_MAX", 50)
    monkeypatch.setattr(gossip, "STORED_BYTES_MAX", 10_000)
    connect(world, "ab")
    for number in range(300):
        world.members["a"].switch.gossip.publish("t", b"%05d" % number * 40)
        if number % 50 == 0:
            world.wait(20)
    world.wait(500)
    for member in world.members.values():
        assert len(member.switch.gossip._entries) <= 50
        assert member.switch.gossip._stored_bytes <= 10_000
        assert member.switch.gossip._stored_bytes == sum(
            len(entry.encoded or b"") for entry in member.switch.gossip._entries.values()
        )
    world.wait(40_000)
    assert world.members["b"].switch.gossip._stored_bytes == 0, "nothing is kept for long"
