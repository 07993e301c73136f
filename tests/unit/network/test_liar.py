"""Each lie, as told by an engine: what leaves is a lie of that kind, signed by the key; nothing else changes."""

from random import Random

import pytest

from network.faults.kinds import KINDS
from network.faults.liar import LIES, Liar
from node.consensus.bft.messages import NIL, NONE, ChainDomain, Kind, Proposal, Statement
from node.consensus.engine import MessageReceived, Moment, Note, PeerDown, PeerUp, Publish, SendTo, SignAndPublish
from node.consensus.pos.checkpoints import Checkpoint
from node.consensus.pos.messages import Attestation, Body, SignedBlock, surrounds
from node.consensus.signer import Secp256k1Key
from node.execution.block import transactions_root
from node.primitives.scalars import Hash32
from tests.bft_bench import Bench

KEY = Secp256k1Key(b"\x07" * 32)
DOMAIN = ChainDomain(31337, Hash32(b"\x11" * 32))
NOW = Moment(0, 0)
PEERS = [bytes([one]) * 32 for one in (3, 1, 2)]
BLOCK = Bench().block(b"the honest one")
PROPOSAL = Proposal(Statement(Kind.PROPOSAL, 1, 0, BLOCK.hash, NONE, KEY.address), BLOCK)
SIGNED_BLOCK = SignedBlock(BLOCK, Body(1, KEY.address))
PREVOTE = Statement(Kind.PREVOTE, 1, 0, BLOCK.hash, NONE, KEY.address)
ATTESTATION = Attestation(9, Hash32(b"h" * 32), Checkpoint(3, b"s" * 32), Checkpoint(4, b"t" * 32), KEY.address)


class Honest:
    """An engine that does what it is told to."""

    name = "bft"
    height = 1

    def __init__(self):
        self.next = []

    def handle(self, event):
        done, self.next = self.next, []
        return done

    def inspect(self):
        return {"engine": "honest"}


def lying(lie, share=1.0):
    inner = Honest()
    liar = Liar(inner, [KEY], DOMAIN, lie, share, Random(5))
    for peer in PEERS:
        liar.handle(PeerUp(NOW, peer))
    return inner, liar


def told(lie, *drafts, share=1.0):
    inner, liar = lying(lie, share)
    inner.next = [SignAndPublish(draft) for draft in drafts]
    return liar.handle(PeerDown(NOW, b"nobody"))


def test_every_lie_of_the_vocabulary_has_a_teller():
    by_process = {"amnesia", "twins"}
    assert {name for name, kind in KINDS.items() if kind.is_byzantine} == set(LIES) | by_process
    with pytest.raises(ValueError, match="equivocating-proposer"):
        lying("fib")


@pytest.mark.parametrize("draft", [PROPOSAL, SIGNED_BLOCK])
def test_two_proposals_for_one_turn_each_shown_to_some(draft):
    first, second, own = told("equivocating-proposer", draft)
    assert own == SignAndPublish(draft)
    assert [first.peer, second.peer] == sorted(PEERS)[:2]
    other = first.message
    assert other.slot == draft.slot
    assert other.block.hash != BLOCK.hash
    assert other.block.header.state_root == BLOCK.header.state_root
    assert other.block.transactions == BLOCK.transactions
    if isinstance(other, Proposal):
        assert other.statement.block_hash == other.block.hash


def test_a_second_vote():
    first, _, own = told("double-vote", PREVOTE)
    assert own == SignAndPublish(PREVOTE)
    assert (first.message.slot, first.message.block_hash) == (PREVOTE.slot, NIL)
    nil = Statement(Kind.PRECOMMIT, 1, 0, NIL, NONE, KEY.address)
    assert not told("double-vote", nil)[0].message.is_nil
    other = told("double-vote", ATTESTATION)[0].message
    assert (other.target, other.at_slot) == (ATTESTATION.target, 9)
    assert other.head != ATTESTATION.head


def test_a_vote_around_an_earlier_one():
    inner, liar = lying("surround-vote")
    later = Attestation(12, Hash32(b"k" * 32), Checkpoint(5, b"u" * 32), Checkpoint(6, b"v" * 32), KEY.address)
    inner.next = [SignAndPublish(ATTESTATION), SignAndPublish(later)]
    effects = liar.handle(PeerDown(NOW, b"nobody"))
    wide = [effect.message for effect in effects if isinstance(effect, SendTo)]
    assert wide
    assert all(surrounds(vote, ATTESTATION) for vote in wide)


@pytest.mark.parametrize("draft", [PROPOSAL, SIGNED_BLOCK])
def test_blocks_that_must_not_be(draft):
    (wrong,) = told("wrong-state-root", draft)
    assert wrong.draft.block.header.state_root != BLOCK.header.state_root
    (invalid,) = told("invalid-transaction", draft)
    block = invalid.draft.block
    assert len(block.transactions) == len(BLOCK.transactions) + 1
    assert block.header.transactions_root == transactions_root(block)
    assert block.hash != BLOCK.hash
    if isinstance(draft, Proposal):
        assert invalid.draft.statement.block_hash == block.hash
    assert told("withheld-block", draft) == []
    assert told("silent-voter", draft) == [SignAndPublish(draft)]


@pytest.mark.parametrize("vote", [PREVOTE, ATTESTATION])
def test_votes_that_do_not_come(vote):
    assert told("silent-voter", vote) == []
    for lie in ("withheld-block", "wrong-state-root", "invalid-transaction", "equivocating-proposer"):
        assert told(lie, vote) == [SignAndPublish(vote)]


def test_old_messages_come_again():
    inner, liar = lying("stale-replay")
    old = Statement(Kind.PREVOTE, 1, 0, NIL, NONE, b"\x01" * 20, b"s" * 65)
    liar.handle(MessageReceived(NOW, PEERS[0], old))
    inner.next = [SignAndPublish(PREVOTE)]
    own, again, published = liar.handle(PeerDown(NOW, b"nobody"))
    assert own == SignAndPublish(PREVOTE)
    assert (again, published) == (SendTo(None, old), Publish(old))


def test_whispers_are_signed_by_the_key_itself():
    message = told("double-vote", PREVOTE)[0].message
    signed = KEY.sign(message.signing_digest(DOMAIN))
    assert message.signature == signed
    assert told("equivocating-proposer", PROPOSAL)[0].message.statement.signature


def test_who_has_no_such_key_whispers_nothing():
    stranger = Statement(Kind.PREVOTE, 1, 0, BLOCK.hash, NONE, b"\x02" * 20)
    assert told("double-vote", stranger) == [SignAndPublish(stranger)]


def test_all_else_passes_as_it_is():
    inner, liar = lying("double-vote")
    inner.next = [Note("hello"), Publish(PREVOTE)]
    assert liar.handle(PeerDown(NOW, b"nobody")) == [Note("hello"), Publish(PREVOTE)]
    assert (liar.name, liar.height, liar.inspect()) == ("bft", 1, {"engine": "honest"})
    assert told("double-vote", PREVOTE, share=0.0) == [SignAndPublish(PREVOTE)]
