"""A bft validator whose log is new: what it must not vote on, what it may, and the mistakes that these cases find."""

from __future__ import annotations

from typing import Any

from node.consensus.bft.messages import Kind
from node.consensus.bft.standing import Inquiry, Listener, Standing
from node.consensus.journal import Journal
from tests.bft_bench import Bench
from tests.simulation.mutant import Mutant

FAR = 10**9


def _asking() -> Bench:
    bench = Bench(start=False, lost=True)
    assert _inquiry(bench).validator == bench.addresses[0]
    return bench


def _inquiry(bench: Bench) -> Inquiry:
    return [message for _, message in bench.sent if isinstance(message, Inquiry)][-1]


def _answer(bench: Bench, who: int, height: int, heard: bool = False) -> Standing:
    asked = _inquiry(bench)
    return Standing(asked.validator, asked.number, height, heard, bench.addresses[who], b"s" * 65)


def _follow(bench: Bench, height: int) -> None:
    """Learn the decisions below a height."""
    while bench.engine.height < height:
        bench.hear(bench.decided(0, bench.block(b"%d" % bench.engine.height)))
    bench.fire("start")


def _votes(bench: Bench) -> bool:
    """Whether it votes at its height."""
    height = bench.engine.height
    round_number = next(number for number in range(4) if bench.proposer(number) != 0)
    if bench.proposer(0) == 0:
        bench.hear(*bench.precommits(round_number, None, (1, 2)))
    bench.hear(bench.proposal(round_number, bench.block(b"block")))
    return bench.value(Kind.PREVOTE, round_number, height=height) is not None


def silent_where_a_lost_vote_may_be() -> None:
    """Others stand at 3: the old head was 3 at most, and the last vote at 4."""
    bench = _asking()
    bench.hear(_answer(bench, 1, 3), _answer(bench, 2, 3))
    for height, votes in ((3, False), (4, False), (5, True)):
        _follow(bench, height)
        assert _votes(bench) == votes, f"height {height}"


def silent_until_enough_have_answered() -> None:
    """One of three others may be all that is left of a quorum that stood higher; or behind all of it."""
    bench = _asking()
    bench.hear(_answer(bench, 1, 1))
    _follow(bench, 4)
    assert not _votes(bench)
    bench.hear(_answer(bench, 2, 6))
    _follow(bench, 6)
    assert not _votes(bench), "two of three: the higher one counts"


def an_old_answer_is_none() -> None:
    """An answer to a question of an earlier boot tells of an earlier time."""
    bench = _asking()
    old = _answer(bench, 1, 1)
    bench.now_ms += 1000
    bench.boot(start=False)
    assert _inquiry(bench).number != old.number
    assert not bench.engine.triage(old).wanted
    assert bench.engine.triage(_answer(bench, 1, 1)).wanted


def a_liar_alone_silences_nobody() -> None:
    """Once all have answered, a height that less than a third claim does not count."""
    bench = _asking()
    bench.hear(_answer(bench, 3, FAR), _answer(bench, 1, 3), _answer(bench, 2, 3))
    _follow(bench, 5)
    assert _votes(bench)


def a_new_network_votes() -> None:
    """Nobody has decided anything, and nobody has heard this key: there is nothing to contradict."""
    bench = _asking()
    bench.hear(_answer(bench, 1, 1), _answer(bench, 2, 1))
    bench.fire("start")
    assert _votes(bench)


def who_was_heard_at_height_one_is_not_new() -> None:
    """The chain is as empty as the disk, but others remember a vote."""
    bench = _asking()
    bench.hear(_answer(bench, 1, 1, heard=True), _answer(bench, 2, 1))
    bench.fire("start")
    assert not _votes(bench)


def doubt_outlives_a_restart() -> None:
    """A log that was born in doubt stays in doubt until the doubt has been answered."""
    bench = _asking()
    bench.boot(start=False)
    bench.fire("start")
    assert not _votes(bench)
    bench.hear(_answer(bench, 1, 1), _answer(bench, 2, 1))
    bench.boot()
    assert _votes(bench), "and is trusted afterwards"


def others_tell_what_they_have_heard() -> None:
    """An honest node answers with its height, and whether it holds a vote of the asker."""
    bench = Bench()
    asker = bench.addresses[3]
    bench.hear(Inquiry(asker, 7), peer=b"asker")
    bench.hear(*bench.prevotes(0, None, (3,)))
    bench.now_ms += 1000
    bench.hear(Inquiry(asker, 8), Inquiry(asker, 9), peer=b"asker")
    told = [message for to, message in bench.sent if to == b"asker" and isinstance(message, Standing)]
    assert [(one.number, one.height, one.heard) for one in told] == [(7, 1, False), (8, 1, True)]


def _one_height_too_few(self: Listener, validators: Any) -> int | None:
    through = _THROUGH(self, validators)
    return through if through is None else through - 1


def _first_answer_is_enough(self: Listener, validators: Any) -> int | None:
    return max(self._answers.values()) + 1 if self._answers else None


def _any_number(self: Listener, answer: Standing, validators: Any) -> Any:
    return _TRIAGE(self, Standing(answer.asker, self.inquiry.number, 1, False, answer.validator), validators)


def _every_claim_counts(self: Listener, validators: Any) -> int | None:
    through = _THROUGH(self, validators)
    return None if through is None else max(self._answers.values()) + 1


def _unheard(self: Listener, answer: Standing) -> None:
    self._answers.setdefault(answer.validator, answer.height)


def _old_after_birth(self: Journal, *args: Any, **kwargs: Any) -> None:
    _OPEN(self, *args, **kwargs)
    self.is_new = self.is_new and self._next == 1 and self._database.get(b"seen") is None
    self._database._values[b"seen"] = b""


_THROUGH, _TRIAGE, _OPEN = Listener.silent_through, Listener.triage, Journal.__init__

SCENARIOS = [
    value
    for name, value in list(globals().items())
    if callable(value) and getattr(value, "__module__", "") == __name__ and not name.startswith("_")
]

LOST_DISK_MUTANTS = [
    Mutant(
        "lost disk: silent one height too few",
        ((Listener, "silent_through", _one_height_too_few),),
        silent_where_a_lost_vote_may_be,
    ),
    Mutant(
        "lost disk: the first answer is enough",
        ((Listener, "silent_through", _first_answer_is_enough),),
        silent_until_enough_have_answered,
    ),
    Mutant("lost disk: old answers count", ((Listener, "triage", _any_number),), an_old_answer_is_none),
    Mutant(
        "lost disk: every claim is believed",
        ((Listener, "silent_through", _every_claim_counts),),
        a_liar_alone_silences_nobody,
    ),
    Mutant(
        "lost disk: a vote that was heard is forgotten",
        ((Listener, "hear", _unheard),),
        who_was_heard_at_height_one_is_not_new,
    ),
    Mutant(
        "lost disk: a restart ends the doubt",
        ((Journal, "__init__", _old_after_birth),),
        doubt_outlives_a_restart,
    ),
]
