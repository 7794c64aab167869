"""The key file: who may read it, how long it is, and that none is ever overwritten."""

import os
from pathlib import Path

import pytest

from guard.config.errors import ConfigError
from guard.config.keys import (
    EPHEMERAL_KEY_NAME,
    KEY_BYTES_MAX,
    KEY_BYTES_MIN,
    KeyFileError,
    create_key,
    ephemeral_key,
    load_curve_key,
    load_key,
)
from umask_support import mode_of, umask


def _key_file(path: Path, size: int = 32, mode: int = 0o600) -> Path:
    path.write_bytes(b"\n" * size)
    path.chmod(mode)
    return path


def test_all_bytes_of_the_file_are_the_key(tmp_path: Path) -> None:
    raw = bytes(range(256)) + b"\r\n\n \0"
    path = _key_file(tmp_path / "key")
    path.write_bytes(raw)
    assert load_key(path) == raw


@pytest.mark.parametrize("size", [32, 33, 4_095, 4_096])
def test_lengths_that_pass(size: int, tmp_path: Path) -> None:
    assert load_key(_key_file(tmp_path / "key", size)) == b"\n" * size
    assert (KEY_BYTES_MIN, KEY_BYTES_MAX) == (32, 4_096)


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0"), (1, "1"), (31, "31"), (4_097, "more than 4096")]
)
def test_lengths_that_do_not(size: int, shown: str, tmp_path: Path) -> None:
    path = _key_file(tmp_path / "key", size)
    with pytest.raises(KeyFileError) as caught:
        load_key(path)
    assert str(caught.value) == f"key file {path}: {shown} bytes; allowed: 32 to 4096"
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_modes_that_keep_others_out(mode: int, tmp_path: Path) -> None:
    assert load_key(_key_file(tmp_path / "key", mode=mode)) == b"\n" * 32


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o440])
def test_modes_that_let_others_in(mode: int, tmp_path: Path) -> None:
    path = _key_file(tmp_path / "key", mode=mode)
    with pytest.raises(KeyFileError) as caught:
        load_key(path)
    assert str(caught.value) == (
        f"key file {path}: mode {mode:04o} lets others in; allowed: no permission for group or "
        "others (chmod 600)"
    )


def test_systemds_credentials_are_the_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    (credentials / "below").mkdir(parents=True)
    path = _key_file(credentials / "key", mode=0o440)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(KeyFileError, match="mode 0440"):
        load_key(path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert load_key(path) == b"\n" * 32
    outside = _key_file(tmp_path / "key", mode=0o440)
    below = _key_file(credentials / "below" / "key", mode=0o440)
    (credentials / "link").symlink_to(outside)
    for other in (outside, below, credentials / "link"):
        with pytest.raises(KeyFileError, match="mode 0440"):
            load_key(other)
    _key_file(path, size=31, mode=0o440)
    with pytest.raises(KeyFileError, match="31 bytes"):
        load_key(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read: No such file or directory"):
        load_key(tmp_path / "none")
    with pytest.raises(KeyFileError, match="is no regular file"):
        load_key(tmp_path)
    with pytest.raises(KeyFileError, match="is no regular file"):
        load_key(Path("/dev/zero"))
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    with pytest.raises(KeyFileError, match="is no regular file"):
        load_key(fifo)  # at once, though nobody writes to it


def test_a_refused_file_leaves_no_descriptor_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for path in (tmp_path, _key_file(tmp_path / "key", mode=0o644)):
        with pytest.raises(KeyFileError):
            load_key(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_made_key_is_random_and_its_owners_alone(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    with umask(0):
        create_key(one)
        create_key(two)
    assert len(load_key(one)) == 32
    assert load_key(one) != load_key(two)
    assert mode_of(one) == 0o600


@pytest.mark.parametrize("content", [b"", b"x" * 32])
def test_a_key_is_never_overwritten(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match="cannot be created: File exists"):
        create_key(path)
    assert path.read_bytes() == content
    dangling = tmp_path / "link"
    dangling.symlink_to(tmp_path / "target")
    with pytest.raises(KeyFileError, match="File exists"):
        create_key(dangling)
    assert not (tmp_path / "target").exists()
    with pytest.raises(KeyFileError, match="No such file or directory"):
        create_key(tmp_path / "none" / "key")


def test_the_throw_away_key_is_made_once_and_found_again(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "log"
    key = ephemeral_key(directory)
    assert len(key) == 32
    assert ephemeral_key(directory) == key == (directory / EPHEMERAL_KEY_NAME).read_bytes()
    (directory / EPHEMERAL_KEY_NAME).write_bytes(b"short")
    with pytest.raises(KeyFileError, match="5 bytes"):
        ephemeral_key(directory)


@pytest.mark.parametrize("mask", [0, 0o022])
def test_a_log_for_trying_out_is_its_owners_alone(mask: int, tmp_path: Path) -> None:
    directory = tmp_path / "log"
    with umask(mask):
        ephemeral_key(directory)
    assert mode_of(directory) == 0o700
    assert mode_of(directory / EPHEMERAL_KEY_NAME) == 0o600


def test_a_curve_key_is_text(tmp_path: Path) -> None:
    path = _key_file(tmp_path / "key")
    path.write_text("Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\n")
    assert load_curve_key(path).hex().startswith("bb88471d65e2659b")  # RFC 32's own test key


@pytest.mark.parametrize("text", ["", "0" * 39, "0" * 41, "0" * 40 + "\n\n", "é" * 40])
def test_what_is_no_curve_key_is_not_shown(tmp_path: Path, text: str) -> None:
    path = _key_file(tmp_path / "key")
    path.write_text(text)
    with pytest.raises(KeyFileError, match="that are no CURVE key; allowed: a secret key as Z85"):
        load_curve_key(path)
