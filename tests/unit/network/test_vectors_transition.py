"""t8n and evm run: inputs, outputs, exit codes."""

import io
import json

import pytest

from network.__main__ import run

KEY = "0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8"
SENDER = "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b"
OTHER = "0x1000000000000000000000000000000000000000"
COINBASE = "0x2adc25665018aa1fe0e6bc666dac8fc2697ff9ba"
EMPTY_ROOT = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"


def env(**changes):
    found = {
        "currentCoinbase": COINBASE,
        "currentNumber": "1",
        "currentTimestamp": "1000",
        "currentGasLimit": "0x1c9c380",
        "currentRandom": "0x0",
        "currentBaseFee": "0x7",
        "withdrawals": [],
        **changes,
    }
    return {key: value for key, value in found.items() if value is not None}


def tx(**changes):
    return {
        "type": "0x0",
        "nonce": "0x0",
        "gasPrice": "0xa",
        "gas": "0x5208",
        "to": OTHER,
        "value": "0x1",
        "input": "0x",
        "secretKey": KEY,
        **changes,
    }


ALLOC = {SENDER: {"balance": "0xde0b6b3a7640000"}}


@pytest.fixture
def t8n(capsys, tmp_path, monkeypatch):
    """Everything through the standard streams."""

    def call(*words, alloc=ALLOC, env=env(), txs=None, fork="Shanghai", **more):  # noqa: B008
        piped = {"alloc": alloc, "env": env, "txs": txs if txs is not None else [], **more}
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(piped).encode())))
        streams = [f"--input.{part}=stdin" for part in ("alloc", "env", "txs")]
        streams += [f"--output.{part}=stdout" for part in ("alloc", "result", "body")]
        code = run(["t8n", *streams, "--state.fork", fork, "--output.basedir", str(tmp_path), *words])
        captured = capsys.readouterr()
        return code, json.loads(captured.out) if code == 0 else captured.err

    return call


def test_a_transfer(t8n):
    code, out = t8n(txs=[tx()])
    assert code == 0
    assert out["alloc"] == {
        OTHER: {"balance": "0x1"},
        COINBASE: {"balance": hex(21_000 * 3)},
        SENDER: {"balance": hex(10**18 - 210_000 - 1), "nonce": "0x1"},
    }
    result = out["result"]
    assert result["gasUsed"] == "0x5208"
    assert result["currentDifficulty"] is None
    assert result["currentBaseFee"] == "0x7"
    assert result["withdrawalsRoot"] == EMPTY_ROOT
    assert "rejected" not in result
    assert "requestsHash" not in result
    (receipt,) = result["receipts"]
    assert receipt["status"] == "0x1"
    assert receipt["root"] == "0x"
    assert receipt["logs"] is None
    assert receipt["effectiveGasPrice"] == "0xa"
    again, same = t8n("--state.fork", "Shanghai", txs=None, txsRlp=out["body"])
    assert again == 0
    assert same == out


def test_refused_transactions_stay_out(t8n):
    code, out = t8n(txs=[tx(nonce="0x5"), tx(), tx(nonce="0x1", gas="0x1")])
    assert code == 0
    assert [entry["index"] for entry in out["result"]["rejected"]] == [0, 2]
    assert "nonce too high" in out["result"]["rejected"][0]["error"]
    assert "intrinsic gas too low" in out["result"]["rejected"][1]["error"]
    assert len(out["result"]["receipts"]) == 1


def test_rewards_and_withdrawals(t8n):
    withdrawals = [{"index": "0x0", "validatorIndex": "0x1", "address": OTHER, "amount": "0x2"}]
    ommers = [{"delta": 1, "address": SENDER}]
    code, out = t8n("--state.reward", "3200", env=env(withdrawals=withdrawals, ommers=ommers))
    assert code == 0
    assert out["alloc"] == {
        OTHER: {"balance": hex(2 * 10**9)},
        COINBASE: {"balance": hex(3200 + 100)},
        SENDER: {"balance": hex(10**18 + 2800)},
    }
    code, out = t8n("--state.reward", "-1")
    assert COINBASE not in out["alloc"]


