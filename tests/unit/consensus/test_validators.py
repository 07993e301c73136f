"""Quorum arithmetic and turns."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.consensus.validators import WEIGHT_MAX, Validator, ValidatorSet
from node.primitives.scalars import Address


def _set(*weights: int) -> ValidatorSet:
    return ValidatorSet(Validator(Address(index.to_bytes(20, "big")), weight) for index, weight in enumerate(weights))


@pytest.mark.parametrize("nodes", range(1, 101))
def test_two_quorums_share_more_than_any_tolerated_faulty_weight(nodes):
    validators = _set(*[1] * nodes)
    quorum = next(weight for weight in range(nodes + 1) if validators.is_quorum(weight))
    faulty = max(weight for weight in range(nodes + 1) if 3 * weight < nodes)
    assert 2 * quorum - nodes > faulty
    assert nodes - faulty >= quorum  # the honest alone can go on
    skip = next(weight for weight in range(nodes + 1) if validators.is_skip(weight))
    assert skip > faulty
    assert skip <= nodes - 2 * faulty or faulty == 0 or skip == faulty + 1


@given(st.lists(st.integers(1, WEIGHT_MAX), min_size=1, max_size=12), st.data())
def test_weighted_quorums_intersect_in_an_honest_validator(weights, data):
    validators = _set(*weights)
    indices = st.lists(st.sampled_from(range(len(weights))), unique=True)
    first, second, faulty = data.draw(indices), data.draw(indices), data.draw(indices)

    def weight(group):
        return sum(weights[index] for index in group)

    if (
        validators.is_quorum(weight(first))
        and validators.is_quorum(weight(second))
        and 3 * weight(faulty) < sum(weights)
    ):
        assert [index for index in first if index in second and index not in faulty]
    if validators.is_skip(weight(first)) and 3 * weight(faulty) < sum(weights):
        assert [index for index in first if index not in faulty]


def test_equal_weights_take_turns():
    validators = _set(1, 1, 1, 1)
    order = validators.addresses
    assert [validators.proposer(5, r) for r in range(4)] == [order[1], order[2], order[3], order[0]]
    assert validators.proposer(6, 0) == validators.proposer(5, 1)


def test_unequal_weights_take_turns_in_proportion_and_nobody_starves():
    validators = _set(1, 2, 7)
    turns = [validators.proposer(height, 0) for height in range(10_000)]
    for validator in validators.validators:
        share = turns.count(validator.address) / len(turns)
        assert abs(share - validator.weight / 10) < 0.001
    gaps = [index for index, address in enumerate(turns) if address == validators.addresses[0]]
    assert max(b - a for a, b in itertools.pairwise(gaps)) <= 21


def test_weight_of_all_counts_each_once():
    validators = _set(3, 4)
    first = validators.addresses[0]
    assert validators.weight_of_all([first, first, Address(b"\xff" * 20)]) == 3
