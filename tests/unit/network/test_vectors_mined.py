"""What is not judged yet says so: blocks that were mined."""

from network.vectors.block_cases import cases_of


def test_blocks_of_mined_networks_are_counted_as_skipped() -> None:
    skipped: dict[str, int] = {}
    for network in ("Frontier", "London", "ByzantiumToConstantinopleFixAt5"):
        assert list(cases_of("f", "n", {"blocks": [], "network": network}, skipped)) == []
    assert skipped == {"Frontier": 1, "London": 1, "ByzantiumToConstantinopleFixAt5": 1}