def test_what_follows_from_the_parent_is_computed(t8n):
    code, out = t8n(
        env=env(currentBaseFee=None, parentBaseFee="0x64", parentGasUsed="0x14", parentGasLimit="0x14"),
        fork="Paris",
    )
    assert code == 0
    assert out["result"]["currentBaseFee"] == hex(112)
    code, out = t8n(
        env=env(
            currentBaseFee="0x7",
            parentBeaconBlockRoot="0x0",
            parentExcessBlobGas=hex(131072 * 3),
            parentBlobGasUsed=hex(131072 * 2),
        ),
        fork="Cancun",
    )
    assert code == 0
    assert out["result"]["currentExcessBlobGas"] == hex(131072 * 2)
    assert out["result"]["blobGasUsed"] == "0x0"


def test_traces(t8n, tmp_path):
    alloc = {**ALLOC, OTHER: {"code": "0x600160020100", "balance": "0x0"}}
    code, out = t8n("--trace", alloc=alloc, txs=[tx(gas="0x7530")])
    assert code == 0
    tx_hash = out["result"]["receipts"][0]["transactionHash"]
    lines = (tmp_path / f"trace-0-{tx_hash}.jsonl").read_text().splitlines()
    assert [json.loads(line).get("opName") for line in lines] == ["PUSH1", "PUSH1", "ADD", "STOP", None]
    assert json.loads(lines[-1]) == {"output": "", "gasUsed": hex(9)}


@pytest.mark.parametrize(
    ("code", "said", "given"),
    [
        (3, "Nowhere is not known", {"fork": "Nowhere"}),
        (3, "currentDifficulty: missing", {"fork": "Berlin"}),
        (3, "currentRandom", {"env": env(currentRandom=None)}),
        (3, "must be zero", {"env": env(currentDifficulty="0x1")}),
        (3, "withdrawals", {"env": env(withdrawals=None)}),
        (3, "parentBeaconBlockRoot", {"fork": "Cancun"}),
        (3, "currentBaseFee", {"env": env(currentBaseFee=None)}),
        (4, "block 0 is missing", {"fork": "Prague", "env": env(parentBeaconBlockRoot="0x0")}),
        (10, "env.currentNumber: missing", {"env": env(currentNumber=None)}),
        (10, "env: expected an object", {"env": 7}),
        (10, "alloc.0x12: expected 20 bytes", {"alloc": {"0x12": {}}}),
        (10, "txs[0].nonce", {"txs": [tx(nonce="x")]}),
        (10, "txs[0].v", {"txs": [tx(secretKey=None)]}),
        (10, "txs[0].type", {"txs": [tx(type="0x9")]}),
        (10, "env.ommers[0].delta", {"env": env(ommers=[{"delta": 9, "address": OTHER}])}),
        (12, "not an RLP list", {"txsRlp": "0xc3"}),
    ],
)
def test_exit_codes_are_those_of_geth(t8n, code, said, given):
    got, err = t8n(**given)
    assert got == code
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_block_hash_that_is_asked_for_and_missing(t8n):
    # BLOCKHASH(0)
    alloc = {**ALLOC, OTHER: {"code": "0x60004050", "balance": "0x0"}}
    got, err = t8n(alloc=alloc, txs=[tx(gas="0x7530")])
    assert got == 4
    assert "getHash(0)" in err
    got, _ = t8n(alloc=alloc, txs=[tx(gas="0x7530")], env=env(blockHashes={"0": "0x" + "11" * 32}))
    assert got == 0


def test_files(tmp_path, capsys):
    for name, content in (("alloc", ALLOC), ("env", env()), ("txs", [tx()])):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    words = [f"--input.{name}={tmp_path}/{name}.json" for name in ("alloc", "env", "txs")]
    words += ["--output.basedir", str(tmp_path / "out"), "--output.body", "body.rlp", "--state.fork", "Shanghai"]
    assert run(["evm", "t8n", *words]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"alloc.json", "result.json", "body.rlp"}
    capsys.readouterr()
    assert run(["t8n", f"--input.alloc={tmp_path}/none.json", *words[1:]]) == 11
    assert "cannot be read" in capsys.readouterr().err
    (tmp_path / "env.json").write_text("{")
    assert run(["t8n", *words]) == 10
    assert f"{tmp_path}/env.json: not JSON" in capsys.readouterr().err


