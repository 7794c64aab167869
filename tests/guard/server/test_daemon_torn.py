"""A torn end is cut, kept, logged and gone on from; any other damage refuses to start. `verify`
tells the two apart and changes nothing.
"""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from daemon_support import KEY, OPENING_RECORDS, Site, command, config_text, event_of, tool
from guard.recovery.recover import recover_log
from protocol_client import ProtocolClient, order, status
from wal import ChainHasher

pytestmark = pytest.mark.slow

VECTORS = Path(__file__).parent.parent.parent / "data" / "vectors" / "wal"
SECTOR_BYTES = 512
BATCH = 4  # orders in the last batch
LAST = OPENING_RECORDS + 1 + BATCH


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A log whose last batch holds several records, left by a kill."""
    site = Site(tmp_path_factory.mktemp("killed"))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-0"))["wal_sequence"] == OPENING_RECORDS + 1
        replies = client.ask([order(f"A-{index}", quantity=1) for index in range(1, BATCH + 1)])
        assert replies[-1]["wal_sequence"] == LAST
    return site


@pytest.fixture
def site(killed: Site, tmp_path: Path) -> Site:
    """A copy of that log to damage, without the zeros that were written ahead."""
    site = Site(tmp_path)
    shutil.copytree(killed.log, site.log, ignore=shutil.ignore_patterns("head", "configured"))
    site.segment.write_bytes(site.segment.read_bytes().rstrip(b"\0"))
    return site


def line_starts(content: bytes) -> list[int]:
    starts = [0]
    while (end := content.find(b"\n", starts[-1]) + 1) > 0:
        starts.append(end)
    return starts


def verify(site: Site) -> tuple[int, dict[str, Any]]:
    """The exit code and the answer of `verify`, which must leave every file as it is."""
    before = {path.name: path.read_bytes() for path in site.log.iterdir()}
    done = tool("verify", str(site.log), "--key-file", str(site.key_file), "--json")
    assert {path.name: path.read_bytes() for path in site.log.iterdir()} == before
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def check_goes_on(site: Site, damaged: bytes, first_lost: int, cut_at: int) -> None:
    """`run` cuts at `cut_at`, keeps what it cut, says so in the log, and goes on."""
    damaged = damaged.rstrip(b"\0")  # zeros at the end stand for nothing
    code, answer = verify(site)
    assert (code, answer["ok"], answer["unfinished"]) == (3, False, True)
    torn_bytes = len(damaged) - cut_at
    assert (answer["segment"], answer["bytes_torn"]) == ("00000001.jsonl", torn_bytes)
    assert (answer["offset"], answer["sequence"]) == (cut_at, first_lost)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert daemon.stderr.partition(" ")[2].startswith(
            f"INFO: a torn end was cut: {len(damaged) - cut_at} bytes of 00000001.jsonl "
            f"from byte {cut_at} on"
        )
        started = event_of(site.records()[-1])
        assert (started["event"], started["after_clean_stop"]) == ("session_started", False)
        assert started["recovered_sequence"] == first_lost - 1
        [cut] = started["cuts"]
        assert (cut["segment"], cut["offset"]) == ("00000001.jsonl", cut_at)
        assert (cut["first_sequence_lost"], cut["bytes_cut"]) == (first_lost, len(damaged) - cut_at)
        assert (site.log / cut["copy_name"]).read_bytes() == damaged[cut_at:]
        for index in range(BATCH + 1):
            state = client.ask(status(f"A-{index}"))["state"]
            is_kept = OPENING_RECORDS + 1 + index < first_lost
            assert state == ("open" if is_kept else "unknown")
        assert client.ask(order(f"A-{BATCH}", quantity=1))["wal_sequence"] == first_lost + 1
        assert daemon.stop() == 0
    assert verify(site)[0] == 0
    site.replay()


@pytest.mark.parametrize("kept", [1, 40, 1_000, -2, -1])
def test_a_torn_last_line(site: Site, kept: int) -> None:
    content = site.segment.read_bytes()
    start = line_starts(content)[LAST - 1]
    damaged = content[: start + kept] if kept > 0 else content[:kept]
    site.segment.write_bytes(damaged)
    check_goes_on(site, damaged, LAST, start)


@pytest.mark.parametrize("sectors", [1, 2, 5])
def test_a_zero_filled_end(site: Site, sectors: int) -> None:
    content = site.segment.read_bytes()
    starts = line_starts(content)
    hole = (len(content) // SECTOR_BYTES - sectors + 1) * SECTOR_BYTES
    assert hole > starts[OPENING_RECORDS + 1], "the hole must lie in the last batch"
    damaged = content[:hole].ljust(len(content), b"\0")
    site.segment.write_bytes(damaged)
    [index] = [n for n in range(LAST) if starts[n] <= hole < starts[n + 1]]
    check_goes_on(site, damaged, index + 1, starts[index])


def test_every_length_of_the_last_batch_recovers(site: Site) -> None:
    """In process, for it is the same code: the state is that of the whole records, never less."""
    content = site.segment.read_bytes()
    starts = line_starts(content)
    for length in range(starts[OPENING_RECORDS + 1], len(content), 61):
        site.segment.write_bytes(content[:length])
        recovered = recover_log(site.log, ChainHasher(KEY))
        recovered.lock.release()
        whole = sum(start <= length for start in starts) - 1
        assert recovered.head.sequence == whole
        assert (recovered.cuts == []) == (length in starts)
        for copy in site.log.glob("*.cut-*"):
            copy.unlink()


def test_a_cut_is_logged_though_the_start_then_fails(site: Site) -> None:
    """The repair comes before the comparison with the configuration; it must not stay unsaid."""
    content = site.segment.read_bytes()
    site.segment.write_bytes(content[:-7])
    site.configure(config_text(settings="remembered_orders_max = 5"))
    assert site.refused().returncode == 2
    site.configure(config_text())
    start = line_starts(content)[LAST - 1]
    with site.running() as daemon:
        [cut] = event_of(site.records()[-1])["cuts"]
        assert (cut["offset"], cut["first_sequence_lost"]) == (start, LAST)
        assert cut["bytes_cut"] == len(content) - 7 - start
        assert (site.log / cut["copy_name"]).read_bytes() == content[start:-7]
        assert daemon.stop() == 0
    with site.running() as daemon:
        assert event_of(site.records()[-1])["cuts"] == [], "a cut is logged once"


@pytest.mark.parametrize("torn_bytes", [0, 20])
@pytest.mark.parametrize("whole", [0, 1, 2, 6])
def test_a_first_start_that_was_cut_off(site: Site, whole: int, torn_bytes: int) -> None:
    """Not all of the log's first batch reached the disk: there is no log yet, and one may begin."""
    content = site.segment.read_bytes()
    left = content[: line_starts(content)[whole] + torn_bytes]
    site.segment.write_bytes(left)
    for arguments in ((), ("--apply-config", "--why", "in vain")):
        done = site.refused(*arguments, new_log=False)
        assert (done.returncode, "--new-log" in done.stderr) == (2, True), done.stderr
        assert whole == 0 or f"{whole} of the {OPENING_RECORDS} records" in done.stderr
    assert site.segment.read_bytes() == left  # nothing was repaired either
    with site.running(new_log=True) as daemon:
        assert not left or f"a torn end was cut: {len(left)} bytes" in daemon.stderr
        with ProtocolClient(daemon.endpoint) as client:
            assert client.ask(order("A-1"))["wal_sequence"] == OPENING_RECORDS + 1
        assert daemon.stop() == 0
    copies = [path.read_bytes() for path in site.log.glob("*.cut-1-0")]
    assert copies == ([left] if left else [])
    assert site.replay()["events"]["log_opened"] == 1


