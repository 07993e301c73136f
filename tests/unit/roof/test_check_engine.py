"""Whether a genesis file fits the engine that an operator asks for."""

import pytest

from node.config import ConfigError, ConsensusSettings, NodeConfig
from node.node import check_engine
from tests.builders import make_genesis

VALIDATORS = [{"address": "0x" + "01" * 20, "weight": 1}]
POS = {"chainId": 1, "terminalTotalDifficulty": 0, "shanghaiTime": 0}


def _config(**changes: object) -> dict[str, object]:
    return {**POS, "evmesh": {"engine": "bft", "validators": VALIDATORS}, **changes}


def test_a_network_that_can_run() -> None:
    check_engine(NodeConfig(), make_genesis(config=_config()))
    check_engine(NodeConfig(consensus=ConsensusSettings(engine="bft")), make_genesis(config=_config()))


@pytest.mark.parametrize(
    ("engine", "config", "words"),
    [
        ("instant", _config(), "network runs 'bft'"),
        ("", _config(evmesh={"engine": "bft"}), "names no validators"),
        ("", _config(terminalTotalDifficulty=1000), "mined blocks"),
        ("bft", _config(cancunTime=0, evmesh={"engine": "pos", "validators": VALIDATORS}), "network runs 'pos'"),
        ("", _config(cancunTime=0, evmesh={"engine": "pos"}), "names no validators"),
        ("", _config(cancunTime=0, evmesh={"engine": "pos", "validators": VALIDATORS, "slotMs": 500}), "slotMs 500"),
        (
            "",
            _config(cancunTime=0, evmesh={"engine": "pos", "validators": VALIDATORS, "slotsPerEpoch": 1}),
            "slotsPerEpoch 1",
        ),
    ],
)
def test_what_cannot(engine: str, config: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        check_engine(NodeConfig(consensus=ConsensusSettings(engine=engine)), make_genesis(config=config))
    assert words in str(refusal.value)
