"""statetest and blocktest: what they tell, their exit codes, and input that nobody should trust."""

import io
import json
import tarfile

import pytest

from network.__main__ import run
from network.vectors.allocations import differences, read_alloc
from network.vectors.fields import FieldError, FixtureError, data, number
from network.vectors.networks import network_named, same_network, spec_named
from network.vectors.transaction_json import read_transaction
from node.chain.genesis import GenesisError, genesis_from_json
from node.crypto.hashes import keccak256
from node.primitives import rlp
from node.primitives.scalars import Address
from node.state.genesis_state import GenesisAccount, state_from_alloc

KEY = "0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8"
SENDER = "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b"
CONTRACT = "0x1000000000000000000000000000000000000000"
COINBASE = "0x2adc25665018aa1fe0e6bc666dac8fc2697ff9ba"
NO_LOGS = "0x" + keccak256(rlp.encode([])).hex()


def account(balance=0, nonce=0, code="0x", storage=None):
    return {"balance": hex(balance), "nonce": hex(nonce), "code": code, "storage": storage or {}}


def state_test(**changes):
    """A call to a contract that stores 7 at slot 1; gas price 10, base fee 10, so nobody earns."""
    gas = 21_000 + 3 + 3 + 22_100
    after = {
        SENDER: account(10**18 - gas * 10, 1),
        CONTRACT: account(code="0x600760015500", storage={"0x01": "0x07"}),
    }
    root = state_from_alloc(read_alloc(after, "post")).root
    post = {"hash": "0x" + root.hex(), "logs": NO_LOGS, "indexes": {"data": 0, "gas": 0, "value": 0}, "state": after}
    post.update(changes.pop("post", {}))
    test = {
        "env": {
            "currentCoinbase": COINBASE,
            "currentNumber": "0x01",
            "currentTimestamp": "1000",
            "currentGasLimit": "0x1c9c380",
            "currentRandom": "0x00",
            "currentBaseFee": "0x0a",
        },
        "pre": {SENDER: account(10**18), CONTRACT: account(code="0x600760015500")},
        "transaction": {
            "nonce": "0x00",
            "gasPrice": "0x0a",
            "gasLimit": ["0x0186a0"],
            "to": CONTRACT,
            "value": ["0x00"],
            "data": ["0x"],
            "secretKey": KEY,
        },
        "post": {"Shanghai": [post]},
    }
    test.update(changes)
    return test


@pytest.fixture
def outcome(capsys, tmp_path):
    def run_it(command, content, *words):
        file = tmp_path / "vector.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        code = run([command, str(file), *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_it


def test_a_case_that_passes(outcome):
    code, out, _ = outcome("statetest", {"stores": state_test()})
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["fork", "passed", "failed"],
        ["Shanghai", "1", "0"],
        ["all", "1", "0"],
    ]


def test_json_has_the_fields_of_geth(outcome):
    code, out, _ = outcome("statetest", {"stores": state_test()}, "--json", "--dump")
    (case,) = json.loads(out)
    assert code == 0
    assert (case["name"], case["pass"], case["fork"], case["index"]) == ("stores", True, "Shanghai", 0)
    assert case["stateRoot"] == state_test()["post"]["Shanghai"][0]["hash"]
    assert "error" not in case
    assert case["state"][CONTRACT]["storage"] == {f"0x{1:064x}": f"0x{7:064x}"}


def test_a_failure_says_what_differs(outcome):
    expected = {
        SENDER: account(10**18 - 1, 2),
        CONTRACT: account(code="0x6007600155", storage={"0x01": "0x08"}),
        COINBASE: account(5),
    }
    wrong = state_test(post={"hash": "0x" + "11" * 32, "state": expected})
    code, out, _ = outcome("statetest", {"stores": wrong})
    assert code == 1
    line = out.splitlines()[0]
    assert f"account {CONTRACT} code 0x600760015500 (6 bytes), expected 0x6007600155 (5 bytes)" in line
    assert f"account {CONTRACT} slot 0x1 is 0x7, expected 0x8" in line
    assert f"account {SENDER} balance" in line
    assert f"account {SENDER} nonce 1, expected 2" in line
    assert f"account {COINBASE} is missing" in line


def test_other_logs_and_accepted_transactions_fail(outcome):
    code, out, _ = outcome("statetest", {"stores": state_test(post={"logs": "0x" + "22" * 32})})
    assert code == 1
    assert "hash of 0 logs" in out
    code, out, _ = outcome("statetest", {"stores": state_test(post={"expectException": "TransactionException.X"})})
    assert code == 1
    assert "transaction accepted, expected TransactionException.X" in out