def test_where_there_is_a_log_no_new_one_begins(site: Site) -> None:
    """Neither where its first batch is all that there is, nor where its end is torn or damaged."""
    content = site.segment.read_bytes()
    starts = line_starts(content)
    ends = (starts[OPENING_RECORDS], starts[OPENING_RECORDS] + 20, starts[-1] - 7, starts[-1])
    for left in (*(content[:end] for end in ends), content.replace(b"AAPL", b"AAPM", 1)):
        site.segment.write_bytes(left)
        done = site.refused(new_log=True)
        assert done.returncode == (1 if b"AAPM" in left else 2), done.stderr
        assert site.segment.read_bytes() == left
        assert not list(site.log.glob("*.cut-*"))


@pytest.mark.parametrize("record", [1, 3, OPENING_RECORDS + 1, LAST - 1, LAST])
def test_a_flipped_bit_refuses_to_start(site: Site, record: int) -> None:
    content = site.segment.read_bytes()
    start, end = line_starts(content)[record - 1 : record + 1]
    at = (start + end) // 2
    damaged = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    site.segment.write_bytes(damaged)
    code, answer = verify(site)
    place = (answer["segment"], answer["offset"], answer["sequence"])
    assert (code, place) == (1, ("00000001.jsonl", start, record))
    done = site.refused()
    assert (done.returncode, done.stdout) == (1, "")
    assert f"00000001.jsonl, byte {start}, record {record}: " in done.stderr
    assert "Traceback" not in done.stderr
    assert site.segment.read_bytes() == damaged
    assert sorted(path.name for path in site.log.iterdir()) == ["00000001.jsonl", "lock"]


