"""The paths in a configuration are relative to its own directory."""

import os
from pathlib import Path

import pytest

from guard.config.file import load_config
from guard_support import DEV_CONFIG_TEXT

TEXT = DEV_CONFIG_TEXT.replace('directory = "var/dev-log"', 'directory = "var/log"').replace(
    "ephemeral_key = true", 'key_file = "keys/log.key"\nanchor_file = "../anchor.json"'
)


def configured(directory: Path, endpoint: str = "tcp://127.0.0.1:7001", text: str = TEXT) -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / "guard.toml"
    path.write_text(text.replace("tcp://127.0.0.1:7001", endpoint))
    return path


@pytest.mark.parametrize("is_relative", [False, True])
def test_wherever_the_process_stands(is_relative: bool, tmp_path: Path) -> None:
    path = configured(tmp_path / "etc")
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        config = load_config(Path("etc/guard.toml") if is_relative else path)
    finally:
        os.chdir(here)
    log = config.log
    assert log.directory == str(tmp_path / "etc" / "var" / "log")
    assert log.key_file == str(tmp_path / "etc" / "keys" / "log.key")
    assert log.anchor_file == str(tmp_path / "etc" / ".." / "anchor.json")
    assert config.written_directory == "var/log"


def test_absolute_paths_and_none_stay(tmp_path: Path) -> None:
    text = TEXT.replace('"var/log"', '"/var/log/x"').replace('"keys/log.key"', '"/etc/k"')
    text = text.replace('anchor_file = "../anchor.json"\n', "")
    log = load_config(configured(tmp_path, text=text)).log
    assert (log.directory, log.key_file, log.anchor_file) == ("/var/log/x", "/etc/k", None)


def test_a_link_stands_for_the_place_where_it_is(tmp_path: Path) -> None:
    link = tmp_path / "guard.toml"
    link.symlink_to(configured(tmp_path / "elsewhere"))
    assert load_config(link).log.directory == str(tmp_path / "var" / "log")


@pytest.mark.parametrize(
    ("endpoint", "found"),
    [
        ("tcp://127.0.0.1:*", "tcp://127.0.0.1:*"),
        ("ipc://run/guard.sock", "ipc://{}/run/guard.sock"),
        ("ipc:///run/guard.sock", "ipc:///run/guard.sock"),
        ("ipc://@abstract", "ipc://@abstract"),
    ],
)
def test_an_endpoint_in_the_file_system_is_a_path(
    endpoint: str, found: str, tmp_path: Path
) -> None:
    config = load_config(configured(tmp_path, endpoint))
    assert config.endpoints.orders == found.format(tmp_path)