@pytest.mark.parametrize(
    ("named", "same"), [("NONCE_MISMATCH_TOO_HIGH", True), ("NONCE_MISMATCH_TOO_LOW", False), ("OTHER|X", False)]
)
def test_the_name_of_a_refusal_is_told_and_does_not_fail(outcome, named, same):
    test = state_test()
    root = state_from_alloc(read_alloc(test["pre"], "pre")).root
    test["transaction"]["nonce"] = "0x05"
    test["post"]["Shanghai"][0].update(
        expectException=f"TransactionException.{named}", hash="0x" + root.hex(), state=test["pre"]
    )
    code, out, _ = outcome("statetest", {"refused": test}, "--json")
    (case,) = json.loads(out)
    assert code == 0
    assert case["exception"] == "TransactionException.NONCE_MISMATCH_TOO_HIGH"
    assert case["exceptionAsNamed"] is same


def test_selection_by_fork_and_name(outcome):
    content = {"one": state_test(), "two": state_test()}
    code, out, _ = outcome("statetest", content, "--run", "^two$", "--json")
    assert (code, [case["name"] for case in json.loads(out)]) == (0, ["two"])
    code, _, err = outcome("statetest", content, "--fork", "Cancun")
    assert (code, err) == (2, "error: no case was selected\n")
    code, _, err = outcome("statetest", content, "--fork", "Nowhere")
    assert code == 2
    assert "Nowhere is not known" in err
    code, _, err = outcome("statetest", content, "--run", "(")
    assert code == 2
    assert "regular expression" in err


def test_forks_of_the_future_are_counted_not_run(outcome):
    test = state_test()
    test["post"]["Amsterdam"] = [{}, {}]
    code, out, _ = outcome("statetest", {"later": test})
    assert code == 0
    assert "skipped: 2 of Amsterdam" in out


def test_trace_is_eip_3155(outcome):
    code, _, err = outcome("statetest", {"stores": state_test()}, "--trace")
    lines = [json.loads(line) for line in err.splitlines()]
    assert code == 0
    assert [line["opName"] for line in lines[:4]] == ["PUSH1", "PUSH1", "SSTORE", "STOP"]
    assert lines[2]["gasCost"] == hex(22_100)
    assert lines[2]["stack"] == ["0x7", "0x1"]
    assert lines[-1] == {"stateRoot": state_test()["post"]["Shanghai"][0]["hash"]}


def changed(path, value):
    test = state_test()
    *inside, last = path
    holder = test
    for step in inside:
        holder = holder[step]
    if value is None:
        del holder[last]
    else:
        holder[last] = value
    return {"bad": test}


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "expected an object"),
        ({"bad": 1}, "bad: expected an object"),
        ({"bad": {"blocks": []}}, "this is a blockchain test"),
        (changed(["env"], None), "bad: env: missing"),
        (changed(["env", "currentNumber"], "0x1ffffffffffffffff"), "bad: env.currentNumber: "),
        (changed(["env", "currentCoinbase"], "0x12"), "bad: env.currentCoinbase: expected 20 bytes"),
        (changed(["pre", SENDER, "balance"], "9" * 5000), f"pre.{SENDER}.balance: a number of 5000 digits"),
        (changed(["pre", SENDER, "balance"], -1), f"pre.{SENDER}.balance"),
        (changed(["pre", SENDER, "code"], "0xzz"), f"pre.{SENDER}.code: expected hex bytes"),
        (changed(["pre", SENDER, "storage"], []), f"pre.{SENDER}.storage: expected an object"),
        (changed(["pre", "0x12"], account()), "pre.0x12: expected 20 bytes"),
        (changed(["transaction", "gasLimit"], []), "post.indexes.gas: 0, and transaction.gasLimit has 0"),
        (changed(["transaction", "secretKey"], "0x" + "ff" * 32), "transaction.secretKey: not a secp256k1"),
        (changed(["post", "Shanghai"], {}), "post.Shanghai: expected an array"),
        (changed(["post", "Shanghai", 0, "hash"], "0x00"), "post.hash: expected 32 bytes"),
        (changed(["post", "Shanghai", 0, "txbytes"], 7), "post.txbytes: expected a string"),
    ],
)
def test_malformed_files_are_one_line_and_exit_code_2(outcome, content, field):
    code, _, err = outcome("statetest", content)
    assert code == 2
    assert field in err
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    assert len(err) < 400


