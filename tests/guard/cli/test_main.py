"""The command line: arguments, exit codes, what is printed. Each command is a process of its own
where its exit code is the point, and a call of `main` elsewhere.
"""

import json
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from daemon_support import KEY, OPENING_RECORDS, Site, command, config_text
from guard import __version__
from guard.cli import COMMANDS, main, parser_of
from guard.process import own_process
from patience_support import PATIENCE_S
from protocol_client import ProtocolClient, cancel, fill, order


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A cleanly closed log of three orders, a fill and a cancel."""
    site = Site(tmp_path_factory.mktemp("site"))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask([order("A-1"), order("A-2", symbol="NONE"), order("A-3", risk_bps=9_999)])
        client.ask([fill("A-1", "F-1"), cancel("A-1")])
        assert daemon.stop() == 0
    return site


HEAD = OPENING_RECORDS + 6


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_ready_line(site: Site, tmp_path: Path) -> None:
    fresh = Site(tmp_path)
    with fresh.running() as daemon:
        begins = f"pretrade-guard {__version__} ready: orders {daemon.endpoint}, log {fresh.log}, "
        assert daemon.ready_line.startswith(begins + f"head {OPENING_RECORDS}, kernel ")
        assert daemon.ready_line.endswith(("compiled\n", "interpreted\n"))


def test_verify_and_replay_in_json(site: Site) -> None:
    verified, replayed = site.verify(), site.replay()
    assert verified.keys() == {
        "ok", "records", "segments", "head_sequence", "head_hash", "closed_cleanly",
    }  # fmt: skip
    assert (verified["records"], verified["segments"]) == (HEAD, 1)
    assert (verified["head_sequence"], verified["closed_cleanly"]) == (HEAD, True)
    assert replayed["head_hash"] == verified["head_hash"]
    assert (replayed["records"], replayed["decisions"]) == (HEAD, 2)
    assert replayed["conservation"] == "balanced"
    assert replayed["reasons"] == {
        "requested_model_maximizes_utility": 1,
        "risk_hard_limit": 1,
        "unknown_symbol": 1,
    }
    assert replayed["events"] == {
        "desk_opened": 2, "fill": 1, "instrument_defined": 2, "log_opened": 1, "order": 2,
        "order_refused": 1, "policy_activated": 1, "release": 1, "session_closed": 1,
        "settings_activated": 1,
    }  # fmt: skip


def test_verify_and_replay_for_people(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    for tool, word in (("verify", "verified"), ("replay", "replayed")):
        key = ("--key-file", str(site.key_file))
        for source in (site.log, site.segment):
            code, out, err = _run(capsys, tool, str(source), *key)
            assert (code, err) == (0, "")
            assert out.startswith(f"{source}: {word}, every record is as it was written\n")
            assert f"  head sequence: {HEAD}\n" in out


@pytest.mark.parametrize("tool", ["verify", "replay"])
def test_the_right_key_or_none(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str], tool: str
) -> None:
    code, out, err = _run(capsys, tool, str(site.log), "--json")
    assert (code, out) == (2, "")
    assert "00000001.jsonl, byte 0, record 1: the log is keyed and no key was given" in err
    wrong = tmp_path / "wrong"
    wrong.write_bytes(KEY[::-1])
    wrong.chmod(0o600)
    code, out, err = _run(capsys, tool, str(site.log), "--key-file", str(wrong))
    assert (code, out) == (2, "")
    assert "00000001.jsonl, byte 0, record 1: the key is not the one that the log was" in err


@pytest.mark.parametrize("tool", ["verify", "replay"])
def test_nothing_to_verify_is_wrong_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tool: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert _run(capsys, tool, str(empty))[0] == 2
    (empty / "00000001.jsonl").touch()
    code, out, err = _run(capsys, tool, str(empty))
    assert (code, out) == (2, "")
    assert "nothing to" in err
    code, _, err = _run(capsys, tool, str(tmp_path / "none"))
    assert code == 2
    assert "no such file or directory" in err


def test_replay_finds_a_decision_that_the_rules_do_not_give(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log forged with the key: every hash right, one answer wrong."""
    from wal import EMPTY_HEAD, ChainHasher, LogWriter

    records: list[dict[str, Any]] = site.records()
    order_at = OPENING_RECORDS
    assert records[order_at]["metadata"]["answer"]["fee_microcents"] == 14_001
    records[order_at]["metadata"]["answer"]["fee_microcents"] = 14_000
    forged = tmp_path / "forged"
    forged.mkdir()
    hasher = ChainHasher(KEY)
    with LogWriter.open(forged, hasher, EMPTY_HEAD, monotonic_ns=lambda: 0) as writer:
        for sequence, record in enumerate(records, start=1):
            data = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
            writer.append(sequence, data)
        writer.sync_now()
    key = ("--key-file", str(site.key_file))
    assert _run(capsys, "verify", str(forged), *key)[0] == 0
    code, out, _ = _run(capsys, "replay", str(forged), *key, "--json")
    answer = json.loads(out)
    assert (code, answer["ok"], answer["sequence"]) == (1, False, order_at + 1)
    assert "decided again" in answer["reason"]


