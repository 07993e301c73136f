"""node.toml: what is accepted, and that every refusal names the key and the way out."""

from pathlib import Path

import pytest

from node.config import ConfigError, load_config, parse_config

MINIMAL = '[node]\ndata_dir = "d"\ngenesis = "g.json"\n'


def test_minimal_file_takes_defaults() -> None:
    config = parse_config(MINIMAL)
    assert config.rpc.host == "127.0.0.1"
    assert config.rpc.port == 8545
    assert config.node.log_level == "info"


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(MINIMAL + '[consensus]\nvalidator_key_file = "v.key"\n')
    config = load_config(path)
    assert config.node.genesis == str(tmp_path / "g.json")
    assert config.consensus.validator_key_file == str(tmp_path / "v.key")
    assert config.p2p.node_key_file == ""


def test_absolute_paths_stay(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('[node]\ndata_dir = "/var/x"\ngenesis = "/etc/g.json"\n')
    assert load_config(path).node.data_dir == "/var/x"


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("[rcp]\n", "did you mean 'rpc'"),
        ("[rpc]\nprot = 1\n", "did you mean 'port'"),
        ("[rpc]\nzzz = 1\n", "known are"),
        ('[rpc]\nport = "8545"\n', "expected int, found str"),
        ("[rpc]\nport = true\n", "expected int, found bool"),
        ("[rpc]\nport = 70000\n", "above 65535"),
        ("[rpc]\nport = -1\n", "must not be negative"),
        ('[rpc]\ncors_origins = "x"\n', "expected a list of strings"),
        ('[p2p]\nlisten = "nowhere"\n', "host:port"),
        ('[consensus]\nextra_data = "' + "x" * 33 + '"\n', "at most 32 bytes"),
        ("[rpc\n", "not TOML"),
    ],
)
def test_refusals_say_what_and_where(extra: str, words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_config(MINIMAL + extra)
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[node]\ngenesis = "g"\n', "data_dir is missing"),
        ('[node]\ndata_dir = "g"\n', "genesis is missing"),
        (MINIMAL.replace("[node]", '[node]\nlog_level = "loud"'), "none of debug"),
        (MINIMAL.replace("[node]", '[node]\nlog_format = "xml"'), "neither text nor json"),
        (
            MINIMAL.replace("[node]", '[node]\nevm = "fast"'),
            "node.evm: 'fast' is none of plain, transpiled, native, auto",
        ),
        ("rpc = 3\n", "[rpc] must be a table"),
    ],
)
def test_required_keys(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_config(text)
    assert words in str(refusal.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path / "absent.toml")
