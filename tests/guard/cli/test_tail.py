"""`tail` and `backup` beside a running daemon, whose log ends in zeros; and when it is gone."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon_support import OPENING_RECORDS, Site, command, config_text
from guard.process import own_process
from patience_support import PATIENCE_S
from protocol_client import ProtocolClient, order
from wal import segment_end


@contextmanager
def tailing(site: Site, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        own_process.command("guard.cli", "tail", str(site.log), *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE_S)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def sequences(text: str) -> list[int]:
    return [json.loads(line)["sequence"] for line in text.splitlines()]


def read(tail: "subprocess.Popen[str]", count: int) -> list[int]:
    assert tail.stdout is not None
    return sequences("".join(tail.stdout.readline() for _ in range(count)))


def end(tail: "subprocess.Popen[str]") -> tuple[int, list[int], str]:
    out, err = tail.communicate(timeout=PATIENCE_S)
    return tail.returncode, sequences(out), err


def test_tail_of_a_running_log(tmp_path: Path) -> None:
    site = Site(tmp_path)
    key = ("--key-file", str(site.key_file))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-1"))
        with (
            tailing(site, "--from", "start", *key) as all_of_it,
            tailing(site, "--from", "1") as links_alone,
        ):
            assert read(all_of_it, OPENING_RECORDS + 1) == list(range(1, OPENING_RECORDS + 2))
            client.ask([order("A-2"), order("A-3")])
            assert read(all_of_it, 2) == [OPENING_RECORDS + 2, OPENING_RECORDS + 3]
            assert daemon.stop() == 0
            head = OPENING_RECORDS + 4
            code, rest, said = end(all_of_it)
            assert (code, rest) == (0, [head])
            closed = (
                f"the log ends with record {head}, which closes its session: nobody writes it now"
            )
            assert closed in said
            code, rest, said = end(links_alone)
            assert (code, rest) == (0, list(range(1, head + 1)))
    path = site.segment
    assert segment_end(path) == path.stat().st_size  # a clean stop leaves no zeros
    path.write_bytes(path.read_bytes().replace(b'"A-2"', b'"A-9"'))
    done = command("tail", str(site.log), "--from", "start", *key)
    assert done.returncode == 1
    assert sequences(done.stdout) == list(range(1, OPENING_RECORDS + 2))
    assert f"record {OPENING_RECORDS + 2}: entry_hash does not match" in done.stderr


def test_tail_of_a_daemon_that_is_killed(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-1"))
        with tailing(site, "--from", str(OPENING_RECORDS + 1)) as tail:
            assert read(tail, 1) == [OPENING_RECORDS + 1]
            client.ask(order("A-2"))
            assert read(tail, 1) == [OPENING_RECORDS + 2]
            daemon.signal(signal.SIGKILL)
            daemon.wait()
            code, rest, said = end(tail)
        assert (code, rest) == (3, [])
        assert "its writer is gone, and has not closed it" in said
    assert segment_end(site.segment) < site.segment.stat().st_size  # written ahead
    assert site.verify()["head_sequence"] == OPENING_RECORDS + 2
    done = command("tail", str(site.log), "--from", "1", "--no-follow")
    assert (done.returncode, done.stderr) == (0, "")
    assert sequences(done.stdout) == list(range(1, OPENING_RECORDS + 3))
    with site.running() as daemon:
        # No copy and no logged cut: zeros are no damage.
        assert "ALARM" not in daemon.stderr
        assert not list(site.log.glob("*.cut-*"))
        assert segment_end(site.segment) == site.segment.stat().st_size
        assert daemon.stop() == 0


def test_no_zeros_where_they_are_turned_off(tmp_path: Path) -> None:
    site = Site(tmp_path, config_text(log="write_ahead_bytes = 0"))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-1"))
        assert site.segment.read_bytes().endswith(b"}\n")


def test_tail_refuses_nonsense(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon:
        assert daemon.stop() == 0
    log = str(site.log)
    for first in ("0", "-1", "yesterday", "1.5", ""):
        done = command("tail", log, "--from", first)
        assert done.returncode == 2
        assert "allowed: now, start, a sequence, or a time" in done.stderr
    done = command("tail", log, "--from", "99")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the log ends before record 99" in done.stderr
    assert command("tail", str(site.key_file)).returncode == 2
    assert command("tail", str(tmp_path / "none")).returncode == 2


def test_backup_of_a_running_log(tmp_path: Path) -> None:
    site = Site(tmp_path)
    copy = tmp_path / "copy"
    key = ("--key-file", str(site.key_file))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-1"))
        done = command("backup", str(site.log), str(copy), *key)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"up to record {OPENING_RECORDS + 1} (" in done.stdout
        client.ask(order("A-2"))
        assert command("backup", str(site.log), str(copy), *key).returncode == 2
    done = command("verify", str(copy), *key, "--json")
    assert json.loads(done.stdout)["head_sequence"] == OPENING_RECORDS + 1
    assert command("replay", str(copy), *key).returncode == 0
    unkeyed = command("backup", str(site.log), str(tmp_path / "links"))
    assert unkeyed.returncode == 0
    assert "every record follows the one before (no key was given)" in unkeyed.stdout


def test_columns_and_filters_of_a_running_log(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-1"))
        client.ask(order("B-1", desk="desk-beta", quantity=1))
        whole = ("tail", str(site.log), "--from", "start", "--no-follow")
        shown = command(*whole, "--columns").stdout.splitlines()
        assert len(shown) == OPENING_RECORDS + 2
        assert "desk-alpha/A-1: buy 100 AAPL at 190.00 to venue" in shown[OPENING_RECORDS]
        assert max(map(len, shown)) > 80  # no terminal reads: nothing is cut
        beta = command(*whole, "--desk", "desk-beta", "--verdict", "admit").stdout
        assert sequences(beta) == [OPENING_RECORDS + 2]
        none = command(*whole, "--desk", "desk-beat")
        assert (none.returncode, none.stdout) == (0, "")
        assert "began with 'desk-beat', only with desk-alpha, desk-beta; unless" in none.stderr
        hour = ("tail", str(site.log), "--no-follow", "--from", "2000-01-01T00:00:00")
        assert sequences(command(*hour).stdout) == list(range(1, OPENING_RECORDS + 3))
        later = ("tail", str(site.log), "--no-follow", "--from", "2200-01-01T00:00:00")
        assert command(*later).stdout == ""
        for wrong, words in (
            (("--verdict", "maybe"), "'maybe' is not allowed; allowed: admit, reject"),
            (("--venue", "ten"), "'ten'"),
            (("--from", "25:00"), "'25:00' is not allowed; allowed: a time in UTC"),
            (("--from", "2026-01-01T00:00:00+01:00"), "+01:00' is not allowed"),
            (("--from", "0"), "'0' is not allowed"),
            (("--columns", "--json"), "not allowed with"),
        ):
            done = command("tail", str(site.log), "--no-follow", *wrong)
            assert (done.returncode, words in done.stderr) == (2, True), done.stderr
        assert daemon.stop() == 0
