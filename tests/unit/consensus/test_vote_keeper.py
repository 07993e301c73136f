"""The vote keeper against a naive count, and convictions."""

from hypothesis import given
from hypothesis import strategies as st

from node.consensus.bft.evidence import conviction
from node.consensus.bft.messages import NIL, NONE, Kind, Statement
from node.consensus.bft.vote_keeper import VoteKeeper
from node.consensus.validators import Validator, ValidatorSet
from node.primitives.scalars import Address, Hash32

WHO = [Address(bytes((index,)) * 20) for index in range(1, 6)]
WEIGHTS = [1, 2, 3, 4, 5]
SET = ValidatorSet(Validator(address, weight) for address, weight in zip(WHO, WEIGHTS, strict=True))
A, B = Hash32(b"\xaa" * 32), Hash32(b"\xbb" * 32)
STRANGER = Address(b"\x99" * 20)


@st.composite
def votes(draw):
    kind = draw(st.sampled_from((Kind.PREVOTE, Kind.PRECOMMIT)))
    round_number = draw(st.integers(0, 3))
    value = draw(st.sampled_from((NIL, A, B)))
    valid = draw(st.integers(-1, round_number - 1)) if kind is Kind.PREVOTE and value else NONE
    return Statement(kind, 1, round_number, value, valid, draw(st.sampled_from([*WHO, STRANGER])), b"s")


@given(st.lists(votes(), max_size=60))
def test_counts_like_a_naive_keeper(sequence):
    keeper = VoteKeeper(1, SET)
    first: dict[tuple[object, ...], Statement] = {}
    for vote in sequence:
        keeper.add(vote)
        if vote.validator in SET:
            first.setdefault((vote.validator, vote.round, vote.kind), vote)
    counted = list(first.values())
    for kind in (Kind.PREVOTE, Kind.PRECOMMIT):
        for round_number in range(4):
            mine = [v for v in counted if v.kind is kind and v.round == round_number]
            assert keeper.any_weight(kind, round_number) == sum(SET.weight_of(v.validator) for v in mine)
            for value in {(v.block_hash, v.valid_round): None for v in mine}:
                group = [v for v in mine if (v.block_hash, v.valid_round) == value]
                weight = sum(SET.weight_of(v.validator) for v in group)
                assert keeper.weight(kind, round_number, value) == weight
                signers = keeper.certificate(kind, round_number, value).signers
                assert list(signers) == sorted(v.validator for v in group)
                if kind is Kind.PRECOMMIT and value[0]:
                    assert ((round_number, value[0]) in keeper.decisions) == SET.is_quorum(weight)
    for current in range(-1, 4):
        rounds = []
        for round_number in range(current + 1, 4):
            voters = {v.validator: None for v in counted if v.round == round_number}
            if SET.is_skip(SET.weight_of_all(voters)):
                rounds.append(round_number)
        assert keeper.round_to_skip_to(current) == (max(rounds) if rounds else None)


@given(st.lists(votes(), max_size=40))
def test_evidence_convicts_and_the_innocent_stay_free(sequence):
    keeper = VoteKeeper(1, SET)
    said: dict[Address, list[Statement]] = {}
    for vote in sequence:
        found = keeper.add(vote)
        if found is not None:
            assert conviction(found.first, found.second)
            assert found.first.validator == vote.validator
        guilty = any(conviction(earlier, vote) for earlier in said.get(vote.validator, []))
        if not guilty:
            assert found is None
        said.setdefault(vote.validator, []).append(vote)


def _vote(kind: Kind, round_number: int, value: Hash32, valid: int = NONE, who: Address = WHO[0]) -> Statement:
    return Statement(kind, 1, round_number, value, valid, who)


def test_convictions():
    prevote, precommit, proposal = Kind.PREVOTE, Kind.PRECOMMIT, Kind.PROPOSAL
    assert conviction(_vote(prevote, 1, A), _vote(prevote, 1, B)) == "E1"
    assert conviction(_vote(prevote, 1, A), _vote(prevote, 1, NIL)) == "E1"
    assert conviction(_vote(prevote, 2, A, 0), _vote(prevote, 2, A, 1)) == "E1"
    assert conviction(_vote(precommit, 1, A), _vote(precommit, 1, NIL)) == "E1"
    assert conviction(_vote(proposal, 1, A), _vote(proposal, 1, B)) == "E1p"
    assert conviction(_vote(precommit, 1, A), _vote(prevote, 3, B, 0)) == "E2"
    assert conviction(_vote(prevote, 3, B, 0), _vote(precommit, 1, A)) == "E2"
    assert conviction(_vote(precommit, 1, A), _vote(prevote, 3, B)) == "E2"


def test_what_convicts_nobody():
    prevote, precommit = Kind.PREVOTE, Kind.PRECOMMIT
    assert conviction(_vote(prevote, 1, A), _vote(prevote, 1, A)) == ""
    assert conviction(_vote(prevote, 1, A), _vote(precommit, 1, B)) == ""
    assert conviction(_vote(prevote, 1, A), _vote(prevote, 2, B)) == ""
    assert conviction(_vote(prevote, 1, A), _vote(prevote, 1, B, who=WHO[1])) == ""
    assert conviction(_vote(precommit, 1, A), _vote(prevote, 3, B, 1)) == ""  # unlocked by a polka in round 1
    assert conviction(_vote(precommit, 1, A), _vote(prevote, 3, A, 0)) == ""
    assert conviction(_vote(precommit, 3, A), _vote(prevote, 1, B)) == ""
    assert conviction(_vote(precommit, 1, A), _vote(prevote, 3, NIL)) == ""
    assert conviction(_vote(precommit, 1, A), Statement(prevote, 2, 3, B, 0, WHO[0])) == ""