def test_archives_and_folders(tmp_path, capsys):
    content = json.dumps({"stores": state_test()}).encode()
    folder = tmp_path / "tests"
    (folder / ".meta").mkdir(parents=True)
    (folder / ".meta" / "index.json").write_text("[]")
    (folder / "a.json").write_bytes(content)
    (folder / "note.txt").write_text("not a test")
    with tarfile.open(tmp_path / "tests.tar.gz", "w:gz") as tar:
        for name in ("./x/a.json", "./x/b.json"):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    assert run(["statetest", str(folder), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1
    assert run(["statetest", str(tmp_path / "tests.tar.gz"), "--json", "--jobs", "2"]) == 0
    assert [case["file"] for case in json.loads(capsys.readouterr().out)] == ["x/a.json", "x/b.json"]
    whole = (tmp_path / "tests.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    assert run(["statetest", str(tmp_path / "cut.tar.gz")]) == 2
    assert "not a whole tar archive" in capsys.readouterr().err
    assert run(["statetest", str(tmp_path / "nothing.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_names_from_standard_input(tmp_path, capsys, monkeypatch):
    (tmp_path / "a.json").write_text(json.dumps({"stores": state_test()}))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{tmp_path}/a.json\n\n"))
    assert run(["evm", "statetest", "--trace", "--trace.nostack=true", "--trace.memory=false"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)[0]["pass"] is True
    assert "stack" not in json.loads(captured.err.splitlines()[0])
    assert run(["evm", "statetest", "--human", str(tmp_path / "a.json")]) == 0
    assert capsys.readouterr().out.startswith("fork")


def test_network_names():
    assert network_named("Paris") is not None
    merge = network_named("Merge")
    assert merge is not None
    assert merge.spec_at(1, 1, 0).name == "Paris"
    later = network_named("ShanghaiToCancunAtTime15k")
    assert later is not None
    assert [later.spec_at(1, time, 0).name for time in (14_999, 15_000)] == ["Shanghai", "Cancun"]
    by_block = network_named("ParisToShanghaiAt5")
    assert by_block is not None
    assert [by_block.spec_at(block, 0, 0).name for block in (4, 5)] == ["Paris", "Shanghai"]
    by_difficulty = network_named("ParisToShanghaiAtDiffC0")
    assert by_difficulty is not None
    assert [by_difficulty.spec_at(1, 0, total).name for total in (0xBF, 0xC0)] == ["Paris", "Shanghai"]
    assert network_named("Shanghai To Nowhere") is None
    assert network_named("ShanghaiToNowhereAtTime15k") is None


@pytest.mark.parametrize("text", ["0x", "0x0", "0", "0x00", 0])
def test_zero_in_every_form(text):
    assert number(text, "x") == 0


@pytest.mark.parametrize("text", ["", "x", "0xg", "1_0", " 1", "-1", "0x-1", True, None, 1.5, "０", "0x" + "f" * 65])
def test_what_is_no_number(text):
    with pytest.raises(FieldError):
        number(text, "x")


@pytest.mark.parametrize("text", ["0x1", "0x 11", "zz", 1, None, "0x１１"])
def test_what_are_no_bytes(text):
    with pytest.raises(FieldError):
        data(text, "x")


def test_many_differences_are_counted():
    ours = {Address(index.to_bytes(20, "big")): GenesisAccount(balance=1) for index in range(20)}
    told = differences(ours, {})
    assert told.count("should not exist") == 8
    assert told.endswith("12 more")


def test_every_fork_has_the_names_that_fixtures_use():
    names = "Frontier Homestead EIP150 EIP158 Byzantium Constantinople ConstantinopleFix Istanbul Berlin London"
    names += " ArrowGlacier GrayGlacier Merge Paris Shanghai Cancun Prague Osaka BPO1 BPO2"
    assert [name for name in names.split() if spec_named(name) is None] == []
    assert same_network("EIP158", "SpuriousDragon")
    assert not same_network("Berlin", "London")
    assert not same_network("Nowhere", "Elsewhere")


def test_a_told_type_leaves_aside_what_it_does_not_have():
    """The differential fuzzer found it: authorizations beside a type 2 were applied."""
    tx = {
        "type": "0x2",
        "gas": "0x5208",
        "maxFeePerGas": "0x9",
        "maxFeePerBlobGas": "0x1",
        "secretKey": "0x" + "11" * 32,
    }
    tx["authorizationList"] = [{"chainId": "0x1", "address": "0x" + "22" * 20, "nonce": "0x0"}]
    tx["blobVersionedHashes"] = ["0x01" + "00" * 31]
    found = read_transaction(tx, "txs[0]", 1)
    assert (found.authorization_list, found.blob_versioned_hashes, found.max_fee_per_blob_gas) == ((), (), 0)


def test_long_keys_are_cut():
    """A file's keys may have any length; the one line about it has not."""
    with pytest.raises(FieldError) as caught:
        read_alloc({"0x" + "1" * 100_000: {}}, "alloc")
    assert len(str(caught.value)) < 300
    assert len(str(FixtureError("file.json", "z" * 100_000, "field", "why"))) < 300
    with pytest.raises(GenesisError) as refused:
        genesis_from_json({"config": {}, "alloc": {"0x" + "11" * 20: {"storage": {"z" * 100_000: "0x1"}}}})
    assert len(str(refused.value)) < 300


def test_a_file_without_end_is_not_read_to_its_end(tmp_path, capsys, monkeypatch):
    """A device, or a sparse file larger than memory."""
    monkeypatch.setattr("network.vectors.files.FILE_BYTES_MAX", 1_000_000)
    monkeypatch.setattr("network.vectors.files.READ_BYTES", 65_536)
    sparse = tmp_path / "sparse.json"
    with sparse.open("wb") as file:
        file.truncate(2**40)
    for name in ("/dev/zero", str(sparse)):
        assert run(["statetest", name]) == 2
        assert "more than 1000000 bytes" in capsys.readouterr().err
        assert run(["t8n", "--input.alloc", name, "--input.env", name, "--input.txs", name]) == 11
        assert "more than 1000000 bytes" in capsys.readouterr().err
