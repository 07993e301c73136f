"""Nodes with hot code: each has a worker when there is something to compile, all agree, and workers go with them."""

import os
import subprocess
import time

import pytest

from network.evmesh import Network
from node.evm.opcodes import Opcode
from node.primitives.scalars import Address
from tests.unit.evm.native.hot import loop
from tests.unit.evm.program import RETURN_TOP, program, push, returning

ROUNDS = 9_000
SUM = loop(
    ROUNDS,
    program(Opcode.DUP1, push(0), Opcode.MLOAD, Opcode.ADD, push(0), Opcode.MSTORE),
    after=program(push(0), Opcode.MLOAD, push(0), Opcode.SSTORE, push(0), Opcode.MLOAD, RETURN_TOP),
)

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks for processes in /proc")


class Contract:
    """Something to send to."""

    def __init__(self, address: str) -> None:
        self.address = Address(bytes.fromhex(address[2:]))


def workers() -> set[int]:
    """Processes that compile units, of whatever node."""
    done = subprocess.run(["ps", "-eo", "pid,stat,args"], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in done.stdout.splitlines()[1:]]
    return {int(pid) for pid, status, words in rows if "native.hot.worker" in words and "Z" not in status}


def test_nodes_with_hot_code_agree_and_their_workers_end_with_them() -> None:
    before = workers()
    with Network(nodes=4, hot=True) as net:
        sent = net.send(0, None, data=returning(SUM), gas=3_000_000)
        net.wait_finalized(sent)
        receipt = net["n0"].rpc("eth_getTransactionReceipt", sent)
        contract = Contract(receipt["contractAddress"])
        used = set()
        while not used or (workers() == before and len(used) < 3):
            sent = net.send(len(used), contract, gas=2_000_000)
            net.wait_finalized(sent)
            for name in ("n0", "n3"):
                answer = net[name].rpc("eth_call", {"to": receipt["contractAddress"], "gas": hex(2_000_000)}, "latest")
                assert int(answer, 16) == ROUNDS * (ROUNDS + 1) // 2
            used.add(net["n0"].rpc("eth_getTransactionReceipt", sent)["gasUsed"])
        assert net.same_state()
        made = workers() - before
        assert made
    while workers() & made:
        time.sleep(0.05)
