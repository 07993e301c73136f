"""What provisioning writes is what nodes read."""

import json
import os
import socket
import stat
from pathlib import Path

import pytest

from network import genesis, provision
from network.accounts import checksum_address, derive_accounts, parse_address
from network.cluster import ports, run_directory
from network.cluster.process import record_of
from network.failures import BadInput, Busy
from network.manifest import Manifest, NodeManifest
from node.config import load_config
from node.crypto.secp256k1 import address_of_private_key
from node.keys import read_key, read_keys
from node.p2p.identity import Identity, parse_dial_string
from node.primitives.scalars import ETHER

LEGACY_GENESIS = {
    "config": {
        "chainId": 99,
        "terminalTotalDifficulty": 0,
        "shanghaiTime": 0,
        "cancunTime": 0,
        "blobSchedule": {"cancun": {"target": 3, "max": 6, "baseFeeUpdateFraction": 3338477}},
    },
    "gasLimit": "0x1c9c380",
    "alloc": {"70997970C51812dc3A010C7d01b50e0d17dc79C8": {"balance": "5"}},
}


def test_how_a_node_without_blocks_catches_up(make_run):
    run = make_run(nodes=2, sync="fast")
    assert [load_config(run.config_file(name)).node.sync for name in ("n0", "n1")] == ["fast", "fast"]
    for mode in ("full", "fast", "fast"):
        run.set_sync("n1", mode)
        assert load_config(run.config_file("n1")).node.sync == mode
    assert load_config(run.config_file("n0")).node.sync == "fast"
    assert run.config_file("n1").read_text().count("sync =") == 1
    plain = make_run(nodes=2, name="plain")
    assert load_config(plain.config_file("n0")).node.sync == "full"


@pytest.mark.parametrize("values", [{"dev": True}, {"consensus": "instant", "nodes": 1}])
def test_fast_sync_is_not_for_every_network(values):
    with pytest.raises(BadInput, match="fast sync"):
        Manifest().with_values({"sync": "fast", **values}, "test").checked()


def test_nodes_read_their_configuration(make_run):
    run = make_run(nodes=3, block_time=0.5)
    network = run.network()
    for node in network.nodes:
        config = load_config(run.config_file(node.name))
        assert config.node.name == node.name
        assert config.rpc.port == node.http_port
        assert config.consensus.block_time_ms == 500
        assert config.node.genesis.endswith("/n0/../genesis.json".replace("n0", node.name))
        seed = run.node_dir(node.name) / "node.key"
        assert Identity.from_hex(seed.read_text()).node_id.hex() == node.node_id
        dialled = [parse_dial_string(text) for text in config.p2p.bootnodes]
        assert {one.node_id.hex() for one in dialled} == {n.node_id for n in network.nodes} - {node.node_id}


