"""What a configuration names: there, or named in the refusal; nothing is made."""

import os
from pathlib import Path

import pytest

from guard.cli import main
from guard.config.errors import ConfigError
from guard.config.evolving_keys import create_evolving
from guard.config.file import load_config
from guard.config.places import check_places
from guard_support import DEV_CONFIG_TEXT

KEY_LINE = "ephemeral_key = true"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "key").write_bytes(bytes(32))
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "open").write_bytes(bytes(32))
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "short").write_bytes(bytes(31))
    (tmp_path / "short").chmod(0o600)
    create_evolving(tmp_path / "root", tmp_path / "evolving")
    (tmp_path / "link").symlink_to("nowhere")
    return tmp_path


def write(site: Path, old: str, new: str) -> Path:
    assert old in DEV_CONFIG_TEXT
    file = site / "guard.toml"
    file.write_text(DEV_CONFIG_TEXT.replace(old, new))
    return file


GOOD = [
    (KEY_LINE, KEY_LINE),
    (KEY_LINE, 'key_file = "key"'),
    (KEY_LINE, 'key_file = "evolving"\nforward_secure = true'),
    (KEY_LINE, f'{KEY_LINE}\nanchor_file = "anchor.json"'),
    ("var/dev-log", "not/there/yet"),
    ("tcp://127.0.0.1:7001", "ipc://orders"),
    ("tcp://127.0.0.1:7001", "ipc://@orders"),
]
BAD = [
    (KEY_LINE, 'key_file = "none"', "log.key_file: key file", "cannot be read: No such file"),
    (KEY_LINE, 'key_file = "open"', "log.key_file: key file", "lets others in"),
    (KEY_LINE, 'key_file = "short"', "log.key_file: key file", "31 bytes; allowed: 32"),
    (
        KEY_LINE,
        'key_file = "evolving"',
        "log.key_file: key file",
        "log.forward_secure = true; else",
    ),
    (KEY_LINE, 'key_file = "root"', "log.key_file: key file", "is an evolving key; allowed"),
    (KEY_LINE, f'{KEY_LINE}\nanchor_file = "no/a"', "log.anchor_file: ", "no is no directory"),
    (KEY_LINE, f'{KEY_LINE}\nanchor_file = "."', "log.anchor_file: ", "is a directory"),
    ("var/dev-log", "key/log", "log.directory: ", "key is no directory"),
    ("var/dev-log", "key", "log.directory: ", "key is no directory"),
    ("var/dev-log", "key/a/b", "log.directory: ", "key is no directory"),
    ("var/dev-log", "link", "log.directory: ", "link is no directory"),
    ("tcp://127.0.0.1:7001", "ipc://no/orders", "endpoints.orders: ", "no is no directory"),
]


@pytest.mark.parametrize(("old", "new"), GOOD)
def test_what_is_there_or_can_be_made(
    site: Path, old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(os.listdir(site))
    file = write(site, old, new)
    assert main(["check-config", "--config", str(file)]) == 0
    assert "good: policy epoch 7" in capsys.readouterr().out
    assert sorted(os.listdir(site)) == sorted([*before, "guard.toml"])


@pytest.mark.parametrize(("old", "new", "key", "why"), BAD)
def test_what_is_not(
    site: Path, old: str, new: str, key: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(site, old, new)
    with pytest.raises(ConfigError) as refused:
        check_places(load_config(file))
    assert str(refused.value).startswith(key)
    assert why in str(refused.value)
    assert main(["check-config", "--config", str(file)]) == 2
    assert why in capsys.readouterr().err


def test_a_configuration_without_a_key_says_so(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(site, KEY_LINE, "")
    assert main(["check-config", "--config", str(file)]) == 0
    assert "run needs --key-file" in capsys.readouterr().out
    assert main(["check-config", "--config", str(file), "--key-file", str(site / "key")]) == 0
    assert "run needs" not in capsys.readouterr().out
    assert main(["check-config", "--config", str(file), "--key-file", str(site / "none")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_path_of_a_socket_is_bounded_where_it_is_placed(site: Path) -> None:
    name = "p" * 100  # short enough by itself, and not in this directory
    with pytest.raises(ConfigError, match=r"its path has \d+ bytes; allowed: 107"):
        load_config(write(site, "tcp://127.0.0.1:7001", f"ipc://{name}"))
