"""Key files: private by mode, never overwritten, never shown."""

from pathlib import Path

import pytest

from node.keys import KeyFileError, read_key, write_key

KEY = bytes(range(1, 33))


def test_round_trip_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "k"
    write_key(path, KEY)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path) == KEY


def test_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "k"
    write_key(path, KEY)
    with pytest.raises(FileExistsError):
        write_key(path, KEY)


def test_refuses_files_that_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "k"
    write_key(path, KEY)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        read_key(path)


@pytest.mark.parametrize("content", ["", "zz" * 32, "01" * 31, "00" * 32, "01" * 33])
def test_refuses_what_is_no_key_without_showing_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "k"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError) as refusal:
        read_key(path)
    assert not content or content not in str(refusal.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot read"):
        read_key(tmp_path / "absent")
