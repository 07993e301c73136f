"""Chain files: what goes in comes out, byte for byte; what is not a chain leaves nothing behind."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import lzma
import signal
import subprocess
import sys
import tarfile
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from network.__main__ import run
from network.chain_file import export_blocks
from network.failures import BadInput
from node.chain.genesis import genesis_from_json
from node.datadir import DataDir
from node.execution.builder import PayloadAttributes
from node.primitives.scalars import GWEI, ZERO_HASH, Address
from node.runtime.runtime import system_runtime
from node.telemetry.logs import Log
from node.types.blocks import Block
from node.types.operations import SetStorage
from node.types.transactions import LEGACY, Transaction
from tests.builders import attributes, make_chain
from tests.unit.execution.world import KEYS, SENDERS

ROOT = Path(__file__).resolve().parents[3]
COMPAT = ROOT.parent / "shared" / "rpc-compat" / "chain.tar.xz"
MERGE_AT = 131_072 * 6
"""Reached by the genesis block and five mined ones, so that block 6 is the first that nobody mined."""

GENESIS: dict[str, Any] = {
    "config": {
        "chainId": 1337,
        "homesteadBlock": 0,
        "eip150Block": 0,
        "eip155Block": 2,
        "eip158Block": 2,
        "byzantiumBlock": 2,
        "constantinopleBlock": 3,
        "petersburgBlock": 3,
        "istanbulBlock": 3,
        "berlinBlock": 3,
        "londonBlock": 4,
        "terminalTotalDifficulty": MERGE_AT,
        "shanghaiTime": 120,
    },
    "difficulty": "0x20000",
    "gasLimit": "0x1000000",
    "alloc": {"0x" + sender.hex(): {"balance": "0x8ac7230489e80000"} for sender in SENDERS},
}


def write_chain(folder: Path) -> list[Block]:
    """Eight blocks through the Merge, each with a transaction; ``genesis.json`` and ``chain.rlp`` of them."""
    runtime = system_runtime()
    directory = DataDir(
        folder / "made", genesis_from_json(GENESIS), runtime, Log(runtime.clock, "test", "error", "text")
    )
    chain = directory.chain
    blocks: list[Block] = []

    async def work() -> None:
        for number in range(1, 9):
            tx = Transaction(
                type=LEGACY,
                nonce=number - 1,
                gas_limit=21_000,
                to=Address(b"\x99" * 20),
                value=number,
                data=b"",
                max_fee_per_gas=9 * GWEI,
                max_priority_fee_per_gas=9 * GWEI,
            ).signed_by(KEYS[0])
            attributes = PayloadAttributes(
                timestamp=number * 15,
                prev_randao=ZERO_HASH,
                coinbase=Address(b"\xc0" * 20),
                gas_limit_target=2**25,
            )
            deadline = runtime.clock.monotonic_ms() + 60_000
            built = await chain.build_payload(chain.head.hash, attributes, [tx], deadline)
            assert built.block.transactions
            blocks.append(built.block)
            await chain.forkchoice_updated(built.block.hash, built.block.hash, built.block.hash, {})

    try:
        asyncio.run(work())
    finally:
        runtime.workers.close()
        directory.close()
    (folder / "genesis.json").write_text(json.dumps(GENESIS))
    (folder / "chain.rlp").write_bytes(b"".join(block.encode() for block in blocks))
    return blocks


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Block]]:
    folder = tmp_path_factory.mktemp("chain")
    return folder, write_chain(folder)


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = run([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


def rules_of(target: Path) -> list[tuple[int, str]]:
    """(number, fork) of every block of a directory, from its own header alone."""
    runtime = system_runtime()
    directory = DataDir.existing(target, runtime, Log(runtime.clock, "test", "error", "text"))
    chain = directory.chain
    try:
        headers = [chain.header_by_number(number) for number in range(chain.head.number + 1)]
        return [(header.number, chain.spec_for(header).name) for header in headers if header is not None]
    finally:
        runtime.workers.close()
        directory.close()


def test_in_and_out_again(made, tmp_path, capsys) -> None:
    folder, blocks = made
    target = tmp_path / "data"
    words = ("import", "--genesis", folder / "genesis.json", folder / "chain.rlp", "--datadir", target, "--json")
    code, out, _ = call(capsys, *words)
    told = json.loads(out)
    assert code == 0
    assert (told["imported"], told["skipped"]) == (8, 0)
    assert told["head"]["number"] == 8
    assert told["head"]["hash"] == "0x" + blocks[-1].hash.hex()
    assert [block.header.difficulty > 0 for block in blocks] == [True] * 5 + [False] * 3
    assert [block.header.base_fee_per_gas is not None for block in blocks] == [False] * 3 + [True] * 5
    assert [block.withdrawals is not None for block in blocks] == [False] * 7 + [True]

    assert [spec for _, spec in rules_of(target)] == [
        *["Tangerine Whistle"] * 2,
        "Byzantium",
        "Berlin",
        *["London"] * 2,
        *["Paris"] * 2,
        "Shanghai",
    ]

    assert call(capsys, "export", tmp_path / "out.rlp", "--datadir", target)[0] == 0
    assert (tmp_path / "out.rlp").read_bytes() == (folder / "chain.rlp").read_bytes()
    assert call(capsys, "export", tmp_path / "part.rlp.gz", 3, 4, "--datadir", target)[0] == 0
    assert gzip.decompress((tmp_path / "part.rlp.gz").read_bytes()) == blocks[2].encode() + blocks[3].encode()

    code, out, _ = call(capsys, *words)
    assert (code, json.loads(out)["imported"], json.loads(out)["skipped"]) == (0, 0, 8)
    code, _, err = call(capsys, "export", tmp_path / "out.rlp", "--datadir", target)
    assert (code, "--force" in err) == (2, True)
    code, _, err = call(capsys, "export", tmp_path / "new.rlp", 5, 9, "--datadir", target)
    assert (code, "0 to 8" in err, (tmp_path / "new.rlp").exists()) == (2, True, False)


def test_a_file_may_go_on_where_another_ended(made, tmp_path, capsys) -> None:
    folder, blocks = made
    first, rest = tmp_path / "1.rlp.gz", tmp_path / "2.rlp"
    first.write_bytes(gzip.compress(b"".join(block.encode() for block in blocks[:4])))
    rest.write_bytes(b"".join(block.encode() for block in blocks[2:]))
    target = tmp_path / "data"
    assert call(capsys, "import", "--genesis", folder / "genesis.json", first, "--datadir", target)[0] == 0
    code, out, _ = call(capsys, "import", rest, "--datadir", target, "--json")
    assert code == 0
    assert (json.loads(out)["imported"], json.loads(out)["skipped"]) == (4, 2)
    gap = tmp_path / "gap.rlp"
    gap.write_bytes(blocks[7].encode())
    code, _, err = call(capsys, "import", "--genesis", folder / "genesis.json", gap, "--datadir", tmp_path / "other")
    assert (code, "but the head here is" in err, (tmp_path / "other").exists()) == (2, True, False)


def damaged(blocks: list[Block]) -> dict[str, tuple[bytes, str]]:
    """name -> (content, what must be said)."""
    whole = b"".join(block.encode() for block in blocks)
    header = replace(blocks[3].header, state_root=ZERO_HASH)
    lying = replace(blocks[3], header=header)
    heavy = replace(blocks[2], header=replace(blocks[2].header, difficulty=131_073))
    late = replace(blocks[5], header=replace(blocks[5].header, difficulty=131_072, nonce=b"\x01" * 8))
    before = b"".join(block.encode() for block in blocks[:3])
    return {
        "truncated": (whole[:-1], "truncated: the item at byte"),
        "a lonely length": (whole + b"\xf9\x01", "truncated"),
        "too long": (b"\xfb\xff\xff\xff\xff", "at most"),
        "not RLP": (b"chain", "no chain file"),
        "no block": (b"\xc3\x01\x02\x03", "item 0 at byte 0 is no block"),
        "empty": (b"", "empty"),
        "out of order": (blocks[1].encode() + blocks[0].encode(), "does not follow"),
        "another beginning": (blocks[1].encode(), "but the head here is"),
        "a lie about the state": (before + lying.encode(), "INVALID_STATE_ROOT"),
        "another difficulty": (blocks[0].encode() + blocks[1].encode() + heavy.encode(), "INVALID_DIFFICULTY"),
        "mined after the Merge": (
            b"".join(block.encode() for block in blocks[:5]) + late.encode(),
            "IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS",
        ),
        "not gzip.gz": (b"chain", "gzip"),
        "half of it.gz": (gzip.compress(whole)[:-20], "gzip"),
    }


@pytest.mark.parametrize(
    "name",
    [
        "truncated",
        "a lonely length",
        "too long",
        "not RLP",
        "no block",
        "empty",
        "out of order",
        "another beginning",
        "a lie about the state",
        "another difficulty",
        "mined after the Merge",
        "not gzip.gz",
        "half of it.gz",
    ],
)
def test_a_bad_file_leaves_nothing(made, tmp_path, capsys, name: str) -> None:
    folder, blocks = made
    content, said = damaged(blocks)[name]
    file = tmp_path / name
    file.write_bytes(content)
    code, out, err = call(capsys, "import", "--genesis", folder / "genesis.json", file, "--datadir", tmp_path / "data")
    assert (code, out) == (2, "")
    assert said in err
    assert str(file) in err
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_in_a_directory_that_is_there_the_blocks_before_a_bad_one_are_kept(made, tmp_path, capsys) -> None:
    folder, blocks = made
    start, bad = tmp_path / "start.rlp", tmp_path / "bad.rlp"
    start.write_bytes(blocks[0].encode())
    bad.write_bytes(blocks[1].encode() + damaged(blocks)["a lie about the state"][0][len(blocks[0].encode()) :])
    target = tmp_path / "data"
    assert call(capsys, "import", "--genesis", folder / "genesis.json", start, "--datadir", target)[0] == 0
    bad.write_bytes(blocks[1].encode() + blocks[2].encode() + replace_root(blocks[3]).encode())
    assert call(capsys, "import", bad, "--datadir", target)[0] == 2
    code, out, _ = call(capsys, "export", tmp_path / "kept.rlp", "--datadir", target, "--json")
    assert (code, json.loads(out)["last"]) == (0, 3)


def replace_root(block: Block) -> Block:
    return replace(block, header=replace(block.header, state_root=ZERO_HASH))


def test_what_does_not_fit_together_is_said(made, tmp_path, capsys) -> None:
    folder, _ = made
    chain, target = folder / "chain.rlp", tmp_path / "data"
    code, _, err = call(capsys, "import", chain, "--datadir", target)
    assert (code, "--genesis" in err) == (2, True)
    code, _, err = call(capsys, "import", "--genesis", tmp_path / "none.json", chain, "--datadir", target)
    assert (code, "none.json" in err) == (2, True)
    broken = tmp_path / "broken.json"
    broken.write_text('{"config": {"chainId": "x"}}')
    code, _, err = call(capsys, "import", "--genesis", broken, chain, "--datadir", target)
    assert (code, "config.chainId" in err) == (2, True)
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**GENESIS, "extraData": "0x07"}))
    code, _, err = call(capsys, "import", "--genesis", other, chain, "--datadir", target)
    assert (code, "block 1 stands on" in err) == (2, True)
    assert not target.exists()
    assert call(capsys, "import", "--genesis", folder / "genesis.json", chain, "--datadir", target)[0] == 0
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps({**GENESIS, "config": {**GENESIS["config"], "shanghaiTime": 999}}))
    code, _, err = call(capsys, "import", "--genesis", changed, chain, "--datadir", target)
    assert (code, "its config differs" in err) == (2, True)
    code, _, err = call(capsys, "export", tmp_path / "out.rlp", "--datadir", tmp_path / "nowhere")
    assert (code, "no chain here" in err) == (2, True)


def rpc(url: str, method: str, *params: object) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)["result"]


def test_a_block_with_ordered_writes_is_not_exported() -> None:
    async def main() -> None:
        chain = make_chain()
        written = (SetStorage(Address(b"\x05" * 20), 1, 2),)
        for operations in ((), written):
            header = chain.head
            built = await chain.build_payload(header.hash, attributes(header, operations=operations), [], 2**60)
            await chain.forkchoice_updated(*[built.block.hash] * 3, {built.block.hash: b""})
        assert export_blocks(chain, io.BytesIO(), 1, 1) == 1
        with pytest.raises(BadInput, match="block 2 has state writes") as refusal:
            export_blocks(chain, io.BytesIO(), 1, 2)
        assert refusal.value.hint == "export the blocks before it: 1 1"

    asyncio.run(main())


def test_the_imported_chain_is_served(made, tmp_path, capsys) -> None:
    folder, blocks = made
    target = tmp_path / "data"
    call(capsys, "import", "--genesis", folder / "genesis.json", folder / "chain.rlp", "--datadir", target)
    command = [sys.executable, "-m", "node", "--datadir", str(target), "--http-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split("http=")[1].split()[0]
        for tag in ("latest", "safe", "finalized"):
            assert rpc(url, "eth_getBlockByNumber", tag, False)["hash"] == "0x" + blocks[-1].hash.hex()
        assert int(rpc(url, "eth_getBalance", "0x" + "99" * 20, "0x3"), 16) == 1 + 2 + 3
        receipt = rpc(url, "eth_getTransactionReceipt", "0x" + blocks[0].transactions[0].hash.hex())
        assert "status" not in receipt
        assert len(receipt["root"]) == 66
        assert rpc(url, "net_peerCount") == "0x0"
        code, _, err = call(capsys, "import", folder / "chain.rlp", "--datadir", target)
        assert (code, "in use" in err or "another process" in err) == (5, True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_directory_without_a_chain_is_not_served(tmp_path) -> None:
    command = [sys.executable, "-m", "node", "--datadir", str(tmp_path), "--http-port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert "evmesh import" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not COMPAT.exists(), reason="the official chain file is not on this machine")
def test_the_official_chain_from_homestead_to_bpo2(tmp_path, capsys) -> None:
    with lzma.open(COMPAT) as packed, tarfile.open(fileobj=packed) as archive:
        archive.extractall(tmp_path, filter="data")
    target = tmp_path / "data"
    words = ("import", "--genesis", tmp_path / "genesis.json", tmp_path / "chain.rlp", "--datadir", target)
    code, out, _ = call(capsys, *words, "--json")
    assert code == 0
    head = json.loads(out)["head"]
    assert head["number"] == 54
    assert head["hash"] == "0xd226371d0b1551adb03fb52b71f08e3e11247fe9b1af994768af8cdaa8e7dcd7"
    assert call(capsys, "export", tmp_path / "out.rlp", "--datadir", target)[0] == 0
    assert (tmp_path / "out.rlp").read_bytes() == (tmp_path / "chain.rlp").read_bytes()

    runtime = system_runtime()
    directory = DataDir.existing(target, runtime, Log(runtime.clock, "test", "error", "text"))
    try:
        view = directory.chain.view_at(directory.chain.head)
        accounts = json.loads((tmp_path / "headstate.json").read_text())["accounts"]
        assert len(accounts) > 100
        for name, told in accounts.items():
            owner = Address(bytes.fromhex(name[2:]))
            account = view.account(owner)
            assert account is not None, name
            assert (account.balance, account.nonce) == (int(told["balance"]), told["nonce"]), name
            assert "0x" + account.code_hash.hex() == told["codeHash"], name
            for slot, value in told.get("storage", {}).items():
                assert view.slot(owner, int(slot, 16)) == int(value, 16), (name, slot)
    finally:
        runtime.workers.close()
        directory.close()
