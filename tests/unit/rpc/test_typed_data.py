"""EIP-712 digests, as eth-account computes them."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from node.crypto.hashes import keccak256
from node.rpc.typed_data import DEPTH_MAX, InvalidTypedData, read_typed_data

MAIL: dict[str, Any] = {
    "types": {
        "EIP712Domain": [
            {"name": "name", "type": "string"},
            {"name": "version", "type": "string"},
            {"name": "chainId", "type": "uint256"},
            {"name": "verifyingContract", "type": "address"},
        ],
        "Person": [{"name": "name", "type": "string"}, {"name": "wallets", "type": "address[]"}],
        "Mail": [
            {"name": "from", "type": "Person"},
            {"name": "to", "type": "Person[]"},
            {"name": "contents", "type": "bytes"},
            {"name": "tag", "type": "bytes4"},
            {"name": "weights", "type": "int16[2]"},
            {"name": "open", "type": "bool"},
        ],
    },
    "primaryType": "Mail",
    "domain": {
        "name": "Ether Mail",
        "version": "1",
        "chainId": 1,
        "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC",
    },
    "message": {
        "from": {"name": "Cow", "wallets": ["0x" + "cd" * 20, "0x" + "de" * 20]},
        "to": [{"name": "Bob", "wallets": []}, {"name": "Eve", "wallets": ["0x" + "be" * 20]}],
        "contents": "0x0102",
        "tag": "0xdeadbeef",
        "weights": [-5, 32767],
        "open": True,
    },
}


def reference(document: dict[str, Any]) -> bytes:
    signable = encode_typed_data(full_message=document)
    return keccak256(b"\x19" + signable.version + signable.header + signable.body)


def test_a_document_with_everything() -> None:
    assert read_typed_data(MAIL).digest() == reference(MAIL)


@given(
    st.text(max_size=20),
    st.integers(0, 2**256 - 1),
    st.lists(st.integers(-(2**15), 2**15 - 1), min_size=2, max_size=2),
    st.binary(max_size=70),
    st.booleans(),
)
def test_values_of_every_kind(name: str, chain_id: int, weights: list[int], contents: bytes, is_open: bool) -> None:
    name = name.encode("utf-8", "ignore").decode()
    document = {
        **MAIL,
        "domain": {**MAIL["domain"], "chainId": chain_id},
        "message": {
            **MAIL["message"],
            "from": {"name": name, "wallets": []},
            "weights": weights,
            "contents": "0x" + contents.hex(),
            "open": is_open,
        },
    }
    assert read_typed_data(document).digest() == reference(document)


def changed(path: str, value: object) -> dict[str, Any]:
    import copy

    document = copy.deepcopy(MAIL)
    place: Any = document
    *way, last = path.split("/")
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[last] = value
    return document


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "expected an object"),
        (changed("types", 3), "types"),
        (changed("types/Person", [{"name": "x"}]), "types.Person"),
        (changed("primaryType", "Nobody"), "primaryType"),
        (changed("message/tag", "0xdead"), "message.tag"),
        (changed("message/weights", [1]), "1 items, not 2"),
        (changed("message/weights", [1, 40_000]), "does not fit into 16 bits"),
        (changed("message/weights", [1, "x"]), "expected a number"),
        (changed("message/open", 1), "true or false"),
        (changed("message/contents", "zz"), "message.contents"),
        (changed("message/from", None), None),
        (changed("message/to", {}), "expected a list"),
        (changed("types/Mail/0/type", "Nobody"), "'Nobody' is no type"),
        (changed("types/Mail/4/type", "int12[2]"), "no type"),
    ],
)
def test_what_cannot_be_hashed_is_named(document: Any, words: str | None) -> None:
    if words is None:
        assert len(read_typed_data(document).digest()) == 32
        return
    with pytest.raises(InvalidTypedData) as refusal:
        read_typed_data(document).digest()
    assert words in str(refusal.value)


def test_nesting_is_bounded() -> None:
    value: dict[str, Any] = {}
    for _ in range(DEPTH_MAX + 2):
        value = {"next": value}
    document = {
        "types": {"Node": [{"name": "next", "type": "Node"}]},
        "primaryType": "Node",
        "domain": {},
        "message": value,
    }
    with pytest.raises(InvalidTypedData, match="nested deeper"):
        read_typed_data(document).digest()


async def test_the_node_signs_for_its_accounts(rpc: Any) -> None:
    devnet = rpc.make_devnet(dev_keys={rpc.SENDER: rpc.KEY}, evmesh={"engine": "instant", "dev": True})
    sender = "0x" + rpc.SENDER.hex()
    signature = await devnet.ask("eth_signTypedData_v4", sender, MAIL)
    assert Account.recover_message(encode_typed_data(full_message=MAIL), signature=signature).lower() == sender
    import json

    assert await devnet.ask("eth_signTypedData_v4", sender, json.dumps(MAIL)) == signature
    assert (
        "message.tag" in (await devnet.error("eth_signTypedData_v4", sender, changed("message/tag", "0x")))["message"]
    )
    assert (await devnet.error("eth_signTypedData_v4", sender, "{"))["code"] == -32602
    devnet.api.close()
    devnet.backend.runtime.workers.close()
