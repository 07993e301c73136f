"""Artifacts, call data, and what a revert says."""

import json

import pytest

from network import abi, reverts
from network.failures import BadInput
from network.load import contracts


def test_bundled_contracts_name_their_source_and_compiler():
    from importlib import resources

    assert contracts.bundled_names() == ["Counter", "DemoToken"]
    for name in contracts.bundled_names():
        folder = resources.files("network.contracts")
        content = json.loads(folder.joinpath(f"{name}.json").read_text())
        assert content["compiler"]["version"].startswith("0.8.")
        assert folder.joinpath(content["sourceName"]).is_file()
        assert contracts.bundled(name).bytecode


def test_call_data_and_results():
    token = contracts.bundled("DemoToken")
    transfer = token.function("transfer")
    assert transfer.signature == "transfer(address,uint256)"
    assert transfer.call_data_from_text(["0x" + "11" * 20, "5"]).hex() == "a9059cbb" + "11".rjust(
        26, "0"
    ) + "11" * 19 + "5".rjust(64, "0")
    assert not transfer.reads_only
    assert token.function("balanceOf").reads_only
    assert token.function("balanceOf").result((7).to_bytes(32, "big")) == [7]
    assert token.creation_data_from_text(["1"]).endswith(b"\x01")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda token: token.function("trasfer"), "transfer"),
        (lambda token: token.function("zzz"), "approve"),
        (lambda token: token.creation_data_from_text([]), "uint256"),
        (lambda token: token.function("transfer").call_data_from_text(["1"]), "2 arguments"),
    ],
)
def test_mistakes_name_the_next_step(call, words):
    with pytest.raises(BadInput) as caught:
        call(contracts.bundled("DemoToken"))
    assert words in caught.value.message + caught.value.hint


def test_overloads_are_told_apart():
    functions = [contracts.parse_signature("f(uint256)"), contracts.parse_signature("f(uint256,bool)")]
    assert contracts.find_function(functions, "f", 2, "C").inputs == ("uint256", "bool")
    assert contracts.find_function(functions, "f(uint256)", None, "C").inputs == ("uint256",)
    with pytest.raises(BadInput, match="overloaded"):
        contracts.find_function(functions, "f", None, "C")


def test_signatures():
    function = contracts.parse_signature("balanceOf(address)(uint)")
    assert (function.inputs, function.outputs, function.reads_only) == (("address",), ("uint256",), True)
    assert not contracts.parse_signature("setNumber(uint256)").reads_only
    for wrong in ("balanceOf", "f(uint7)", "(uint256)", "f(uint256"):
        with pytest.raises(BadInput):
            contracts.parse_signature(wrong)


def test_reverts_in_words():
    token = contracts.bundled("DemoToken")
    who = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    custom = abi.selector("ERC20InsufficientBalance(address,uint256,uint256)") + abi.encode(
        ["address", "uint256", "uint256"], [who, 1, 2]
    )
    assert reverts.explain_revert(custom, token.abi) == f"ERC20InsufficientBalance(sender={who}, balance=1, needed=2)"
    assert reverts.explain_revert(custom) == "0x" + custom.hex()
    text = reverts.ERROR_SELECTOR + abi.encode(["string"], ["Counter: already zero"])
    assert reverts.explain_revert(text) == "Counter: already zero"
    panic = reverts.PANIC_SELECTOR + abi.encode(["uint256"], [0x11])
    assert "overflow" in reverts.explain_revert(panic)
    assert reverts.explain_revert(b"") == "no reason given"
    assert reverts.explain_revert(reverts.ERROR_SELECTOR + b"\xff") == "0x08c379a0ff"


def test_artifacts_of_other_tools(tmp_path):
    foundry = tmp_path / "C.json"
    foundry.write_text(json.dumps({"abi": [], "bytecode": {"object": "0x6000"}}))
    assert contracts.load_artifact(str(foundry)).bytecode == b"\x60\x00"
    assert contracts.load_artifact("examples/Counter.json").name == "Counter"
    assert contracts.load_artifact("Counter").name == "Counter"


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        '{"abi": 1}',
        '{"abi": [1], "bytecode": "0x"}',
        '{"abi": [], "bytecode": "0xzz"}',
        '{"abi": [], "bytecode": "73__$a$__"}',
        '{"abi": [], "bytecode": 5}',
    ],
)
def test_broken_artifacts_are_refused(tmp_path, content):
    path = tmp_path / "C.json"
    path.write_text(content)
    with pytest.raises(BadInput):
        contracts.load_artifact(str(path))
    with pytest.raises(BadInput, match="no such artifact"):
        contracts.load_artifact(str(tmp_path / "none.json"))
