"""What provisioning for containers writes: folders for compose, and objects that Kubernetes' own schemas accept."""

import json
import shutil
import subprocess

import pytest

from network import containers
from network.containers import provision_compose, provision_kubernetes
from network.failures import BadInput
from network.manifest import Manifest
from node.config import load_config

yaml = pytest.importorskip("yaml", reason="PyYAML and kubernetes-validate are not installed")
kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")

VERSIONS = ("1.25", "1.33")


def small(nodes=2):
    return Manifest().with_values({"nodes": nodes}, "test")


def objects(folder):
    return [
        one for file in sorted(folder.glob("*.yaml")) for one in yaml.safe_load_all(file.read_text()) if "spec" in one
    ]


def test_compose_gives_each_container_a_folder(tmp_path):
    network = provision_compose(small(), tmp_path / "c")
    config = load_config(tmp_path / "c" / "n1" / "node.toml")
    assert (config.rpc.host, config.rpc.port, config.p2p.listen) == ("0.0.0.0", 8545, "0.0.0.0:30303")
    assert config.p2p.bootnodes[0].endswith("@n0:30303")
    assert config.p2p.advertise == "n1:30303"
    assert "n1" in config.rpc.allowed_hosts
    assert (tmp_path / "c" / "n1" / "genesis.json").is_file()
    assert provision_compose(small(), tmp_path / "c").nodes == network.nodes, "a second run changes nothing"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifests_are_valid_objects(tmp_path, version):
    provision_kubernetes(small(), tmp_path / "k")
    found = objects(tmp_path / "k")
    assert sorted(one["kind"] for one in found) == ["PodDisruptionBudget", "Service", "Service", "StatefulSet"]
    for one in found:
        kubernetes_validate.validate(one, version, strict=True)
        broken = {**one, "spec": {**one["spec"], "replica": 4}}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(broken, version, strict=True)


def test_pods_are_dialled_by_the_names_that_the_headless_service_gives(tmp_path):
    provision_kubernetes(small(3), tmp_path / "k", namespace="dev")
    config = load_config(tmp_path / "k" / "n1" / "node.toml")
    assert [text.partition("@")[2] for text in config.p2p.bootnodes] == [
        "evmesh-0.evmesh:30303",
        "evmesh-2.evmesh:30303",
    ]
    assert config.p2p.advertise == "evmesh-1.evmesh:30303"
    assert "evmesh-rpc.dev.svc.cluster.local" in config.rpc.allowed_hosts
    (services,) = [one for one in objects(tmp_path / "k") if one["spec"].get("clusterIP") == "None"]
    (pods,) = [one for one in objects(tmp_path / "k") if one["kind"] == "StatefulSet"]
    assert pods["spec"]["serviceName"] == services["metadata"]["name"] == containers.SERVICE
    assert services["spec"]["selector"] == pods["spec"]["selector"]["matchLabels"]
    assert services["spec"]["publishNotReadyAddresses"] is True


def test_the_kustomization_names_every_file_of_every_node(tmp_path):
    folder = tmp_path / "k"
    provision_kubernetes(small(), folder, image="registry:5000/team/evmesh:1.2@sha256:" + "a" * 64, namespace="dev")
    found = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert found["images"] == [
        {"name": "evmesh", "newName": "registry:5000/team/evmesh", "newTag": "1.2", "digest": "sha256:" + "a" * 64}
    ]
    assert (found["namespace"], found["replicas"]) == ("dev", [{"name": "evmesh", "count": 2}])
    listed = dict(line.split("=") for line in found["secretGenerator"][0]["files"])
    assert set(listed) == {f"{n}.{file}" for n in ("n0", "n1") for file in ("node.key", "node.toml", "validator.key")}
    assert all((folder / path).is_file() for path in listed.values())


def test_a_second_time_keeps_keys_and_takes_the_new_image(tmp_path):
    folder = tmp_path / "k"
    first = provision_kubernetes(small(), folder, image="evmesh:1")
    key = (folder / "n0" / "node.key").read_text()
    assert provision_kubernetes(small(), folder, image="evmesh:2") == first
    assert (folder / "n0" / "node.key").read_text() == key
    assert yaml.safe_load((folder / "kustomization.yaml").read_text())["images"][0]["newTag"] == "2"


@pytest.mark.parametrize("image", ["", ":tag", "a b", "host/"])
def test_what_is_no_image_is_refused(tmp_path, image):
    with pytest.raises(BadInput, match="name of an image"):
        provision_kubernetes(small(), tmp_path / "k", image=image)
    assert not (tmp_path / "k").exists()


def test_a_genesis_that_no_object_can_hold_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "OBJECT_BYTES_MAX", 1000)
    with pytest.raises(BadInput, match="Kubernetes stores at most 1000"):
        provision_kubernetes(small(), tmp_path / "k")


def test_kubectl_builds_the_folder(tmp_path):
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl here")
    folder = tmp_path / "k"
    provision_kubernetes(small(3), folder, image="registry.example/evmesh:7", namespace="dev")
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(done.stdout)}
    assert {one["metadata"]["namespace"] for one in built.values()} == {"dev"}
    pods = built["StatefulSet", "evmesh"]["spec"]
    spec = pods["template"]["spec"]
    assert pods["replicas"] == 3
    assert {one["image"] for one in spec["initContainers"] + spec["containers"]} == {"registry.example/evmesh:7"}
    (nodes,) = [one["secret"]["secretName"] for one in spec["volumes"] if "secret" in one]
    assert len(built["Secret", nodes]["data"]) == 9
    (genesis,) = [one["configMap"]["name"] for one in spec["volumes"] if "configMap" in one]
    assert json.loads(built["ConfigMap", genesis]["data"]["genesis.json"])["config"]["chainId"] == 31337
    for one in built.values():
        kubernetes_validate.validate(one, VERSIONS[-1], strict=True)
