"""Reading chain configurations, and fork identifiers."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from node.forks.schedule import SPECS_BY_NAME, ForkSchedule, ScheduleError, fork_id
from node.primitives.scalars import Hash32

ALL_AT_ZERO = {
    "chainId": 1337,
    "homesteadBlock": 0,
    "eip150Block": 0,
    "londonBlock": 0,
    "mergeNetsplitBlock": 0,
    "terminalTotalDifficulty": 0,
    "terminalTotalDifficultyPassed": True,
    "shanghaiTime": 0,
    "cancunTime": 0,
    "pragueTime": 0,
    "osakaTime": 0,
}


def test_everything_from_the_start() -> None:
    schedule = ForkSchedule.from_config(ALL_AT_ZERO)
    assert schedule.spec_at(0, 0) == SPECS_BY_NAME["Osaka"]


def test_nothing_planned_is_the_merge() -> None:
    assert ForkSchedule.from_config({"chainId": 5}).spec_at(10, 2**40).name == "Paris"


def test_each_fork_from_its_second_on() -> None:
    config = {
        "shanghaiTime": 10,
        "cancunTime": 20,
        "pragueTime": 20,
        "osakaTime": 40,
        "bpo1Time": 50,
        "bpo2Time": 60,
        "unrelated": {"x": 1},
    }
    schedule = ForkSchedule.from_config(config)
    names = {time: schedule.spec_at(1, time).name for time in (0, 9, 10, 19, 20, 39, 40, 49, 50, 59, 60, 10**12)}
    assert list(names.values()) == [
        "Paris",
        "Paris",
        "Shanghai",
        "Shanghai",
        "Prague",
        "Prague",
        "Osaka",
        "Osaka",
        "BPO1",
        "BPO1",
        "BPO2",
        "BPO2",
    ]


def test_blob_schedule_overrides_and_names_further_forks() -> None:
    config = {
        **ALL_AT_ZERO,
        "bpo2Time": 5,
        "bpo3Time": 9,
        "blobSchedule": {
            "osaka": {"target": 1, "max": 2, "baseFeeUpdateFraction": 3},
            "bpo3": {"target": 30, "max": 40, "baseFeeUpdateFraction": 50},
            "amsterdam": {"target": 1, "max": 2, "baseFeeUpdateFraction": 3},
        },
    }
    schedule = ForkSchedule.from_config(config)
    osaka, bpo2, bpo3 = (schedule.spec_at(1, time) for time in (0, 5, 9))
    assert osaka.blobs is not None
    assert (osaka.blobs.target, osaka.blobs.max, osaka.blobs.base_fee_update_fraction) == (1, 2, 3)
    assert osaka.blobs.max_per_transaction == 6  # no matter of the schedule
    assert bpo2 == SPECS_BY_NAME["BPO2"]
    assert bpo3.name == "BPO3"
    assert bpo3.blobs is not None
    assert bpo3.blobs.target == 30
    assert bpo3.instructions == bpo2.instructions


def test_deposit_contract() -> None:
    config = {**ALL_AT_ZERO, "depositContractAddress": "0x" + "12" * 20}
    schedule = ForkSchedule.from_config(config)
    assert schedule.spec_at(1, 0).requests[0].address == b"\x12" * 20
    assert schedule.spec_at(1, 0).requests[1:] == SPECS_BY_NAME["Osaka"].requests[1:]


@pytest.mark.parametrize(
    "config",
    [
        {},
        ALL_AT_ZERO,
        {"shanghaiTime": 3, "cancunTime": 4},
        {**ALL_AT_ZERO, "bpo1Time": 7, "depositContractAddress": "0x" + "12" * 20},
        {**ALL_AT_ZERO, "bpo5Time": 7, "blobSchedule": {"bpo5": {"target": 1, "max": 1, "baseFeeUpdateFraction": 1}}},
    ],
)
def test_to_config_and_back(config: dict[str, Any]) -> None:
    schedule = ForkSchedule.from_config(config)
    again = ForkSchedule.from_config(schedule.to_config())
    assert again.activations == schedule.activations
    assert again.to_config() == schedule.to_config()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"londonBlock": 5}, r"londonBlock: set, but the fork before it \(eip155Block\) is not"),
        ({"terminalTotalDifficulty": -1}, "terminalTotalDifficulty: -1 is out of range"),
        ({"terminalTotalDifficultyPassed": False}, "terminalTotalDifficultyPassed"),
        ({"cancunTime": None}, r"pragueTime: set, but the fork before it \(cancunTime\) is not"),
        ({"osakaTime": 5, "pragueTime": 6}, "osakaTime: 5 is before pragueTime: 6"),
        ({"bpo1Time": 6, "bpo2Time": 5}, "bpo2Time: 5 is before bpo1Time: 6"),
        ({"osakaTime": "soon"}, "osakaTime: 'soon' is not a number"),
        ({"osakaTime": -1}, "osakaTime: -1 is out of range"),
        ({"osakaTime": 2**64}, "osakaTime: .* is out of range"),
        ({"osakaTime": 1.5}, "osakaTime: expected a number"),
        ({"osakaTime": True}, "osakaTime: expected a number"),
        ({"amsterdamTime": 0}, "amsterdamTime: no such fork is known here"),
        ({"osakTime": 0}, "osakTime: no such fork"),
        ({"bpo3Time": 0}, "blobSchedule.bpo3: missing, and bpo3Time is set"),
        ({"blobSchedule": 7}, "blobSchedule: expected an object"),
        ({"blobSchedule": {"cancn": {}}}, "blobSchedule.cancn: no such fork"),
        ({"blobSchedule": {"cancun": 7}}, "blobSchedule.cancun: expected an object"),
        ({"blobSchedule": {"cancun": {"target": 1, "max": 2}}}, "blobSchedule.cancun.baseFeeUpdateFraction: missing"),
        (
            {"blobSchedule": {"cancun": {"target": 3, "max": 2, "baseFeeUpdateFraction": 1}}},
            "blobSchedule.cancun: max 2 is below target 3",
        ),
        (
            {"blobSchedule": {"cancun": {"target": 1, "max": 2, "baseFeeUpdateFraction": 0}}},
            "blobSchedule.cancun.baseFeeUpdateFraction: must not be 0",
        ),
        ({"depositContractAddress": "0x12"}, "depositContractAddress"),
    ],
)
def test_nonsense_is_named(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ScheduleError, match=complaint):
        ForkSchedule.from_config({**ALL_AT_ZERO, **changes})


def test_numbers_as_text() -> None:
    schedule = ForkSchedule.from_config({**ALL_AT_ZERO, "osakaTime": "0x10", "bpo1Time": "17"})
    assert [schedule.spec_at(1, time).name for time in (15, 16, 17)] == ["Prague", "Osaka", "BPO1"]


# Ethereum's main network, as EIP-2124 and EIP-6122 list it
MAINNET = bytes.fromhex("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3")
BLOCKS = [1150000, 1920000, 2463000, 2675000, 4370000, 7280000, 7280000, 9069000, 9200000, 12244000, 12965000]
BLOCKS += [13773000, 15050000]
TIMES = [1681338455, 1710338135]


@pytest.mark.parametrize(
    ("number", "time", "checksum", "following"),
    [
        (0, 0, "fc64ec04", 1150000),
        (1149999, 0, "fc64ec04", 1150000),
        (1150000, 0, "97c2c34c", 1920000),
        (1920000, 0, "91d1f948", 2463000),
        (2463000, 0, "7a64da13", 2675000),
        (2675000, 0, "3edd5b10", 4370000),
        (4370000, 0, "a00bc324", 7280000),
        (7280000, 0, "668db0af", 9069000),
        (9069000, 0, "879d6e30", 9200000),
        (9200000, 0, "e029e991", 12244000),
        (12244000, 0, "0eb440f6", 12965000),
        (12965000, 0, "b715077d", 13773000),
        (13773000, 0, "20c327fc", 15050000),
        (15050000, 0, "f0afd0e3", 1681338455),
        (20000000, 1681338455, "dce96c2d", 1710338135),
        (20000000, 1710338135, "9f3d2254", 0),
    ],
)
def test_mainnet_fork_ids(number: int, time: int, checksum: str, following: int) -> None:
    found = fork_id(MAINNET, BLOCKS, TIMES, number, time)
    assert (found.hash.hex(), found.next) == (checksum, following)


def test_fork_id_of_a_schedule_leaves_out_what_rules_at_genesis() -> None:
    schedule = ForkSchedule.from_config({"shanghaiTime": 0, "cancunTime": 100, "pragueTime": 200})
    genesis = Hash32(b"\x01" * 32)
    assert schedule.fork_id(genesis, 100, 150) == fork_id(genesis, [], [200], 0, 150)
    assert schedule.fork_id(genesis, 0, 150) == fork_id(genesis, [], [100, 200], 0, 150)
    assert schedule.fork_id(genesis, 0, 150).next == 200


# --- forks by number and the Merge ---

MINED: dict[str, Any] = {
    "homesteadBlock": 1,
    "eip150Block": 2,
    "eip155Block": 3,
    "eip158Block": 3,
    "byzantiumBlock": 4,
    "constantinopleBlock": 5,
    "istanbulBlock": 7,
    "berlinBlock": 8,
    "londonBlock": 8,
    "terminalTotalDifficulty": 1000,
    "shanghaiTime": 100,
}


def test_forks_by_number() -> None:
    schedule = ForkSchedule.from_config(MINED)
    assert not schedule.starts_merged
    assert [schedule.spec_at(number, 0).name for number in range(9)] == [
        "Frontier",
        "Homestead",
        "Tangerine Whistle",
        "Spurious Dragon",
        "Byzantium",
        "Petersburg",  # not set: with the fork that it corrects
        "Petersburg",
        "Istanbul",
        "London",
    ]


@pytest.mark.parametrize(
    ("number", "time", "total_difficulty", "name"),
    [
        (9, 50, 999, "London"),
        (9, 50, 1000, "Paris"),
        (9, 100, 1000, "Shanghai"),
        (9, 100, 999, "London"),
        (0, 0, 1000, "Frontier"),
        (9, 50, None, "London"),
        (9, 100, None, "Shanghai"),
    ],
)
def test_merge_by_total_difficulty(number: int, time: int, total_difficulty: int | None, name: str) -> None:
    assert ForkSchedule.from_config(MINED).spec_at(number, time, total_difficulty).name == name


def test_merge_by_number_asks_no_difficulty() -> None:
    schedule = ForkSchedule.from_config({**MINED, "mergeNetsplitBlock": 10})
    assert [schedule.spec_at(number, 0, 10**9).name for number in (9, 10)] == ["London", "Paris"]


def test_a_chain_that_never_merges() -> None:
    schedule = ForkSchedule.from_config({"homesteadBlock": 5})
    assert [schedule.spec_at(number, 2**40, 10**30).name for number in (4, 5)] == ["Frontier", "Homestead"]
    assert ForkSchedule.from_config({"terminalTotalDifficulty": 7}).spec_at(1, 0, 6).name == "Frontier"


@pytest.mark.parametrize("changes", [{}, {"mergeNetsplitBlock": 10}, {"terminalTotalDifficulty": None}])
def test_numbers_to_config_and_back(changes: dict[str, Any]) -> None:
    schedule = ForkSchedule.from_config({**MINED, **changes})
    assert ForkSchedule.from_config(schedule.to_config()) == schedule


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"berlinBlock": 9}, "londonBlock: 8 is before berlinBlock: 9"),
        ({"eip155Block": 2}, "eip155Block and eip158Block: one fork here"),
        ({"daoForkBlock": 1, "daoForkSupport": True}, "daoForkSupport"),
        ({"terminalTotalDifficulty": 0}, "terminalTotalDifficulty: 0 merges at genesis"),
        ({"londonBlock": None, "arrowGlacierBlock": 9}, r"arrowGlacierBlock: set, but the .*londonBlock"),
    ],
)
def test_nonsense_in_numbers(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ScheduleError, match=complaint):
        ForkSchedule.from_config({**MINED, **changes})


def test_mainnet_schedule() -> None:
    keys = ["homestead", "daoFork", "eip150", "eip158", "byzantium", "constantinople", "petersburg", "istanbul"]
    keys += ["muirGlacier", "berlin", "london", "arrowGlacier", "grayGlacier"]
    config: dict[str, Any] = {key + "Block": block for key, block in zip(keys, BLOCKS, strict=True)}
    config |= {"eip155Block": config["eip158Block"], "terminalTotalDifficulty": 58750000000000000000000}
    config |= {"shanghaiTime": TIMES[0], "cancunTime": TIMES[1]}
    schedule = ForkSchedule.from_config(config)
    for number, time in ((0, 0), (7280000, 0), (15050000, 0), (20000000, TIMES[0]), (20000000, TIMES[1])):
        assert schedule.fork_id(Hash32(MAINNET), 0, time, number) == fork_id(MAINNET, BLOCKS, TIMES, number, time)
    assert [schedule.spec_at(number, 0).name for number in (1149999, 1150000, 4370000, 12965000, 15050000)] == [
        "Frontier",
        "Homestead",
        "Byzantium",
        "London",
        "Gray Glacier",
    ]


def test_the_rpc_chain_names_every_fork() -> None:
    archive = Path(__file__).parents[4] / "shared/rpc-compat/chain.tar.xz"
    if not archive.exists():
        pytest.skip("the rpc-compat chain is not here")
    with tarfile.open(archive) as tar:
        genesis = tar.extractfile("genesis.json") or tar.extractfile("./genesis.json")
        assert genesis is not None
        schedule = ForkSchedule.from_config(json.load(genesis)["config"])
    # every fork lasts three blocks, and a block takes ten seconds
    names = [schedule.spec_at(number, 10 * number).name for number in range(0, 55, 3)]
    assert names == [name for name in SPECS_BY_NAME if name != "Frontier"]
