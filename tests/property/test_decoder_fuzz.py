"""Every decoder that reads a stranger's bytes, or its own disk, fed with changed ones: only its own error comes out.

Changes are bytes flipped, cut, doubled, spliced from other messages, and lengths that lie. What still decodes must
encode to the same bytes wherever there is one encoding. LEVEL of work: DECODER_FUZZ_RUNS changes a decoder.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from node.consensus.bft import messages as bft
from node.consensus.bft.claims import decode_claim
from node.consensus.bft.seals import decode_certificate, decode_seal, encode_seal
from node.consensus.engine import LogRecord, MalformedMessage
from node.consensus.journal import DamagedLog, decode_record, encode_record
from node.consensus.pos import messages as pos
from node.consensus.pos import seals as pos_seals
from node.consensus.pos.state import decode_state, genesis_state
from node.p2p import wire
from node.p2p.identity import NodeId
from node.primitives import rlp
from node.protocols.serving import decode_answer, decode_request, encode_request
from node.types.blocks import Block, decode_block, decode_header
from node.types.invalid import InvalidBlock, InvalidTransaction
from node.types.operations import (
    MalformedOperations,
    SetBalance,
    SetCode,
    SetNonce,
    SetStorage,
    decode_operations,
    encode_operations,
)
from node.types.receipts import Receipt, decode_receipts, encode_receipts
from node.types.transactions import decode as decode_transaction
from tests.bft_bench import Bench
from tests.builders import transfer
from tests.unit.consensus.pos.scenes import GENESIS, block_of, rules, signed
from tests.unit.consensus.pos.test_statements import EVIDENCE, attestation

RUNS = int(os.environ.get("DECODER_FUZZ_RUNS", "1500"))


@dataclass(frozen=True)
class Decoder:
    """``encode`` gives back the bytes, where an encoding is the only one."""

    name: str
    decode: Callable[[bytes], Any]
    errors: tuple[type[Exception], ...]
    samples: tuple[bytes, ...]
    encode: Callable[[Any], bytes] | None = None


def _bft() -> tuple[bytes, ...]:
    bench = Bench(contract=True)
    evidence = (bench.equivocation(2), bench.equivocation(3))
    block = bench.block(b"b", evidence=evidence)
    polka = bench.certificate(bft.Kind.PREVOTE, 0, block, (0, 1, 2))
    plain = bench.block(b"c")
    return (
        bench.prevotes(1, block, (1,), valid_round=0)[0].encode(),
        bench.precommits(0, None, (1,))[0].encode(),
        bench.proposal(0, plain).encode(),
        bench.proposal(1, block, 0, polka, evidence=evidence).encode(),
        bft.Polka(block, polka, evidence).encode(),
        bench.decided(0, block, (0, 1, 2), evidence).encode(),
        bft.Status(7, 3, 2, -1).encode(),
        evidence[0].encode(),
    )


def _bft_seals() -> tuple[bytes, ...]:
    bench = Bench(contract=True)
    evidence = (bench.equivocation(3),)
    with_body = bench.decided(0, bench.block(b"b", evidence=evidence), (0, 1, 2), evidence)
    return encode_seal(with_body), encode_seal(bench.decided(0, bench.block(b"b")))


def _pos_block() -> pos.SignedBlock:
    chain = rules(4, 2)
    body = pos.Body(1, chain.validators.addresses[0], (attestation(),), (EVIDENCE,))
    block = signed(pos.SignedBlock(block_of(chain, GENESIS.header, body), body), chain)
    assert isinstance(block, pos.SignedBlock)
    return block


POS_BLOCK = _pos_block()
POS = (
    POS_BLOCK.encode(),
    attestation().encode(),
    EVIDENCE.encode(),
    pos.Status(9, GENESIS.hash, 4, attestation().target, 2, 5, 3).encode(),
    pos.GetBlocksByRoot((GENESIS.hash,) * 3).encode(),
    pos.GetBlocksByRange(7, 9).encode(),
)
NODE = NodeId(b"\x05" * 32)
WIRE_MESSAGES = (
    (wire.Hello({"protocol": 1, "name": "n0", "genesis": b"\x01" * 32, "listen": None, "yes": True}),),
    (wire.Ready(),),
    (wire.Goodbye("node stops"),),
    (wire.Ping(7), wire.Pong(2**40)),
    (wire.Neighbours(((NODE, "127.0.0.1:30303"), (NODE, ""))),),
    (wire.Direct("consensus/vote", b"payload"), wire.Push("consensus/proposal", b"x" * 700)),
    (wire.Announce("consensus/vote", (wire.MessageId(b"\x02" * 20),) * 3), wire.Fetch((wire.MessageId(b"\x02" * 20),))),
    (wire.Request(5, "decided/1", encode_request(1, 64)),),
    (wire.Response(5, b"answer"), wire.Refusal(5, "no")),
)
WIRE = tuple(wire.frame_of([wire.encode(message) for message in frame]) for frame in WIRE_MESSAGES)
OPERATIONS = (SetStorage(GENESIS.header.coinbase, 7, 2**255), SetBalance(GENESIS.header.coinbase, 10**18))
MORE_OPERATIONS = (SetNonce(GENESIS.header.coinbase, 3), SetCode(GENESIS.header.coinbase, b"\x60\x00"))
BLOCK = Block(GENESIS.header, (transfer(0, 0), transfer(1, 0)), (), ())
ANSWER = rlp.encode([[BLOCK.encode(), _bft_seals()[0]], [BLOCK.encode(), _bft_seals()[1]]])
RECEIPTS = encode_receipts((Receipt(2, 1, 21_000, bytes(256), ()), Receipt(0, 0, 42_000, bytes(256), ())))

DECODERS = [
    Decoder("bft message", bft.decode, (MalformedMessage,), _bft(), lambda message: message.encode()),
    Decoder("bft claim", decode_claim, (MalformedMessage,), _bft()),
    Decoder(
        "bft seal",
        lambda data: decode_seal(BLOCK, data),
        (MalformedMessage,),
        _bft_seals(),
        encode_seal,
    ),
    Decoder("bft certificate", decode_certificate, (MalformedMessage,), _bft_seals()),
    Decoder("pos message", pos.decode, (MalformedMessage,), POS, lambda message: message.encode()),
    Decoder("pos claim", pos.decode_claim, (MalformedMessage,), POS),
    Decoder("pos body", pos.decode_body, (MalformedMessage,), (POS_BLOCK.body.encode(),), lambda body: body.encode()),
    Decoder(
        "pos seal",
        lambda data: pos_seals.decode_seal(POS_BLOCK.block, data),
        (MalformedMessage,),
        (pos_seals.encode_seal(POS_BLOCK, genesis_state(GENESIS.hash)),),
    ),
    Decoder("pos state", decode_state, (rlp.RLPError,), (genesis_state(GENESIS.hash).encode(),)),
    Decoder("p2p frame", wire.decode_frame, (wire.MalformedMessage,), WIRE),
    Decoder("range request", decode_request, (rlp.RLPError,), (encode_request(1, 64), encode_request(2**40, 3))),
    Decoder("range answer", lambda data: decode_answer(data, 64), (rlp.RLPError,), (ANSWER,)),
    Decoder(
        "consensus log record",
        decode_record,
        (DamagedLog,),
        (encode_record(LogRecord(5, 2, 3, _bft()[0], _bft()[4])),),
        encode_record,
    ),
    Decoder(
        "operations",
        decode_operations,
        (MalformedOperations,),
        (encode_operations(OPERATIONS), encode_operations(MORE_OPERATIONS)),
        encode_operations,
    ),
    Decoder("block", decode_block, (InvalidBlock, InvalidTransaction), (BLOCK.encode(),), lambda block: block.encode()),
    Decoder("header", decode_header, (rlp.RLPError,), (GENESIS.header.encode(),), lambda header: header.encode()),
    Decoder("transaction", decode_transaction, (InvalidTransaction,), (transfer(0, 0).encode(),)),
    Decoder("receipts", decode_receipts, (rlp.RLPError,), (RECEIPTS,)),
]


def _changed(data: bytes, others: tuple[bytes, ...], chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(changed)) if changed else 0
        match chance.randrange(7):
            case 0 if changed:
                changed[at] ^= 1 << chance.randrange(8)
            case 1 if changed:
                changed[at] = chance.choice((0, 0x7F, 0x80, 0xB7, 0xB8, 0xBF, 0xC0, 0xF7, 0xF8, 0xFF))
            case 2:
                del changed[at : at + chance.choice((1, 1, 8, 64))]
            case 3:
                changed[at:at] = chance.randbytes(chance.choice((1, 2, 9)))
            case 4:
                piece = chance.choice(others)
                start = chance.randrange(len(piece)) if piece else 0
                changed[at : at + 32] = piece[start : start + chance.choice((1, 32, 200))]
            case 5:
                changed[at:at] = changed[at : at + chance.choice((1, 20, 300))]
            case _:
                del changed[at:]
    return bytes(changed)


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)
def test_only_the_documented_error_comes_out(decoder):
    chance = random.Random(decoder.name)
    strangers = tuple(sample for other in DECODERS for sample in other.samples[:2])
    for sample in decoder.samples:
        decoder.decode(sample)
    refused = 0
    for run in range(RUNS):
        sample = decoder.samples[run % len(decoder.samples)]
        data = _changed(sample, strangers, chance) if run % 8 else chance.choice((strangers[run % len(strangers)], b""))
        try:
            found = decoder.decode(data)
        except decoder.errors:
            refused += 1
            continue
        if decoder.encode is not None:
            assert decoder.encode(found) == data, data.hex()
    assert refused > RUNS // 3, "the changes reach the checks"


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)
def test_deep_and_long_rubbish_is_refused(decoder):
    deep = b"\xc0"
    for _ in range(3000):
        deep = rlp.encode_list([deep])
    rubbish = [
        deep,
        b"\xf9\xff\xff" + b"\xc0" * 65535,
        b"\xff" * 70,
        b"\x93" * 5000,
        bytes(5000),
        b"\xbf" + b"\xff" * 8,
    ]
    for data in rubbish:
        with pytest.raises(decoder.errors):
            decoder.decode(data)
