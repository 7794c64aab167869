"""Proofs from the log of a real daemon: while it runs, after restarts, over several segments."""

import json
from pathlib import Path
from typing import Any

import pytest

from daemon_support import Site, command, config_text
from protocol_client import ProtocolClient, order

pytestmark = pytest.mark.slow


def run(*arguments: object) -> Any:
    done = command(*map(str, arguments))
    assert done.returncode == 0, done.stderr
    return done


def test_a_desk_keeps_its_proofs_through_the_days(tmp_path: Path) -> None:
    anchor = tmp_path / "anchor.json"
    text = config_text(log=f'anchor_file = "{anchor}"\nanchor_mode = "synchronous"')
    site = Site(tmp_path, text)
    signing = tmp_path / "log.signing"
    vkey = run("keygen", "--signing", signing, "--name", "guard.example.com/site").stdout.strip()
    prove = ("prove", site.log, "--key-file", site.key_file, "--signing-key", signing)

    def check(path: Path, proof: str) -> dict[str, Any]:
        path.write_text(proof)
        answer: dict[str, Any] = json.loads(
            run("check-proof", path, "--log-key", vkey, "--json").stdout
        )
        return answer

    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        admitted = client.ask([order("A-1")])[0]
        # It runs, and its anchor was durable before the answer left.
        done = run(*prove, "--anchor", anchor, "--desk", "desk-alpha", "--order", "A-1")
        first = check(tmp_path / "A-1.tlog-proof", done.stdout)
        assert (first["answer"], first["sequence"]) == ("admit", admitted["wal_sequence"])
        client.ask([order("A-2", risk_bps=9_999)])
        assert daemon.stop() == 0
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask([order("A-3")])
        assert daemon.stop() == 0
    assert len(site.segments) == 2

    done = run(*prove, "--desk", "desk-alpha", "--order", "A-2")
    second = check(tmp_path / "A-2.tlog-proof", done.stdout)
    assert (second["answer"], second["reason"]) == ("reject", "risk_hard_limit")
    done = run(*prove, "--consistency", tmp_path / "A-1.tlog-proof")
    grown = check(tmp_path / "consistency", done.stdout)
    assert (grown["old_tree_size"], grown["old_root_hash_hex"]) == (
        first["tree_size"],
        first["root_hash_hex"],
    )
    assert (grown["tree_size"], grown["root_hash_hex"]) == (
        second["tree_size"],
        second["root_hash_hex"],
    )
    assert grown["tree_size"] == len(site.records())
