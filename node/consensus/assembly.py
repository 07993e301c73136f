"""Puts one engine, its codec, log and signer behind a driver. What the roof calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from node.consensus.bft.codec import BftCodec
from node.consensus.bft.core import BftEngine, BftSettings
from node.consensus.bft.messages import ChainDomain, decode
from node.consensus.bft.timeouts import Timeouts
from node.consensus.doors import ChainDoor, PoolDoor
from node.consensus.driver import ConsensusDriver, ProposerSettings, SwitchDoor
from node.consensus.evidence_store import EvidenceStore
from node.consensus.instant import InstantEngine, SoloCodec
from node.consensus.journal import Journal
from node.consensus.pos.codec import PosCodec
from node.consensus.pos.core import PosEngine
from node.consensus.pos.messages import decode as decode_pos
from node.consensus.pos.protection import SlashingProtection
from node.consensus.pos.rules import PosRules
from node.consensus.signer import ProtectedSigner, Secp256k1Key, Signer
from node.consensus.validator_contract import ValidatorReader
from node.consensus.validators import ValidatorSet
from node.primitives.scalars import ZERO_ADDRESS
from node.runtime.runtime import Runtime
from node.storage.database import Database
from node.telemetry.logs import Log


def bft_codec(domain: ChainDomain, validators: ValidatorSet, chain: ChainDoor) -> BftCodec:
    """Wire, signatures and seals of a bft chain. ``validators``: the genesis file's, where the state holds none."""
    reader = ValidatorReader(chain.view_at)
    return BftCodec(domain, lambda: reader.after(chain.head) or validators, reader.after(chain.head) is not None)


def bft_driver(
    domain: ChainDomain,
    validators: ValidatorSet,
    codec: BftCodec,
    chain: ChainDoor,
    pool: PoolDoor,
    switch: SwitchDoor,
    database: Database,
    runtime: Runtime,
    log: Log,
    private_key: bytes | None,
    block_time_ms: int,
    proposer: ProposerSettings | None = None,
    timeouts: Timeouts | None = None,
    adopt_missing_log: bool = False,
) -> ConsensusDriver:
    """A node whose key votes while it is in the set, or a follower. Blocks pay the key unless told otherwise."""
    settings = BftSettings(block_time_ms=block_time_ms, timeouts=timeouts or Timeouts.paced(block_time_ms))
    jitter_seed = int.from_bytes(runtime.entropy(8), "big")
    proposer = proposer or ProposerSettings()
    key = Secp256k1Key(private_key) if private_key is not None else None
    reader, evidence = ValidatorReader(chain.view_at), EvidenceStore(database)
    if key is None:
        engine = BftEngine(validators, None, settings, jitter_seed)
        return ConsensusDriver(engine, codec, chain, pool, switch, runtime, log, None, None, proposer, reader, evidence)
    if key.address not in (reader.after(chain.head) or validators):
        log.warning("the validator key is not in this chain's validator set; following only", address=key.address)
    head_number = chain.head.number
    journal = Journal(database, domain.genesis_hash, key.address, head_number, adopt_missing_log)
    signer = Signer(key, domain, journal, decode, head_number)
    if proposer.fee_recipient == ZERO_ADDRESS:
        proposer = replace(proposer, fee_recipient=key.address)
    engine = BftEngine(validators, key.address, settings, jitter_seed)
    return ConsensusDriver(
        engine, codec, chain, pool, switch, runtime, log, signer, journal, proposer, reader, evidence
    )


def pos_driver(
    rules: PosRules,
    chain: ChainDoor,
    pool: PoolDoor,
    switch: SwitchDoor,
    database: Database,
    runtime: Runtime,
    log: Log,
    private_keys: Sequence[bytes] = (),
    proposer: ProposerSettings | None = None,
    adopt_missing_log: bool = False,
) -> ConsensusDriver:
    """A node with the keys of some validators, or of none (a follower). Blocks pay the first unless told otherwise."""
    proposer = proposer or ProposerSettings()
    keys = []
    for private_key in private_keys:
        key = Secp256k1Key(private_key)
        if key.address in rules.validators:
            keys.append(key)
        else:
            log.warning("a validator key is not in this chain's validator set; it is not used", address=key.address)
    journal = signer = None
    if keys:
        addresses = [key.address for key in keys]
        journal = Journal(database, rules.genesis_hash, addresses, chain.head.number, adopt_missing_log)
        signer = ProtectedSigner(keys, rules, journal, SlashingProtection(), decode_pos)
        if proposer.fee_recipient == ZERO_ADDRESS:
            proposer = replace(proposer, fee_recipient=addresses[0])
    engine = PosEngine(rules, [key.address for key in keys])
    codec, evidence = PosCodec(rules), EvidenceStore(database)
    driver = ConsensusDriver(
        engine, codec, chain, pool, switch, runtime, log, signer, journal, proposer, evidence=evidence
    )
    driver.syncing = engine.progress
    return driver


def instant_driver(
    chain: ChainDoor,
    pool: PoolDoor,
    runtime: Runtime,
    log: Log,
    block_time_ms: int = 0,
    proposer: ProposerSettings | None = None,
) -> ConsensusDriver:
    """A network of one. ``block_time_ms`` 0: a block only when there is work."""
    engine = InstantEngine(block_time_ms)
    return ConsensusDriver(engine, SoloCodec(), chain, pool, None, runtime, log, proposer=proposer)
