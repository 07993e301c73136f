"""Calls, logs, reverts and storage in words: what is known is named, what is hostile is text, all of it is bounded."""

import pytest

from network import abi
from network.abi import AbiError, encode, selector
from network.load.contracts import bundled
from network.page.decoding import TEXT_MAX, Contracts, decoded, printable
from network.page.storage_layout import ITEMS_MAX, ROWS_MAX, SLOTS_MAX, StorageReader
from node.crypto.hashes import keccak256

ALICE, BOB = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
TOKEN = "0x" + "5f" * 20


@pytest.fixture
def contracts(make_run):
    run = make_run("known")
    token = bundled("DemoToken")
    run.add_contract("Coin", TOKEN, token.abi, token.layout)
    return Contracts.read(run)


def test_a_call_is_named_by_its_contract(contracts):
    data = selector("transfer(address,uint256)") + encode(["address", "uint256"], [BOB, 5])
    told = contracts.call(contracts.of(TOKEN), data, encode(["bool"], [True]))
    assert (told["name"], told["guess"]) == ("transfer", False)
    assert [(one["name"], one["value"]) for one in told["arguments"]] == [("to", BOB), ("value", "5")]
    assert told["results"][0]["value"] == "true"
    assert contracts.call(None, data)["guess"] is True
    assert contracts.call(None, b"\x01\x02\x03\x04") is None
    assert contracts.call(contracts.of(TOKEN), data[:20]) is None  # cut off: not what its selector promises
    assert contracts.call(None, b"") is None


def test_a_contract_is_known_by_address_code_or_genesis(contracts):
    assert contracts.of(TOKEN.upper().replace("0X", "0x")).origin == "deployed here"
    code = "0x" + bundled("Counter").runtime_code.hex()
    assert (contracts.of("0x" + "77" * 20, code).name, contracts.of("0x" + "77" * 20, "0x60")) == ("Counter", None)
    assert contracts.name_of("0x00000000000000000000000000000000005e7000") == "Validators"
    assert contracts.name_of("0x0000F90827F1C53a10cb7A02335B175320002935").startswith("Block hashes")
    assert contracts.of(None) is None


def test_an_event_takes_fields_from_topics_and_data(contracts):
    topics = ["0x" + keccak256(b"Transfer(address,address,uint256)").hex()]
    topics += ["0x" + encode(["address"], [one]).hex() for one in (ALICE, BOB)]
    told = contracts.event(contracts.of(TOKEN), topics, encode(["uint256"], [7]))
    assert [(one["name"], one["value"]) for one in told["arguments"]] == [("from", ALICE), ("to", BOB), ("value", "7")]
    assert contracts.event(None, topics, encode(["uint256"], [7]))["guess"] is True
    for wrong in ([], topics[:1], topics[:2], [*topics, topics[1]], [topics[0], "0xzz", topics[2]]):
        assert contracts.event(contracts.of(TOKEN), wrong, encode(["uint256"], [7])) is None
    assert contracts.event(contracts.of(TOKEN), topics, b"") is None


def test_what_does_not_fit_a_topic_is_a_hash(contracts):
    entry = {"type": "event", "name": "Said", "inputs": [{"name": "what", "type": "string", "indexed": True}]}
    speaker = "0x" + "66" * 20
    contracts.by_address[speaker] = type(contracts.of(TOKEN))("Speaker", "test", [entry])
    topics = ["0x" + keccak256(b"Said(string)").hex(), "0x" + "ab" * 32]
    told = contracts.event(contracts.of(speaker), topics, b"")
    assert told["arguments"][0]["value"] == "hash 0x" + "ab" * 32


def test_reverts_are_named(contracts):
    data = selector("ERC20InsufficientBalance(address,uint256,uint256)")
    data += encode(["address", "uint256", "uint256"], [ALICE, 1, 2])
    assert contracts.revert(None, data) == f"ERC20InsufficientBalance(sender={ALICE}, balance=1, needed=2)"
    reason = selector("Error(string)") + encode(["string"], ["<b>no</b>\u202e\n"])
    assert contracts.revert(None, reason) == "<b>no</b>\\u{202e}\\u{a}"


def test_text_shows_what_it_is():
    assert printable("plain ü 漢 🙂") == "plain ü 漢 🙂"
    assert printable("a\u202eb\u2066c\x1b[31m\u200f\ue000\r\n\x00") == (
        "a\\u{202e}b\\u{2066}c\\u{1b}[31m\\u{200f}\\u{e000}\\u{d}\\u{a}\\u{0}"
    )
    assert printable("x" * (TEXT_MAX + 1)) == "x" * TEXT_MAX + "…"