def test_secrets_are_the_owners_alone(make_run):
    run = make_run()
    for path in (run.path / "validators.seed", *run.path.glob("n*/*.key")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(list(run.path.glob("n*/*.key"))) == 4


def test_validators_are_in_the_genesis_and_never_funded(make_run):
    run = make_run(nodes=3)
    document = json.loads(run.genesis_file.read_text())
    validators = [parse_address(entry["address"]) for entry in document["config"]["evmesh"]["validators"]]
    assert [derive_accounts(b"\x07" * 32, 3, "m/44'/60'/1'/0")[i].address for i in range(3)] == validators
    balances = provision.genesis_balances(run)
    assert not set(validators) & set(balances)
    assert balances[parse_address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")] == 10_000 * ETHER


@pytest.mark.parametrize("hot", [False, True])
def test_hot_code_is_the_nodes_only_when_it_is_asked_for(state_home, hot):
    manifest = Manifest().with_values({"nodes": 1, "port": 0, "p2p_port": 0, "hot": hot}, "test")
    run = run_directory.create("a-run")
    provision.provision(manifest, run, provision.choose_places(manifest)[0])
    assert load_config(run.node_dir("n0") / "node.toml").node.hot is hot


def test_two_runs_have_different_secrets(state_home):
    seeds = []
    for name in ("a-run", "b-run"):
        manifest = Manifest().with_values({"nodes": 1, "port": 0, "p2p_port": 0}, "test")
        run = run_directory.create(name)
        provision.provision(manifest, run, provision.choose_places(manifest)[0])
        seeds.append((run.path / "validators.seed").read_text() + (run.node_dir("n0") / "node.key").read_text())
    assert seeds[0] != seeds[1]


def test_a_follower_has_no_validator_key(state_home):
    from network.manifest import parse_manifest

    manifest = parse_manifest(
        {"network": {"nodes": 2, "port": 0, "p2p_port": 0}, "node": {"n1": {"validator": False}, "n0": {"weight": 3}}},
        "test",
        state_home,
    ).checked()
    run = run_directory.create("f-run")
    network = provision.provision(manifest, run, provision.choose_places(manifest)[0])
    assert [node.role for node in network.nodes] == ["validator", "follower"]
    assert not (run.node_dir("n1") / "validator.key").exists()
    assert load_config(run.config_file("n1")).consensus.validator_key_file == ""
    document = json.loads(run.genesis_file.read_text())
    assert [entry["weight"] for entry in document["config"]["evmesh"]["validators"]] == [3]


def test_the_genesis_is_one_that_nodes_accept():
    from node.chain.genesis import genesis_from_json

    accounts = derive_accounts(b"seed", 2)
    document = genesis.build_genesis(Manifest(), accounts, [(accounts[0].address, 1)], 1_700_000_000)
    parsed = genesis_from_json(json.loads(json.dumps(document)))
    assert parsed.chain_id == 31337
    assert parsed.consensus.validators[0].address == accounts[0].address
    header = parsed.block().header
    assert (header.gas_limit, header.base_fee_per_gas, header.timestamp) == (30_000_000, 10**9, 1_700_000_000)
    assert header.requests_hash is not None, "Osaka from the first block on"


def test_somebodys_genesis_keeps_its_state(tmp_path):
    path = tmp_path / "genesis.json"
    path.write_text(json.dumps(LEGACY_GENESIS))
    accounts = derive_accounts(b"seed", 2)
    manifest = Manifest().with_values({"genesis": path}, "test")
    document = genesis.adopt_genesis(path, manifest, accounts, [(accounts[0].address, 1)])
    assert document["alloc"] == LEGACY_GENESIS["alloc"]
    assert document["config"]["evmesh"]["engine"] == "pos"
    asked = genesis.adopt_genesis(path, manifest.with_values({"accounts": 2}, "test"), accounts, [])
    assert len(asked["alloc"]) == 3
    twice = manifest.with_values({"fund": ["0x70997970C51812dc3A010C7d01b50e0d17dc79C8:1"]}, "test")
    with pytest.raises(BadInput, match="already"):
        genesis.adopt_genesis(path, twice, accounts, [])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not JSON"),
        ("[" * 5000, "not JSON"),
        ("[]", "config"),
        ('{"config": {}}', "chainId"),
        ('{"config": {"chainId": "x"}}', "chainId"),
        ('{"config": {"chainId": 1}, "alloc": []}', "alloc"),
        ('{"config": {"chainId": 1, "evmesh": {}}}', "validators"),
    ],
)
def test_broken_genesis_files_are_refused(tmp_path, content, words):
    path = tmp_path / "genesis.json"
    path.write_text(content)
    with pytest.raises(BadInput) as caught:
        genesis.adopt_genesis(path, Manifest(), [], [])
    assert words in caught.value.message
    with pytest.raises(BadInput, match="cannot be read"):
        genesis.read_genesis(tmp_path / "none.json")


def test_a_chain_id_that_contradicts_the_file_is_refused(tmp_path):
    path = tmp_path / "genesis.json"
    path.write_text(json.dumps(LEGACY_GENESIS))
    with pytest.raises(BadInput, match="chain 99"):
        genesis.adopt_genesis(path, Manifest().with_values({"chain_id": 5}, "test"), [], [])