def test_keygen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "key"
    code, out, err = _run(capsys, "keygen", str(file))
    assert (code, err) == (0, "")
    assert str(file) in out
    key = file.read_bytes()
    assert (len(key), stat.S_IMODE(file.stat().st_mode)) == (32, 0o600)
    code, _, err = _run(capsys, "keygen", str(file))
    assert code == 2
    assert "File exists" in err
    assert file.read_bytes() == key
    assert _run(capsys, "keygen", str(tmp_path / "none" / "key"))[0] == 2


def test_check_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "guard.toml"
    file.write_text(config_text())
    code, out, _ = _run(capsys, "check-config", "--config", str(file))
    assert code == 0
    assert "policy epoch 7" in out
    assert "2 venues, 2 instruments, 2 desks" in out
    code, _, err = _run(capsys, "check-config", "--config", str(tmp_path / "none"))
    assert code == 2
    assert "cannot be read" in err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("none",),
        ("run",),
        ("verify",),
        ("verify", "x", "--jobs", "0"),
        ("verify", "x", "--jobs", "²"),
        ("run", "--config", "x", "--key-file", "y", "--x"),
    ],
)
def test_wrong_use_exits_2(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    assert caught.value.code == 2


def commands_of(help_text: str) -> list[str]:
    return re.findall(r"^    (\S+)", help_text, re.MULTILINE)


def test_a_called_command_is_read_without_the_others() -> None:
    assert commands_of(parser_of().format_help()) == list(COMMANDS)
    for name in COMMANDS:
        assert commands_of(parser_of(name).format_help()) == [name]


def test_the_version_and_the_codes_of_real_processes(tmp_path: Path) -> None:
    done = command("--version")
    assert (done.returncode, done.stdout) == (0, f"{__version__}\n")
    assert command("verify", str(tmp_path)).returncode == 2


def _unread(*arguments: str, unbuffered: str, stderr: int) -> tuple[int, str]:
    """Exit code and stderr of a command whose output nobody reads."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run(
            own_process.command("guard.cli", *arguments),
            stdout=write_end,
            stderr=stderr,
            text=True,
            timeout=PATIENCE_S,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    finally:
        os.close(write_end)
    return done.returncode, done.stderr or ""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_reads_is_no_damage(site: Site, unbuffered: str) -> None:
    verify = ("verify", str(site.log), "--key-file", str(site.key_file))
    assert _unread(*verify, unbuffered=unbuffered, stderr=subprocess.PIPE) == (141, "")
    if not unbuffered:  # argparse itself passes over an error of its own writing
        assert _unread("--help", unbuffered="", stderr=subprocess.PIPE) == (141, "")
    # Errors as well, where they go the same way: `2>&1 | head`.
    failing = ("verify", str(site.log / "none"))
    assert _unread(*failing, unbuffered=unbuffered, stderr=subprocess.STDOUT) == (141, "")


def test_output_that_cannot_be_written_is_a_failed_environment(site: Site) -> None:
    verify = ("verify", str(site.log), "--key-file", str(site.key_file))
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            own_process.command("guard.cli", *verify),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_S,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
            check=False,
        )
    words = "pretrade-guard: [Errno 28] No space left on device\n"
    assert (done.returncode, done.stderr) == (1, words)


def test_a_broken_pipe_that_is_not_the_output_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(_path: Path) -> None:
        raise BrokenPipeError(32, "a peer of ours is gone")

    monkeypatch.setattr("guard.cli.base.load_keys", fail)
    code, out, err = _run(capsys, "verify", str(tmp_path), "--key-file", "key")
    assert (code, out, err) == (1, "", "pretrade-guard: [Errno 32] a peer of ours is gone\n")


def test_the_key_for_trying_out_has_its_name_wherever_it_is_spoken_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    said = [" ".join(capsys.readouterr().out.split())]
    root = Path(__file__).parents[3]
    said += [(root / name).read_text() for name in ("README.md", "guard/RUNBOOK.md")]
    said.append((root / "configs/production.toml").read_text())
    assert ["ephemeral.key" in text for text in said] == [True] * 4