def test_lists_of_lists_that_claim_the_same_bytes_are_refused():
    # every item of the outer list points at the same inner list: small data, a million values
    inner = encode(["uint256[]"], [[1] * 1_000])[32:]
    outer = (1_000).to_bytes(32, "big") + (32_000).to_bytes(32, "big") * 1_000 + inner
    data = (32).to_bytes(32, "big") + outer
    with pytest.raises(AbiError, match="claims"):
        abi.decode(["uint256[][]"], data, 20_000)
    with pytest.raises(AbiError, match="claims"):
        abi.decode(["uint256[][]"], data)
    assert decoded([{"name": "x", "type": "uint256[][]"}], data) is None
    strings = (100).to_bytes(32, "big") + (3_200).to_bytes(32, "big") * 100 + encode(["bytes"], [b"x" * 32_000])[32:]
    with pytest.raises(AbiError, match="claims"):
        abi.decode(["bytes[]"], (32).to_bytes(32, "big") + strings, 20_000)
    assert abi.decode(["uint256[][]"], encode(["uint256[][]"], [[[1, 2], [3]]])) == [[[1, 2], [3]]]


# ---- storage


class Slots:
    """Storage, and how much of it was asked for."""

    def __init__(self, words):
        self.words, self.asked = words, 0

    def fetch(self, slots):
        self.asked += len(slots)
        return [self.words.get(slot, 0) for slot in slots]


def at(*parts):
    return int.from_bytes(keccak256(b"".join(parts)), "big")


def word(number):
    return number.to_bytes(32, "big")


def variable(label, slot, kind, offset=0):
    return {"label": label, "slot": str(slot), "offset": offset, "type": kind}


TYPES = {
    "t_uint256": {"encoding": "inplace", "label": "uint256", "numberOfBytes": "32"},
    "t_uint64": {"encoding": "inplace", "label": "uint64", "numberOfBytes": "8"},
    "t_int8": {"encoding": "inplace", "label": "int8", "numberOfBytes": "1"},
    "t_bool": {"encoding": "inplace", "label": "bool", "numberOfBytes": "1"},
    "t_address": {"encoding": "inplace", "label": "address", "numberOfBytes": "20"},
    "t_bytes4": {"encoding": "inplace", "label": "bytes4", "numberOfBytes": "4"},
    "t_string": {"encoding": "bytes", "label": "string", "numberOfBytes": "32"},
    "t_list": {"encoding": "dynamic_array", "label": "uint64[]", "numberOfBytes": "32", "base": "t_uint64"},
    "t_array(t_uint256)3_storage": {
        "encoding": "inplace",
        "label": "uint256[3]",
        "numberOfBytes": "96",
        "base": "t_uint256",
    },
    "t_point": {
        "encoding": "inplace",
        "label": "struct C.Point",
        "numberOfBytes": "64",
        "members": [variable("x", 0, "t_uint256"), variable("on", 1, "t_bool")],
    },
    "t_map": {
        "encoding": "mapping",
        "label": "mapping(address => uint256)",
        "numberOfBytes": "32",
        "key": "t_address",
        "value": "t_uint256",
    },
    "t_maps": {
        "encoding": "mapping",
        "label": "mapping(uint256 => mapping(address => uint256))",
        "numberOfBytes": "32",
        "key": "t_uint256",
        "value": "t_map",
    },
    "t_points": {
        "encoding": "mapping",
        "label": "mapping(address => struct C.Point)",
        "numberOfBytes": "32",
        "key": "t_address",
        "value": "t_point",
    },
}


def read(variables, words, keys=()):
    slots = Slots(words)
    reader = StorageReader({"storage": variables, "types": TYPES}, slots.fetch, keys)
    rows = {row["name"]: row["value"] for row in reader.read()}
    return rows, reader, slots


def test_small_values_share_a_slot():
    packed = int.from_bytes(
        bytes(2) + bytes.fromhex("deadbeef") + b"\x01" + b"\xfe" + bytes.fromhex(ALICE[2:])[:20], "big"
    )
    variables = [
        variable("owner", 0, "t_address"),
        variable("delta", 0, "t_int8", 20),
        variable("open", 0, "t_bool", 21),
        variable("id", 0, "t_bytes4", 22),
    ]
    rows, reader, slots = read(variables, {0: packed})
    assert rows == {"owner": ALICE, "delta": "-2", "open": "true", "id": "0xdeadbeef"}
    assert slots.asked == 1
    assert reader.complete


