"""The small parts that keep things bounded: buckets, scores, lanes, inboxes, fetch tables, the address book."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.p2p import discovery, inbox, outbox, scoring
from node.p2p.discovery import AddressBook, reachable_address
from node.p2p.fetch_table import FetchBounds, FetchTable
from node.p2p.identity import DialAddress, NodeId
from node.p2p.inbox import Letter, TopicInbox
from node.p2p.outbox import Outbox, OutboxOverflow
from node.p2p.rate_limit import Rate, TokenBucket
from node.p2p.scoring import ScoreRules, Scores
from node.p2p.wire import BATCH_BYTES


def peer(number: int) -> NodeId:
    return NodeId(number.to_bytes(32, "big"))


# --- token buckets ---


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 20)), max_size=60), st.integers(1, 100))
def test_a_bucket_never_gives_more_than_burst_and_rate(takes: list[tuple[int, int]], rate: int) -> None:
    bucket, now, given_out = TokenBucket(Rate(rate, 50), 0), 0, 0
    for pause, tokens in takes:
        now += pause
        if bucket.take(now, tokens):
            given_out += tokens
        assert given_out <= 50 + now * rate / 1000


def test_a_bucket_on_credit_says_how_long_to_wait() -> None:
    bucket = TokenBucket(Rate(1000, 100), 0)
    assert bucket.wait_ms(0, 100) == 0
    assert bucket.wait_ms(0, 500) == 500
    assert bucket.wait_ms(500, 0) == 0
    assert bucket.wait_ms(400, 1) == 1, "a clock that goes back gives nothing"


# --- scores ---


def test_scores_fall_heal_and_ban() -> None:
    scores = Scores(ScoreRules(regain_per_second=2, ban_below=-100, ban_ms=10_000))
    assert not scores.add(peer(1), -90, 0)
    assert scores.score(peer(1), 30_000) == -30
    assert scores.score(peer(1), 600_000) == 0
    assert scores.score(peer(2), 0) == 0
    assert not scores.add(peer(1), -69, 30_000)
    assert scores.add(peer(1), -1, 30_000)
    assert not scores.add(peer(1), -1, 30_000), "a ban is told once"
    assert scores.banned_for_ms(peer(1), 35_000) == 5_000
    assert scores.banned_for_ms(peer(1), 40_000) == 0
    scores.forgive(peer(1))
    assert scores.score(peer(1), 30_000) == 0


def test_goodwill_has_a_ceiling() -> None:
    scores = Scores(ScoreRules())
    for _ in range(10_000):
        scores.add(peer(1), scoring.ACCEPTED, 0)
    assert scores.score(peer(1), 0) == scoring.SCORE_MAX
    assert scores.add(peer(1), -120, 0)


def test_small_offences_add_up_in_fractions_of_a_second() -> None:
    scores = Scores(ScoreRules(regain_per_second=1))
    for number in range(200):
        banned = scores.add(peer(1), -1, number * 100)
        if banned:
            break
    assert 105 < number < 125, "a tenth is regained meanwhile"


def test_records_are_bounded_and_bans_are_kept_longest() -> None:
    scores = Scores(ScoreRules())
    scores.ban(peer(0), 0)
    for number in range(1, 3 * scoring.RECORDS_MAX):
        scores.add(peer(number), -1, 0)
    assert len(scores._records) == scoring.RECORDS_MAX
    assert scores.banned_for_ms(peer(0), 1) > 0


# --- the outbox ---


def test_control_goes_first_and_topics_take_turns() -> None:
    box = Outbox()
    for number in range(3):
        box.put_topic("flood", b"f%d" % number)
    box.put_topic("votes", b"v")
    box.put_control(b"ping")
    assert box.take() == [b"ping", b"f0", b"v", b"f1", b"f2"]
    assert box.take() == []


def test_a_frame_is_filled_up_to_its_bound_and_a_large_message_goes_alone() -> None:
    box = Outbox()
    for size in (BATCH_BYTES // 2, BATCH_BYTES // 2, 10, 5 * BATCH_BYTES, 10):
        box.put_topic("t", bytes(size))
    sizes = []
    while taken := box.take():
        sizes.append([len(message) for message in taken])
    assert sizes == [[BATCH_BYTES // 2, BATCH_BYTES // 2], [10], [5 * BATCH_BYTES], [10]]


def test_a_topic_drops_its_own_oldest_and_no_other() -> None:
    box = Outbox()
    box.put_topic("votes", b"vote")
    for number in range(outbox.LANE_MESSAGES_MAX + 7):
        box.put_topic("flood", b"%d" % number)
    assert box.dropped == 7
    assert len(box) == outbox.LANE_MESSAGES_MAX + 1
    first = box.take()
    assert first[:2] == [b"vote", b"7"]


def test_a_topic_is_bounded_in_bytes_but_takes_one_message_of_any_size() -> None:
    box = Outbox()
    for _ in range(5):
        box.put_topic("t", bytes(outbox.LANE_BYTES_MAX - 10))
    assert len(box) == 1


def test_control_and_answers_overflow_loudly() -> None:
    box = Outbox()
    for _ in range(outbox.CONTROL_MESSAGES_MAX):
        box.put_control(b"x")
    with pytest.raises(OutboxOverflow, match="control"):
        box.put_control(b"x")
    for _ in range(2):
        box.put_answer(bytes(outbox.LANE_BYTES_MAX))
    with pytest.raises(OutboxOverflow, match="answers"):
        box.put_answer(b"x")


# --- the inbox ---


def drained(box: TopicInbox, count: int) -> list[Letter]:
    async def take() -> list[Letter]:
        return [await box.take() for _ in range(count)]

    return asyncio.run(take())


def test_peers_take_turns() -> None:
    box = TopicInbox()
    for number in range(3):
        box.put(Letter(peer(1), b"%d" % number, None))
    box.put(Letter(peer(2), b"x", None))
    box.put(Letter(peer(3), b"y", None))
    assert [letter.payload for letter in drained(box, 5)] == [b"0", b"x", b"y", b"1", b"2"]


def test_a_peer_displaces_only_its_own_oldest() -> None:
    box = TopicInbox()
    box.put(Letter(peer(2), b"mine", None))
    displaced = [
        letter for number in range(inbox.MESSAGES_MAX + 3) for letter in box.put(Letter(peer(1), b"%d" % number, None))
    ]
    assert [letter.payload for letter in displaced] == [b"0", b"1", b"2"]
    assert [letter.payload for letter in drained(box, 2)] == [b"mine", b"3"]


def test_all_peers_together_are_bounded_and_the_longest_line_gives_way() -> None:
    box = TopicInbox()
    for number in range(10):
        for _ in range(2):
            box.put(Letter(peer(number), bytes(6 * 1024 * 1024), None))
    box.put(Letter(peer(99), b"small", None))
    assert box._size <= inbox.TOTAL_BYTES_MAX
    assert box._size == sum(len(letter.payload) for line in box._lines.values() for letter in line.letters)
    assert any(letter.payload == b"small" for letter in drained(box, len(box)))


# --- the fetch table ---

BOUNDS = FetchBounds(keys_max=6, keys_per_peer_max=4, asked_per_peer_max=2, answer_ms=100)


def test_what_is_missing_is_asked_of_its_first_announcer_then_of_the_next() -> None:
    table = FetchTable(BOUNDS)
    assert table.add(b"k", peer(1))
    assert table.add(b"k", peer(2))
    assert table.ask(peer(1), 0, 10) == [b"k"]
    assert table.ask(peer(2), 0, 10) == []
    assert table.overdue(99) == []
    assert table.overdue(100) == [peer(1)]
    assert table.waiting() == [peer(2)]
    assert table.ask(peer(2), 100, 10) == [b"k"]
    assert table.overdue(200) == [peer(2)]
    assert len(table) == 0, "a later announcement may begin anew"


def test_a_lost_peer_passes_its_turn_on() -> None:
    table = FetchTable(BOUNDS)
    for key in (b"1", b"2", b"3"):
        table.add(key, peer(1))
    table.add(b"1", peer(2))
    table.add(b"3", peer(2))
    assert table.ask(peer(1), 0, 10) == [b"1", b"2"]
    table.drop_peer(peer(1))
    assert table.ask(peer(2), 0, 10) == [b"1", b"3"]
    assert len(table) == 2


def test_the_table_is_bounded() -> None:
    table = FetchTable(BOUNDS)
    assert [table.add(b"%d" % number, peer(1)) for number in range(5)] == [True] * 4 + [False]
    assert [table.add(b"%d" % number, peer(2)) for number in range(10, 15)] == [True] * 2 + [False] * 3
    assert table.ask(peer(1), 0, 10) == [b"0", b"1"], "two at once"
    assert table.ask(peer(1), 0, 10) == []
    assert table.got(b"0")
    assert not table.got(b"0")
    assert table.ask(peer(1), 0, 10) == [b"2"]


@given(st.lists(st.tuples(st.sampled_from("aagodx"), st.integers(0, 9), st.integers(1, 4)), max_size=150))
def test_the_books_always_balance(steps: list[tuple[str, int, int]]) -> None:
    table, now = FetchTable(BOUNDS), 0
    for step, number, who in steps:
        now += 13
        match step:
            case "a":
                table.add(b"%d" % number, peer(who))
                table.ask(peer(who), now, 3)
            case "g":
                table.got(b"%d" % number)
            case "o":
                table.overdue(now)
            case "d":
                table.drop_peer(peer(who))
            case "x":
                table.ask(peer(who), now, 3)
        queued = [key for queue in table._queues.values() for key in queue]
        assert sorted(queued + list(table._asked)) == sorted(table._wants)
        assert sum(table._in_flight.values()) == len(table._asked)
        assert len(table) <= BOUNDS.keys_max
        assert all(0 <= count <= BOUNDS.asked_per_peer_max for count in table._in_flight.values())


# --- the address book ---

NOBODY: Callable[[NodeId], bool] = lambda node_id: False  # noqa: E731


def book(own: int = 5) -> AddressBook:
    return AddressBook(peer(own), 200, 3000, lambda count: b"\xff" * count)


def test_backoff_grows_to_its_bound_and_static_nodes_are_never_forgotten() -> None:
    addresses = book()
    addresses.add_static(DialAddress(peer(1), "1.1.1.1:1"), 0)
    now, waits = 0, []
    for _ in range(300):
        addresses.failed(peer(1), now)
        due = addresses.next_due_ms(NOBODY)
        assert due is not None
        waits.append(due - now)
        now = due
    assert waits[:3] == sorted(waits[:3])
    assert 1500 <= waits[10] == waits[-1] <= 3000


def test_learned_nodes_are_forgotten_when_they_never_answer() -> None:
    addresses = book()
    assert addresses.learn(peer(9), [(peer(1), "1.1.1.1:1"), (peer(5), "2.2.2.2:2"), (peer(2), "")], 0) == 1
    for _ in range(discovery.FAILURES_MAX):
        addresses.failed(peer(1), 0)
    assert len(addresses) == 0


def test_the_lower_id_dials_first() -> None:
    addresses = book(own=5)
    addresses.learn(peer(9), [(peer(1), "1.1.1.1:1"), (peer(8), "8.8.8.8:8")], 1000)
    assert [entry.node_id for entry in addresses.due(1000, NOBODY)] == [peer(8)]
    assert [entry.node_id for entry in addresses.due(2500, NOBODY)] == [peer(1), peer(8)]


def test_only_proven_addresses_are_shared() -> None:
    addresses = book()
    addresses.learn(peer(9), [(peer(1), "1.1.1.1:1")], 0)
    assert addresses.address_to_share(peer(1)) == ""
    addresses.met(peer(1), "1.1.1.1:1", proven=True)
    assert addresses.address_to_share(peer(1)) == "1.1.1.1:1"
    addresses.met(peer(2), "2.2.2.2:2", proven=False)
    assert addresses.address_to_share(peer(2)) == ""
    addresses.met(peer(1), "6.6.6.6:6", proven=False)
    assert addresses.address_to_share(peer(1)) == "1.1.1.1:1", "a bare claim does not overrule a proof"


def test_what_the_operator_says_is_not_overruled() -> None:
    addresses = book()
    addresses.add_static(DialAddress(peer(1), "1.1.1.1:1"), 0)
    addresses.failed(peer(1), 0)
    addresses.learn(peer(9), [(peer(1), "6.6.6.6:6")], 0)
    addresses.met(peer(1), "7.7.7.7:7", proven=True)
    entry = addresses.get(peer(1))
    assert entry is not None
    assert entry.address == "1.1.1.1:1"


def test_the_book_is_bounded() -> None:
    addresses = book()
    addresses.add_static(DialAddress(peer(1), "1.1.1.1:1"), 0)
    for source in range(100, 150):
        addresses.learn(peer(source), [(peer(source * 1000 + n), "1.2.3.4:5") for n in range(100)], 0)
    assert len(addresses) <= discovery.ENTRIES_MAX
    assert addresses.get(peer(1)) is not None


@pytest.mark.parametrize(
    ("claimed", "remote", "expected"),
    [
        ("0.0.0.0:30303", "10.1.1.1:5555", ("10.1.1.1:30303", True)),
        ("[::]:30303", "[fe80::1]:5555", ("[fe80::1]:30303", True)),
        ("10.1.1.1:30303", "10.1.1.1:5555", ("10.1.1.1:30303", True)),
        ("8.8.8.8:53", "10.1.1.1:5555", ("8.8.8.8:53", False)),
        ("8.8.8.8:53", "?", ("8.8.8.8:53", False)),
    ],
)
def test_where_an_inbound_peer_can_be_dialled(claimed: str, remote: str, expected: tuple[str, bool]) -> None:
    assert reachable_address(claimed, remote) == expected
