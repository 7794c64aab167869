"""`pretrade-guard admin` and `status` against a real daemon: words, JSON, exit codes, questions."""

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from daemon_support import Site, command
from guard.admin.messages import Action, Query
from guard.cli import main
from guard.cli.admin import VERBS
from guard.cli.hints import NAMES
from guard.process import own_process
from patience_support import PATIENCE_S
from protocol_client import ProtocolClient, fill, order


def run(site: Site, *arguments: str) -> "subprocess.CompletedProcess[str]":
    done: subprocess.CompletedProcess[str] = command(*arguments, "--log", str(site.log))
    return done


def test_a_morning_of_an_operator(tmp_path: Path) -> None:
    site = Site(tmp_path)
    act = ("--yes", "--why", "a test")
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-1"))["type"] == "admit"
        client.ask(fill("A-1", "F-1"))
        assert "uncharged" in client.ask(fill("STRAY", "F-9"))["flags"]
        well = run(site, "status")
        assert (well.returncode, "all is well" in well.stdout) == (0, True)
        assert "desk-alpha STRAY F-9" in well.stdout.partition("that wait for a person")[2]
        assert max(len(line) for line in well.stdout.splitlines() if "log  " not in line) <= 100
        halted = run(site, "admin", "halt", "--desk", "desk-alpha", *act)
        assert (halted.returncode, "active -> halted" in halted.stdout) == (0, True)
        ill = run(site, "status")
        assert (ill.returncode, "! halted desks: desk-alpha" in ill.stdout) == (3, True)
        assert run(site, "admin", "resume", "--desk", "desk-alpha", *act).returncode == 0
        topped = run(site, "admin", "top-up", "desk-alpha", "1000.00", *act, "--json")
        assert json.loads(topped.stdout)["changes"] == [
            "desk desk-alpha: budget 2,000,000.00 -> 2,001,000.00"
        ]
        too_much = run(site, "admin", "lower", "desk-alpha", "90000000000", *act)
        assert (too_much.returncode, too_much.stdout) == (1, "")
        assert "too_much: amount_microcents" in too_much.stderr
        orders = run(site, "admin", "orders", "--desk", "desk-alpha")
        assert "desk-alpha/A-1" in orders.stdout
        story = run(site, "admin", "order", "desk-alpha", "A-1")
        assert "fill F-1 of 40 lots" in story.stdout
        freed = run(site, "admin", "free", "desk-alpha", "A-1", *act)
        assert "11,400.00 are free again" in freed.stdout
        assert "none here" in run(site, "admin", "orders").stdout
        shown = run(site, "admin", "positions", "--desk", "desk-alpha").stdout.splitlines()
        assert shown[1].split() == ["desk-alpha", "AAPL", "40", "0", "0", "7,600.00", "0.00"]
        policy = run(site, "admin", "policy", str(site.config), *act)
        assert "as it is in force already" in policy.stdout
        assert "venue 10" in run(site, "admin", "configuration").stdout
        stopped = run(site, "admin", "stop", *act)
        assert stopped.returncode == 0
        assert daemon.wait() == 0
    gone = command("status", "--log", str(site.log), "--timeout-s", "0.3")
    assert (gone.returncode, "does not run" in gone.stderr) == (1, True)


WRONG: list[tuple[tuple[str, ...], str]] = [
    (("admin", "halt", "--desk", "d", "--why", "x"), "--yes"),
    (("admin", "halt", "--desk", "a b", "--why", "x", "--yes"), "name"),
    (("admin", "halt", "--desk", "d", "--why", "", "--yes"), "why"),
    (("admin", "top-up", "d", "1e6", "--why", "x", "--yes"), "AMOUNT: '1e6'"),
    (("admin", "top-up", "d", "0", "--why", "x", "--yes"), "amount_microcents"),
    (("admin", "top-up", "d", "500,00", "--why", "x", "--yes"), "AMOUNT: '500,00'"),
    (("admin", "lower", "d", "1,000.00", "--why", "x", "--yes"), "AMOUNT: '1,000.00'"),
    (("admin", "cap", "d", "1,0", "--why", "x", "--yes"), "CAP: '1,0' is not allowed"),
    (
        ("admin", "open-desk", "d", "--budget", "1,5", "--cap", "none", "--why", "x", "--yes"),
        "--budget: '1,5' is not allowed; allowed: a plain decimal such as \"12.50\", no commas",
    ),
    (
        ("admin", "correct", "d", "o", "f", "--fee", "1,5", "--why", "x", "--yes"),
        "--fee: '1,5' is not allowed",
    ),
    (("admin", "orders", "--limit", "0"), "limit"),
    (("admin", "policy", "no-such-file", "--why", "x", "--yes"), "no-such-file"),
    (("status", "--timeout-s", "never"), "'never'"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=[words for _, words in WRONG])
def test_wrong_use_is_named_and_nobody_is_asked(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = command(*arguments, "--log", str(tmp_path / "log"))
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


@pytest.mark.parametrize("endpoint", ["http://x", "ipc://", "nonsense"])
def test_an_endpoint_that_is_none(endpoint: str) -> None:
    done = command("status", "--endpoint", endpoint)
    assert (done.returncode, endpoint in done.stderr) == (2, True)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["admin", verb, "--help"])
    assert ended.value.code == 0
    assert VERBS[verb].help.split(",")[0] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("verb", "meant"),
    [("close-day", "close"), ("close_day", "close"), ("lower_budget", "admin lower")],
)
def test_a_verb_by_its_name_in_the_protocol_points_to_its_own(
    verb: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["admin", verb, "--day", "2026-11-30", "--why", "x", "--log", "x"])
    assert ended.value.code == 2
    assert f"that is `pretrade-guard {meant}`" in capsys.readouterr().err


def test_every_action_and_query_has_a_verb_or_a_name_that_leads_to_one() -> None:
    leaves = [
        tag for kind in (Action, Query) for one in kind.__subclasses__()
        for leaf in (one.__subclasses__() or [one]) if (tag := leaf.__struct_config__.tag)
    ]  # fmt: skip
    missing = [tag for tag in leaves if tag.replace("_", "-") not in VERBS and tag not in NAMES]
    assert (missing, len(leaves)) == ([], 39)
    known = {f"admin {verb}" for verb in VERBS} | {"close", "observe"}
    assert set(NAMES.values()) <= known


@pytest.mark.parametrize(("said", "is_done"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_a_person_sees_the_change_and_confirms_it(tmp_path: Path, said: str, is_done: bool) -> None:
    site = Site(tmp_path)
    with site.running() as daemon:
        ours, theirs = pty.openpty()
        halt = ("admin", "halt", "--firm", "--why", "x", "--log", str(site.log))
        process = subprocess.Popen(
            own_process.command("guard.cli", *halt),
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.write(ours, said.encode())
        out, complaint = process.communicate(timeout=PATIENCE_S)
        os.close(ours)
        os.close(theirs)
        assert out.startswith("firm: active -> halted\nDo it? [y/N] ")
        assert (process.returncode == 0, "nothing was done" in complaint) == (is_done, not is_done)
        assert daemon.stop() == 0
    assert ("trading_halted" in site.events()) == is_done


def test_the_same_action_id_is_done_once(tmp_path: Path) -> None:
    site = Site(tmp_path)
    line = ("admin", "halt", "--firm", "--why", "x", "--yes", "--action-id", "night-1")
    with site.running():
        first: Any = run(site, *line)
        second: Any = run(site, *line)
    assert "done: record 8" in first.stdout
    assert "was done before: record 8" in second.stdout