def test_strings_lists_structs_and_arrays():
    long = "a text of more than thirty-one bytes, in two slots"
    words = {
        0: int.from_bytes(b"short".ljust(31, b"\0") + bytes([10]), "big"),
        1: 2 * len(long) + 1,
        at(word(1)): int.from_bytes(long.encode()[:32], "big"),
        at(word(1)) + 1: int.from_bytes(long.encode()[32:].ljust(32, b"\0"), "big"),
        2: 5,
        at(word(2)): 1 | 2 << 64 | 3 << 128 | 4 << 192,
        at(word(2)) + 1: 5,
        3: 30,
        4: 1,
        5: 7,
        7: 9,
    }
    variables = [
        variable("short", 0, "t_string"),
        variable("long", 1, "t_string"),
        variable("list", 2, "t_list"),
        variable("point", 3, "t_point"),
        variable("three", 5, "t_array(t_uint256)3_storage"),
    ]
    rows, reader, _ = read(variables, words)
    assert (rows["short"], rows["long"]) == ("short", long)
    assert [rows[f"list[{index}]"] for index in range(5)] == ["1", "2", "3", "4", "5"]
    assert (rows["list.length"], rows["point.x"], rows["point.on"]) == ("5", "30", "true")
    assert [rows[f"three[{index}]"] for index in range(3)] == ["7", "0", "9"]
    assert reader.complete


def test_mappings_show_what_is_set_for_the_keys_that_are_tried():
    padded = {name: bytes(12) + bytes.fromhex(name[2:]) for name in (ALICE, BOB)}
    inner = word(at(word(7), word(1)))
    words = {
        at(padded[ALICE], word(0)): 11,
        at(padded[BOB], inner): 22,
        at(padded[BOB], word(2)) + 1: 1,
    }
    variables = [variable("balance", 0, "t_map"), variable("votes", 1, "t_maps"), variable("points", 2, "t_points")]
    keys = [ALICE, BOB, "7", "0xzz", "nonsense"]
    rows, _, _ = read(variables, words, keys)
    assert rows == {
        f"balance[{ALICE}]": "11",
        f"votes[7][{BOB}]": "22",
        f"points[{BOB}].x": "0",
        f"points[{BOB}].on": "true",
    }
    nothing, _, _ = read(variables, {}, keys)
    assert set(nothing.values()) == {"nothing set for the keys that were tried"}


def test_reading_is_bounded():
    rows, reader, slots = read([variable("list", 0, "t_list")], {0: 2**255})
    assert len(rows) == ITEMS_MAX + 1
    many = [variable(f"v{index}", index, "t_uint256") for index in range(2_000)]
    rows, reader, slots = read(many, {})
    assert (len(rows), reader.complete) == (ROWS_MAX, False)
    assert slots.asked <= SLOTS_MAX
    texts = [variable(f"t{index}", index, "t_string") for index in range(40)]  # few rows, many slots
    rows, reader, slots = read(texts, dict.fromkeys(range(40), 2**256 - 1))
    assert (slots.asked <= SLOTS_MAX, reader.complete) == (True, False)
    huge, reader, slots = read([variable("text", 0, "t_string")], {0: 2**256 - 1})
    assert slots.asked <= ITEMS_MAX + 1
    assert len(huge["text"]) <= TEXT_MAX * 8
    empty = {"encoding": "inplace", "label": "struct", "members": [variable("m", 0, "t0")] * 300}
    nest = {f"t{level}": empty | {"members": [variable("m", 0, f"t{level + 1}")] * 300} for level in range(3)}
    nest["t3"] = {"encoding": "inplace", "label": "struct", "members": []}
    reader = StorageReader({"storage": [variable("x", 0, "t0")], "types": nest}, Slots({}).fetch)
    assert (reader.read(), reader.complete) == ([], False)


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"storage": 7, "types": []},
        {"storage": [{}], "types": {}},
        {"storage": [variable("x", "9" * 90, "t_uint256")], "types": TYPES},
        {"storage": [variable("x", 0, "t_none")], "types": TYPES},
        {"storage": [variable("x", 0, "t")], "types": {"t": {"encoding": "inplace", "label": "t", "members": 3}}},
        {
            "storage": [variable("x", 0, "t")],
            "types": {"t": {"encoding": "inplace", "label": "t", "members": [variable("x", 0, "t")]}},
        },
        {
            "storage": [variable("x", 0, "t)9_x")],
            "types": {"t)9_x": {"encoding": "inplace", "label": "t", "base": "t)9_x", "numberOfBytes": "0"}},
        },
        {
            "storage": [variable("x", 0, "t")],
            "types": {"t": {"encoding": "inplace", "label": "t", "numberOfBytes": -1}},
        },
    ],
)
def test_layouts_that_no_compiler_wrote(layout):
    reader = StorageReader(layout, Slots({0: 5}).fetch, [ALICE])
    reader.read()
    assert len(reader.rows) <= ROWS_MAX
