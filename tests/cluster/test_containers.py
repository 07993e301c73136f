"""The image, docker-compose.yml and the Kubernetes manifests, run by a container engine; skipped where there is none.

The engine's own registry gives the base image, or BASE_IMAGE names one that is there.
"""

import os
import shutil
import subprocess
import time

import pytest
import yaml

from network.client import NodeClient, NodeUnreachable
from network.containers import provision_kubernetes
from network.evmesh import Network
from network.failures import Failure
from network.manifest import Manifest
from tests.cluster.conftest import ROOT

BASE_IMAGE = os.environ.get("BASE_IMAGE", "python:3.13-slim")
IMAGE = "evmesh:latest"
HEALTHY_S = 30
PROJECT = "evmesh-test"

pytestmark = pytest.mark.timeout(600)


def docker(*words, check=True):
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"docker {' '.join(words)}: {done.stderr}"
    return done.stdout.strip() if done.returncode == 0 else None


def compose(*words):
    """Of the engine's plugin, or the older program of its own."""
    program = ["docker", "compose"] if docker("compose", "version", check=False) else ["docker-compose"]
    environment = {**os.environ, "BASE_IMAGE": BASE_IMAGE}
    command = [*program, "-p", PROJECT, *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def image():
    if not shutil.which("docker") or docker("version", check=False) is None:
        pytest.skip("no container engine answers here")
    if docker("image", "inspect", BASE_IMAGE, check=False) is None and docker("pull", BASE_IMAGE, check=False) is None:
        pytest.skip(f"the image {BASE_IMAGE} is not here and cannot be had; BASE_IMAGE names another")
    docker("build", "--build-arg", f"BASE_IMAGE={BASE_IMAGE}", "-t", IMAGE, str(ROOT))


def until(condition, seconds, what):
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            if condition():
                return
        except (NodeUnreachable, TypeError) as error:  # not up yet, or without the block
            last = error
        time.sleep(0.3)
    pytest.fail(f"not within {seconds} s: {what} ({last})")


def ask(port, method, *parameters):
    client = NodeClient(f"http://127.0.0.1:{port}")
    try:
        return client.call(method, *parameters)
    finally:
        client.close()


def same_block(ports, above):
    """All answer the same finalized block above a height."""
    lowest = min(int(ask(port, "eth_getBlockByNumber", "finalized", False)["number"], 16) for port in ports)
    hashes = {ask(port, "eth_getBlockByNumber", hex(lowest), False)["hash"] for port in ports}
    assert len(hashes) == 1, f"#{lowest} is final and not the same everywhere"
    return lowest > above


def test_compose_starts_four_nodes_that_agree_and_survive_a_kill():
    try:
        compose("up", "-d")
        began = time.monotonic()
        names = [f"n{index}" for index in range(4)]
        ids = {name: compose("ps", "-q", name).strip() for name in names}
        until(
            lambda: all(docker("inspect", "-f", "{{.State.Health.Status}}", one) == "healthy" for one in ids.values()),
            HEALTHY_S,
            "four healthy nodes",
        )
        print(f"healthy after {time.monotonic() - began:.1f} s")
        ports = range(8545, 8549)
        until(lambda: same_block(ports, 2), 60, "one finalized block on four nodes")
        docker("kill", "-s", "KILL", ids["n2"])
        before = int(ask(ports[0], "eth_blockNumber"), 16)
        docker("start", ids["n2"])
        until(lambda: same_block(ports, before), 60, "n2 is back and agrees")
        compose("down")
        compose("up", "-d")
        until(lambda: same_block(ports, before), 60, "they go on after down and up")
    finally:
        compose("down", "-v")


def test_pods_of_the_manifests_find_each_other(tmp_path):
    """Each container as the stateful set describes it: image, command, environment, volumes, user, host name."""
    nodes = 4
    folder = tmp_path / "k"
    provision_kubernetes(Manifest().with_values({"nodes": nodes}, "test"), folder, image=IMAGE)
    spec = yaml.safe_load((folder / "statefulset.yaml").read_text())["spec"]["template"]["spec"]
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    secret = tmp_path / "nodes"
    secret.mkdir()
    for line in kustomization["secretGenerator"][0]["files"]:
        key, _, path = line.partition("=")
        shutil.copy(folder / path, secret / key)
    maps = tmp_path / "genesis"
    maps.mkdir()
    shutil.copy(folder / "genesis.json", maps)
    user = spec["securityContext"]["runAsUser"]
    for one in (tmp_path, secret, maps, *secret.iterdir(), *maps.iterdir()):
        os.chmod(one, 0o755 if one.is_dir() else 0o644)
    where = {"nodes": f"{secret}:/nodes:ro", "genesis": f"{maps}:/genesis:ro"}

    def words(container, pod):
        mounts = []
        for mount in container["volumeMounts"]:
            if mount["name"] == "tmp":
                mounts += ["--tmpfs", mount["mountPath"]]
            else:
                mounts += ["-v", where.get(mount["name"], f"{pod}-data:{mount['mountPath']}")]
        environment = [f"{one['name']}={one.get('value', pod)}" for one in container.get("env", ())]
        return [
            *("--user", f"{user}:{spec['securityContext']['runAsGroup']}", "--read-only", "--cap-drop", "ALL"),
            *("--network", PROJECT, "--hostname", pod, *mounts),
            *(word for one in environment for word in ("-e", one)),
            *("--entrypoint", container["command"][0], IMAGE, *container["command"][1:], *container.get("args", ())),
        ]

    pods = [f"evmesh-{index}" for index in range(nodes)]
    docker("network", "create", PROJECT)
    try:
        for pod in pods:
            docker("run", "--rm", "-v", f"{pod}-data:/data", IMAGE, "true")  # a new volume takes its folder's owner
            docker("run", "--rm", *words(spec["initContainers"][0], pod))
            docker(
                "run", "-d", "-P", "--name", pod, "--network-alias", f"{pod}.evmesh", *words(spec["containers"][0], pod)
            )
        ports = [docker("port", pod, "8545/tcp").splitlines()[0].rpartition(":")[2] for pod in pods]
        until(lambda: same_block(ports, 2), 60, "one finalized block on four pods")
        assert docker("exec", pods[1], "ls", "/data").split().count("node.key") == 1
        too_many = subprocess.run(
            ["docker", "run", "--rm", *words(spec["initContainers"][0], "evmesh-9")], capture_output=True, text=True
        )
        assert too_many.returncode == 1
        assert "no files for n9" in too_many.stderr
    finally:
        for pod in (*pods, "evmesh-9"):
            docker("rm", "-f", pod, check=False)
            docker("volume", "rm", "-f", f"{pod}-data", check=False)
        docker("network", "rm", PROJECT, check=False)


def test_a_network_for_programs():
    """The verbs that processes and the simulator have, as far as an engine can carry them out."""
    with Network(on="compose", seed=3) as net:
        left, right = net.split([0, 1], [2, 3])
        one = net.send(0, 1, value=5, node=left[0], nonce=0)
        other = net.send(0, 2, value=5, node=right[0], nonce=0)
        net.sleep(2)
        assert not net.same_state(seconds=0) or net[0].client.receipt(one) is None
        net.heal()
        net.wait_finalized(net.wait_blocks(2))
        receipts = [net["n3"].rpc("eth_getTransactionReceipt", sent) for sent in (one, other)]
        assert receipts.count(None) == 1
        net.kill("n3")
        assert [node.name for node in net.running] == ["n0", "n1", "n2"]
        net.wait_blocks(2)
        net.restart("n3")
        net.pause(1)
        net.wait_blocks(1)
        net.resume(1)
        assert net.same_state()
        with pytest.raises(Failure, match="cannot be brought about in containers"):
            net.byz("n1", "equivocate")
    left_over = docker("ps", "-aq", "--filter", "name=evmesh")
    assert left_over == ""
