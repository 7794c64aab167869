"""A daemon whose log's key evolves: it has no key of what it has written before."""

import base64
import json
import os
from pathlib import Path

import pytest

from daemon_support import Daemon, Site, config_text
from guard.cli import run_command
from guard.config.evolving_keys import create_evolving, load_evolving
from guard.record.codec import DIALECT
from protocol_client import ProtocolClient, order
from wal import KeyRing, read_entries

pytestmark = pytest.mark.slow


def secrets_of(root: Path, count: int = 30) -> set[bytes]:
    """The first keys that come of a root, in each form in which one could be written."""
    key, found = load_evolving(root), set[bytes]()
    for _ in range(count):
        for secret in (bytes(key.secret), key.chain_key()):
            found |= {
                secret,
                secret.hex().encode(),
                base64.b64encode(secret),
            }
        key = key.next()
    return found


def seen_of(daemon: Daemon) -> set[bytes]:
    """Of the same lengths, all that the process shows of itself, and all that it has said."""
    place = Path(f"/proc/{daemon.pid}")
    shown = [daemon.stderr.encode()]
    shown += [(place / name).read_bytes() for name in ("cmdline", "environ") if can(place / name)]
    lengths = {32, 44, 64}
    return {
        text[at : at + length]
        for text in shown
        for length in lengths
        for at in range(len(text) - length + 1)
    }


def can(path: Path) -> bool:
    """May this user look? Nobody but root may, at a process that keeps its memory to itself."""
    return os.access(path, os.R_OK)


def test_the_key_goes_on_with_each_segment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint with each order, a clean stop, a crash, and starts with the newest key alone."""
    site = Site(tmp_path, config_text(log="forward_secure = true\ncheckpoint_every_records = 1"))
    root = tmp_path / "root.key"
    site.key_file.unlink()
    create_evolving(root, site.key_file)
    first_bytes = site.key_file.read_bytes()
    numbers = [load_evolving(site.key_file).number]
    for session in range(2):
        with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
            for number in range(2):
                reply = client.ask(order(f"A-{session}-{number}"))
                assert reply["type"] == "admit"
            assert client.ask(order("A-0-0"))["repeat"] is True
            assert not secrets_of(root) & seen_of(daemon)
            if session == 0:
                daemon.kill()
            else:
                daemon.stop()
        numbers.append(load_evolving(site.key_file).number)
    assert numbers == sorted(set(numbers))
    assert site.key_file.read_bytes() != first_bytes
    for key in (root, site.key_file):  # the host's reads what is sealed
        for tool in ("verify", "replay"):
            assert run_command([tool, str(site.log), "--root-key-file", str(key), "--json"]) == 0
            assert json.loads(capsys.readouterr().out)["ok"] is True
    ring = KeyRing([], load_evolving(root))
    records = [json.loads(entry.data) for entry in read_entries(site.log, ring.newest, DIALECT)]
    keys = [record["key"] for record in records if "key" in record]
    assert [key["key_number"] for key in keys] == list(range(2, len(keys) + 2))
    assert keys[-1]["key_number"] == numbers[-1] > 2
