"""Manifests: precedence, bounds, and mistakes that name the nearest known key."""

from pathlib import Path

import pytest

from network.failures import BadInput
from network.manifest import Manifest, load_manifest, parse_manifest
from node.primitives.scalars import ETHER

HERE = Path("/somewhere")


def test_everything_can_be_said_in_a_file(tmp_path):
    path = tmp_path / "evmesh.toml"
    path.write_text(
        """
        [network]
        name = "my-net"
        nodes = 5
        block_time = 0.5
        chain_id = 5
        balance = 7
        fund = ["0x70997970C51812dc3A010C7d01b50e0d17dc79C8:50"]
        genesis = "g.json"

        [node.n4]
        validator = false
        log_level = "debug"
        """
    )
    manifest = load_manifest(path).checked()
    assert (manifest.name, manifest.nodes, manifest.block_time, manifest.chain_id) == ("my-net", 5, 500, 5)
    assert manifest.balance == 7 * ETHER
    assert manifest.fund[0][1] == 50 * ETHER
    assert manifest.genesis == tmp_path / "g.json"
    assert not manifest.of_node("n4").validator
    assert manifest.of_node("n0").validator
    changed = manifest.with_values({"nodes": 6}, "command line")
    assert (changed.nodes, changed.block_time) == (6, 500)
    assert {"nodes", "chain_id"} <= changed.given


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"netwrok": {}}, "network"),
        ({"network": {"node": 4}}, "nodes"),
        ({"network": {"blocktime": 1}}, "block_time"),
        ({"network": {"nodes": 0}}, "1 to 64"),
        ({"network": {"nodes": "4"}}, "'4'"),
        ({"network": {"nodes": True}}, "True"),
        ({"network": {"block_time": -1}}, "0.05"),
        ({"network": {"consensus": "bfd"}}, "bft"),
        ({"network": {"log_level": "verbose"}}, "info"),
        ({"network": {"port": 70000}}, "65535"),
        ({"network": {"fund": "x"}}, "list"),
        ({"network": {"fund": ["0x12"]}}, "ADDRESS:ETHER"),
        ({"network": {"mnemonic": "a b"}}, "2 words"),
        ({"network": {"name": "../up"}}, "../up"),
        ({"network": 5}, "not a table"),
        ({"node": {"n0": {"validater": True}}}, "validator"),
        ({"node": {"n0": 5}}, "not a table"),
        ({"node": {"n0": {"weight": 0}}}, "weight"),
        ({"node": {"n9": {}}}, "n9"),
        ({"network": {"consensus": "instant"}}, "one node"),
        ({"network": {"port": 65535}}, "room"),
        ({"network": {"nodes": 1}, "node": {"n0": {"validator": False}}}, "validator"),
    ],
)
def test_mistakes(document, words):
    with pytest.raises(BadInput) as caught:
        parse_manifest(document, "evmesh.toml", HERE).checked()
    assert words in caught.value.message + caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("content", [b"[network", b"\xff\xfe", b"x = 1\nx = 2"])
def test_files_that_are_no_toml(tmp_path, content):
    path = tmp_path / "evmesh.toml"
    path.write_bytes(content)
    with pytest.raises(BadInput):
        load_manifest(path)
    with pytest.raises(BadInput, match="cannot be read"):
        load_manifest(tmp_path / "none.toml")


def test_instant_with_one_node():
    assert Manifest().with_values({"consensus": "instant", "nodes": 1}, "x").checked().consensus == "instant"


def test_the_mnemonic_does_not_show():
    assert "junk" not in repr(Manifest())


def test_blocks_below_a_second_are_made_by_bft_unless_pos_was_asked_for():
    assert Manifest().checked().consensus == "pos"
    assert Manifest().with_values({"block_time": 0.25}, "test").checked().consensus == "bft"
    assert Manifest().with_values({"block_time": 2}, "test").checked().consensus == "pos"
    assert Manifest().with_values({"dev": True}, "test").checked().consensus == "bft"
    assert Manifest().with_values({"dev": True, "consensus": "pos"}, "test").checked().consensus == "pos"
    with pytest.raises(BadInput, match="slot of 250 ms is too short"):
        Manifest().with_values({"block_time": 0.25, "consensus": "pos"}, "test").checked()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"network": {"consensus": "bft"}, "node": {"n1": {"keys": 2}}}, "keys = 2"),
        ({"network": {"consensus": "bft", "slots_per_epoch": 4}}, "knows no epochs"),
        ({"network": {"slots_per_epoch": 1}}, "2 to 64"),
        ({"node": {"n1": {"keys": 0}}}, "1 to 64"),
    ],
)
def test_what_belongs_to_one_engine_is_refused_by_the_others(document, words):
    with pytest.raises(BadInput, match=words):
        parse_manifest(document, "test", HERE).checked()