def test_a_busy_port_names_the_holder_and_the_flag():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        manifest = Manifest().with_values({"nodes": 1, "port": port, "p2p_port": 0}, "test")
        with pytest.raises(Busy) as caught:
            provision.choose_places(manifest)
    assert caught.value.exit_code == 5
    assert str(port) in caught.value.message
    assert "--port" in caught.value.hint
    if ports.holder_of.__doc__ and caught.value.facts["holder_pid"] is not None:  # where /proc can tell
        assert "pytest" in caught.value.message or "python" in caught.value.message


def test_default_ports_give_way_to_another_network_only(make_run):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        manifest = Manifest(nodes=1, port=port, p2p_port=0)
        with pytest.raises(Busy):
            provision.choose_places(manifest)
        run = make_run()
        record_of(os.getpid(), port, 1).write(run.process_file("n0"))
        places, note = provision.choose_places(manifest)
        run.process_file("n0").unlink()
    assert places["n0"].http_port == port + 100
    assert "test-run" in note


def test_the_page_takes_the_next_port_unless_one_was_named():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        chosen, note = provision.choose_page(Manifest(page_port=port))
        assert port < chosen <= port + provision.PAGE_PORTS_TRIED
        assert f"--page-port {port} is in use" in note
        assert f"using {chosen}" in note
        named = Manifest().with_values({"page_port": port}, "test")
        with pytest.raises(Busy, match=str(port)) as caught:
            provision.choose_page(named)
        assert "--page-port" in caught.value.hint
    assert provision.choose_page(named) == (port, "")
    assert provision.choose_page(Manifest(page_port=port), taken=[port])[0] > port
    assert provision.choose_page(Manifest(page=False)) == (None, "")
    assert provision.choose_page(Manifest(port=0))[0] in ports.DYNAMIC_RANGE


def test_free_ports_are_all_different(monkeypatch):
    monkeypatch.setattr(ports, "DYNAMIC_RANGE", range(20_000, 20_040))
    manifest = Manifest().with_values({"nodes": 8, "port": 0, "p2p_port": 0}, "test")
    places, _ = provision.choose_places(manifest)
    assert len({port for place in places.values() for port in (place.http_port, place.p2p_port)}) == 16


def test_ports_that_collide_are_refused():
    manifest = Manifest().with_values({"nodes": 2, "port": 20_500, "p2p_port": 20_501}, "test")
    with pytest.raises(BadInput, match="share a port"):
        provision.choose_places(manifest)


def test_a_node_may_vote_for_several_validators(make_run):
    run = make_run(nodes=3, block_time=2.0, slots_per_epoch=4, node={"n1": NodeManifest(keys=3, weight=2)})
    rules = json.loads(run.genesis_file.read_text())["config"]["evmesh"]
    assert (rules["engine"], rules["slotMs"], rules["slotsPerEpoch"]) == ("pos", 2000, 4)
    assert [entry["weight"] for entry in rules["validators"]] == [1, 2, 2, 2, 1]
    config = load_config(run.config_file("n1")).consensus
    keys = [read_key(Path(text)) for text in (config.validator_key_file, *config.validator_key_files)]
    entry = run.network().nodes[1]
    told = [entry.validator, *entry.more_validators]
    assert [checksum_address(address_of_private_key(key)) for key in keys] == told
    assert told == [one["address"] for one in rules["validators"][1:4]]
    # the first key of each node is the one it has where all have one
    plain = make_run("plain", nodes=3).network()
    assert [node.validator for node in plain.nodes] == [node.validator for node in run.network().nodes]


def test_nodes_of_a_network_for_development_have_the_accounts_keys(make_run):
    run = make_run(dev=True)
    assert run.network().dev
    assert json.loads(run.genesis_file.read_text())["config"]["evmesh"]["dev"] is True
    keys = read_keys(Path(load_config(run.config_file("n1")).rpc.dev_keys_file))
    assert [address_of_private_key(key) for key in keys] == [
        one.address for one in provision.funded_accounts(run.network())
    ]
    assert not make_run("plain").network().dev
    assert load_config(run_directory.RunDirectory(run.path.parent / "plain").config_file("n0")).rpc.dev_keys_file == ""