def evm_run(capsys, *words):
    code = run(["evm", "run", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_run_prints_what_comes_back(capsys):
    code, out, _ = evm_run(capsys, "--code", "60003560010160005260206000f3", "--input", "0x" + "00" * 31 + "29")
    assert (code, out) == (0, "0x" + "00" * 31 + "2a\n")
    code, out, _ = evm_run(capsys, "--code", "fe")
    assert (code, out) == (0, "0x\n error: invalid opcode\n")
    code, out, _ = evm_run(capsys, "60006000fd")
    assert (code, out) == (0, "0x\n error: execution reverted\n")
    code, out, _ = evm_run(capsys, "--code", "00", "--value", "1")
    assert "insufficient balance" in out


def test_run_traces(capsys):
    code, out, _ = evm_run(capsys, "--code", "5f5f", "--json", "--gas", "100")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [line.get("opName") for line in lines] == ["PUSH0", "PUSH0", "STOP", None]
    assert lines[-1] == {"output": "", "gasUsed": "0x4"}


def test_run_on_a_prestate_and_dump(capsys, tmp_path):
    genesis = {
        "config": {"chainId": 7},
        "alloc": {OTHER: {"balance": "5", "code": "0x46600055", "storage": {"0x1": "0x2"}}},
    }
    (tmp_path / "genesis.json").write_text(json.dumps(genesis))
    words = ["--prestate", str(tmp_path / "genesis.json"), "--receiver", OTHER, "--dump", "--statdump"]
    code, out, err = evm_run(capsys, *words)
    dump = json.loads(out.partition("\n")[2])
    assert code == 0
    assert dump["accounts"][OTHER]["balance"] == "5"
    assert dump["accounts"][OTHER]["storage"] == {f"0x{0:064x}": "7", f"0x{1:064x}": "2"}
    assert "EVM gas used:    22105" in err


def test_run_creates(capsys):
    # deploys one byte: 0x00
    code, out, _ = evm_run(capsys, "--code", "60016000f3", "--create", "--dump")
    assert code == 0
    accounts = json.loads(out.partition("\n")[2])["accounts"]
    assert [entry["code"] for entry in accounts.values() if "code" in entry] == ["0x00"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "there is no code"),
        (["--code", "zz"], "--code: expected hex"),
        (["--code", "00", "--codefile", "x"], "twice"),
        (["--codefile", "/none"], "cannot be read"),
        (["--code", "00", "--gas", "x"], "--gas"),
        (["--code", "00", "--fork", "Nowhere"], "Nowhere is not known"),
        (["--code", "00", "--sender", "0x1"], "--sender: expected hex"),
        (["--code", "00", "--prestate", "/none"], "cannot be read"),
    ],
)
def test_run_refuses(capsys, words, said):
    code, _, err = evm_run(capsys, *words)
    assert code == 2
    assert said in err


def test_where_the_block_fails_no_folder_is_left(tmp_path, capsys):
    """The folder of the outputs comes with the outputs."""
    surroundings = env(
        parentBeaconBlockRoot="0x" + "00" * 32, currentExcessBlobGas="0x0", blockHashes={"0": "0x" + "11" * 32}
    )
    for name, content in (("alloc", {}), ("txs", []), ("env", surroundings)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    words = [f"--input.{name}={tmp_path}/{name}.json" for name in ("alloc", "txs", "env")]
    code = run(["t8n", *words, "--state.fork", "Prague", "--output.basedir", str(tmp_path / "out")])
    assert code == 2  # the contracts that the end of a block asks are missing
    assert "SYSTEM_CONTRACT_EMPTY" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_difficulty_that_no_header_holds(t8n):
    """Two to the power of the block number: found by broken files, it took all memory."""
    far = env(currentNumber=hex(2**64 - 1), currentRandom=None, parentDifficulty="0x20000", parentTimestamp="1")
    code, said = t8n(env=far, fork="Frontier")
    assert code == 3
    assert "env.currentDifficulty" in said