@pytest.mark.parametrize("record", [2, OPENING_RECORDS + 1, LAST - 1])
def test_a_missing_record_refuses_to_start(site: Site, record: int) -> None:
    content = site.segment.read_bytes()
    start, end = line_starts(content)[record - 1 : record + 1]
    site.segment.write_bytes(content[:start] + content[end:])
    assert verify(site)[0] == 1
    done = site.refused()
    assert done.returncode == 1
    assert f"00000001.jsonl, byte {start}, record {record}: " in done.stderr


def test_another_key_is_wrong_use(site: Site) -> None:
    content = site.segment.read_bytes()
    site.key_file.write_bytes(KEY[::-1])
    done = site.refused()
    assert (done.returncode, done.stdout) == (2, "")
    assert "record 1: the key is not the one that the log was written with" in done.stderr
    assert site.segment.read_bytes() == content


def test_a_torn_end_behind_a_clean_stop_is_damage(site: Site) -> None:
    with site.running() as daemon:
        assert daemon.stop() == 0
    last = site.segments[-1]
    damaged = last.read_bytes() + b'{"sequence":'
    last.write_bytes(damaged)
    done = site.refused()
    assert done.returncode == 1
    assert "closed in good order" in done.stderr
    assert last.read_bytes() == damaged


def _manifest() -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((VECTORS / "manifest.json").read_text())
    return manifest


@pytest.mark.parametrize("name", sorted(_manifest()["expected"]))
def test_verify_judges_the_damaged_vectors(tmp_path: Path, name: str) -> None:
    manifest = _manifest()
    key = bytes.fromhex(manifest["hmac_key_hex"])
    file_name, _, with_key = name.partition(" with ")
    if with_key == "a wrong key":
        key = key[::-1]
    key_file = tmp_path / "key"
    key_file.write_bytes(key)
    key_file.chmod(0o600)
    log = tmp_path / file_name
    content = gzip.decompress((VECTORS / f"{file_name}.gz").read_bytes())
    log.write_bytes(content)
    key_arguments = () if with_key == "no key" else ("--key-file", str(key_file))
    done = command("verify", str(log), *key_arguments, "--json")
    expected = manifest["expected"][name]
    assert log.read_bytes() == content
    if with_key:
        assert (done.returncode, done.stdout, expected["chain"]) == (2, "", "error")
        assert "key" in done.stderr
        return
    answer = json.loads(done.stdout)
    if expected["chain"] == "ok":
        assert (done.returncode, answer["ok"]) == (0, True)
        assert answer["head_sequence"] == expected["head_sequence"]
    else:
        assert (done.returncode, answer["ok"], answer["segment"]) == (1, False, file_name)
        assert answer["reason"]
