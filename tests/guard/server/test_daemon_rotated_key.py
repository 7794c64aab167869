"""A log's key is exchanged at a start: what stands before keeps its own."""

import json
from pathlib import Path

import pytest

from daemon_support import Site, config_text
from guard.cli import run_command
from protocol_client import ProtocolClient, order
from wal import ChainHasher

pytestmark = pytest.mark.slow

NEW_KEY = bytes(range(50, 82))


def rotate(site: Site) -> Path:
    """The site's key becomes an old one, and another takes its place; where the old one is."""
    old = site.root / "old" / "log.key"
    old.parent.mkdir(mode=0o700)
    site.key_file.rename(old)
    site.key_file.write_bytes(NEW_KEY)
    site.key_file.chmod(0o600)
    return old


def test_a_key_is_exchanged_at_a_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = Site(tmp_path, config_text(log="checkpoint_every_records = 1"))
    assert run_command(site.run_arguments("--then-stop")) == 0
    old_id = ChainHasher(site.key_file.read_bytes()).key_id
    old = rotate(site)
    assert run_command(site.run_arguments("--then-stop")) == 2
    assert "the key is not the one that the log was written with" in capsys.readouterr().err
    site.configure(config_text(log=f'old_key_files = ["{old.parent}"]'))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-1"))["type"] == "admit"
        daemon.kill()
    assert run_command(site.run_arguments("--then-stop")) == 0  # the new key is in force by now
    capsys.readouterr()
    keys = ("--key-file", str(site.key_file), "--old-key-file", str(old.parent), "--json")
    for tool in ("verify", "replay"):
        assert run_command([tool, str(site.log), *keys]) == 0
        assert json.loads(capsys.readouterr().out)["ok"] is True
    assert run_command(["tail", str(site.log), "--from", "start", "--no-follow", *keys]) in (0, 3)
    shown = capsys.readouterr().out
    begun = [json.loads(line)["data"] for line in shown.splitlines()]
    changes = [event["key"] for event in begun if "key" in event]
    assert [change["previous_key_id"] for change in changes] == [old_id]
    assert changes[0]["key_id"] == ChainHasher(NEW_KEY).key_id
    assert changes[0]["sealed_bytes"] == (site.log / changes[0]["sealed_segment"]).stat().st_size
    assert run_command(["verify", str(site.log), *keys[:2]]) == 2
