"""A log that does not verify: wrong use (2), an end that a start mends (3), damage (1).

In a directory and in one file, with a key and without, by every tool that verifies a whole log.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from decision_log_support import POLICY, chained, dump
from decision_log_support import RECORDS as DECISIONS
from guard.cli import main
from guard.recovery.recover import recover_log
from guard_checkpoint_support import (
    HASHER,
    HEADS,
    KEY,
    OLDER,
    RECORDS,
    checkpoint,
    path_of,
    write_day,
)
from wal import ChainHasher, Head, PublishedHead, anchor_of, list_segments, write_anchor
from wal.headfile import HeadFile

SECTOR_BYTES = 512
UNKEYED = ChainHasher(None)
NAME = "00000001.jsonl"
TOOLS = ("verify", "replay")
# The record that closes the first session; the one before it holds whole sectors.
CLOSED = next(
    n for n, data in enumerate(RECORDS, 1) if data.startswith(b'{"event":"session_closed",')
)


def _native(hasher: ChainHasher) -> list[bytes]:
    """The day's first session, not closed, as a log under this key has it."""
    own, theirs = HASHER.key_id.encode(), hasher.key_id.encode()
    return [data.replace(own, theirs) for data in RECORDS[: CLOSED - 1]]


def _next_sector(offset: int) -> int:
    return (offset // SECTOR_BYTES + 1) * SECTOR_BYTES


def _with_hole(content: bytes, start: int) -> bytes:
    at = _next_sector(start)
    return content[:at] + bytes(SECTOR_BYTES) + content[at + SECTOR_BYTES :]


# What becomes of a log whose last record begins at that byte, as a torn write leaves it.
TEARS: dict[str, Callable[[bytes, int], bytes]] = {
    "no newline": lambda content, _start: content[:-1],
    "missing bytes": lambda content, start: content[: start + 40],
    "one byte": lambda content, start: content[: start + 1],
    "missing bytes, and zeros ahead": lambda content, start: content[: start + 40] + bytes(4096),
    "a zero sector": _with_hole,
    "a zero sector and a missing end": lambda content, start: _with_hole(content, start)[:-3],
}


class Case:
    """A log and its key on disk, and the tools on it."""

    def __init__(
        self, root: Path, capsys: pytest.CaptureFixture[str], is_directory: bool, is_keyed: bool
    ) -> None:
        self.root, self._capsys = root, capsys
        self.hasher = HASHER if is_keyed else UNKEYED
        self.records = _native(self.hasher)
        self.content = chained(self.records, self.hasher)
        self.start = len(chained(self.records[:-1], self.hasher))
        self.count = len(self.records)
        self.directory = root / "log"
        self.directory.mkdir()
        self.log = self.directory if is_directory else root / "copy.jsonl"
        self.file = self.directory / NAME if is_directory else self.log
        key_file = root / "key"
        key_file.write_bytes(KEY)
        key_file.chmod(0o600)
        self.key = ("--key-file", str(key_file)) if is_keyed else ()

    def run(self, tool: str, *arguments: object) -> tuple[int, str, str]:
        """Exit code and output; the tool must leave all as it is."""
        before = {path: path.read_bytes() for path in self.root.rglob("*") if path.is_file()}
        code = main([tool, str(self.log), *map(str, arguments)])
        assert before == {p: p.read_bytes() for p in self.root.rglob("*") if p.is_file()}
        return code, *self._capsys.readouterr()

    def json(self, tool: str, *arguments: object) -> tuple[int, dict[str, Any]]:
        code, out, err = self.run(tool, *self.key, "--json", *arguments)
        assert err == ""
        return code, json.loads(out)

    def check(self, code: int, *arguments: object, unfinished: bool) -> None:
        """What both tools must give."""
        for tool in TOOLS:
            found, answer = self.json(tool, *arguments)
            assert (found, answer["ok"], answer["unfinished"]) == (code, False, unfinished), answer


@pytest.fixture(params=["directory", "file"])
def form(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "directory")


@pytest.fixture(params=["keyed", "unkeyed"])
def case(
    request: pytest.FixtureRequest,
    form: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Case:
    return Case(tmp_path, capsys, form, request.param == "keyed")


@pytest.fixture
def keyed(form: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Case:
    return Case(tmp_path, capsys, form, is_keyed=True)


@pytest.mark.parametrize("tear", TEARS)
def test_a_torn_end_is_unfinished(case: Case, tear: str) -> None:
    torn = TEARS[tear](case.content, case.start)
    case.file.write_bytes(torn)
    torn_bytes = len(torn.rstrip(b"\0")) - case.start
    for tool in TOOLS:
        code, answer = case.json(tool)
        assert (code, answer["ok"], answer["unfinished"]) == (3, False, True), answer
        assert (answer["segment"], answer["offset"]) == (case.file.name, case.start)
        assert (answer["sequence"], answer["bytes_torn"]) == (case.count, torn_bytes)
        code, out, err = case.run(tool, *case.key)
        assert (code, err) == (3, "")
        said = f"{case.log}: UNFINISHED: record {case.count - 1} is the last whole one; segment "
        assert out.startswith(f"{said}{case.file.name}, offset {case.start}, "), out
        assert out.endswith(": the next start cuts them off, keeps a copy, and goes on\n")
    if case.log.is_dir():  # and so it does
        recovered = recover_log(case.log, case.hasher)
        recovered.lock.release()
        assert [cut.bytes_cut for cut in recovered.cuts] == [torn_bytes]
        assert {case.json(tool)[0] for tool in TOOLS} == {0}


def test_zeros_alone_behind_the_last_record_are_no_torn_end(case: Case) -> None:
    case.file.write_bytes(case.content + bytes(4096))
    for tool in TOOLS:
        code, answer = case.json(tool)
        assert (code, answer["ok"], answer["head_sequence"]) == (0, True, case.count)


def test_other_damage_is_no_torn_end(case: Case) -> None:
    content, start = case.content, case.start
    flipped = bytearray(content)
    flipped[start + 300] ^= 1
    damages = (
        bytes(flipped),
        content[: start - 1] + content[start:],  # a newline that is missing in the middle
        content[:start] + b"\n" + content[start:],
        content[:start] + b"\n",
        content[:start] + b"x",
        content[: start + 40] + b"\0" + content[start + 41 :],
        _with_hole(content, 0),
    )
    for damaged in damages:
        case.file.write_bytes(damaged)
        case.check(1, unfinished=False)


def test_a_first_record_that_is_not_whole_is_nobodys(case: Case) -> None:
    case.file.write_bytes(case.content[:100])
    case.check(1, unfinished=False)


def test_a_first_batch_that_is_not_whole_waits_for_an_option(case: Case) -> None:
    assert b'"opening_records":7}' in case.records[0]
    case.file.write_bytes(chained(case.records[:7], case.hasher)[:-7])
    for tool in TOOLS:
        code, answer = case.json(tool)
        assert (code, answer["unfinished"], answer["sequence"]) == (3, True, 7)
        assert "a start with --new-log sets them aside" in answer["remedy"]


def test_a_log_of_others_has_no_torn_end(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(POLICY.as_dict()))
    content = chained([dump(record) for record in DECISIONS], case.hasher)
    start = len(chained([dump(record) for record in DECISIONS[:-1]], case.hasher))
    for cut in (content[:-1], content[: start + 40], content + bytes(512)):
        case.file.write_bytes(cut)
        for tool, arguments in (("verify", ()), ("replay", ("--policy", policy))):
            code, answer = case.json(tool, *arguments)
            assert (code, answer["ok"], answer["unfinished"]) == (1, False, False)
    blank = content[:start] + b"\n" + content[start:]
    case.file.write_bytes(blank)
    assert case.json("verify")[0] == case.json("replay", "--policy", policy)[0] == 0


def test_an_anchor_protects_what_it_names(case: Case, tmp_path: Path) -> None:
    case.file.write_bytes(case.content[:-7])
    anchor = tmp_path / "anchor.json"
    is_keyed = case.hasher.keyed
    whole_head = Head(0, "genesis")
    for data in case.records[:-1]:
        entry_hash = case.hasher.entry_hash(whole_head.entry_hash, data)
        whole_head = Head(whole_head.sequence + 1, entry_hash)
    write_anchor(anchor, anchor_of(whole_head, is_keyed))
    case.check(3, "--anchor", anchor, unfinished=True)
    write_anchor(anchor, anchor_of(whole_head._replace(sequence=case.count), is_keyed))
    case.check(1, "--anchor", anchor, unfinished=False)
    write_anchor(anchor, anchor_of(whole_head._replace(entry_hash="0" * 64), is_keyed))
    case.check(1, "--anchor", anchor, unfinished=False)


@pytest.mark.parametrize(("count", "code"), [(0, 1), (-1, 3)])
def test_a_checkpoint_protects_its_record(keyed: Case, count: int, code: int) -> None:
    """Also for the one file, which is then a segment of that directory."""
    sequence = keyed.count + count
    segment = keyed.directory / NAME
    segment.write_bytes(keyed.content)
    checkpoint(keyed.directory, sequence)
    segment.write_bytes(keyed.content[:-7])
    keyed.log = segment if keyed.log != keyed.directory else keyed.directory
    keyed.check(code, unfinished=code == 3)
    if code == 1:  # the manifest stands for it, whether or not its file is there
        path_of(keyed.directory, sequence).unlink()
        keyed.check(code, unfinished=False)


def test_a_given_checkpoint_protects_its_record(keyed: Case) -> None:
    elsewhere = keyed.root / "elsewhere"
    elsewhere.mkdir()
    info = checkpoint(elsewhere, keyed.count)
    keyed.file.write_bytes(keyed.content[:-7])
    code, answer = keyed.json("replay", "--checkpoint", info.path)
    assert (code, answer["unfinished"]) == (1, False)


def test_a_segment_with_later_ones_beside_it_is_no_end(keyed: Case) -> None:
    segment, later = keyed.directory / NAME, keyed.directory / "00000002.jsonl"
    segment.write_bytes(keyed.content[:-7])
    is_directory = keyed.log == keyed.directory
    keyed.log = keyed.directory if is_directory else segment
    keyed.check(3, unfinished=True)
    later.touch()
    keyed.check(1, unfinished=False)
    if not is_directory:
        keyed.log = keyed.root / "link.jsonl"
        keyed.log.symlink_to(segment)
        keyed.check(1, unfinished=False)
        later.unlink()
        keyed.check(3, unfinished=True)


def test_a_clean_stop_protects_what_stands_before_it(keyed: Case) -> None:
    keyed.file.write_bytes(chained(RECORDS[:CLOSED]) + b'{"sequence":')
    keyed.check(1, unfinished=False)


def test_a_record_against_the_rules_before_a_torn_end_is_damage(keyed: Case) -> None:
    at = next(n for n, data in enumerate(keyed.records) if b'"fee_microcents":' in data)
    forged = list(keyed.records)
    forged[at] = forged[at].replace(b'"fee_microcents":', b'"fee_microcents":9', 1)
    keyed.file.write_bytes(chained(forged)[:-7])
    assert keyed.json("verify")[0] == 3
    code, answer = keyed.json("replay")
    assert (code, answer["unfinished"], answer["sequence"]) == (1, False, at + 1)


def test_what_a_daemon_is_writing_is_no_torn_end(keyed: Case) -> None:
    """Up to the head that it tells, all is durable; a segment alone says nothing of that."""
    segment = keyed.directory / NAME
    segment.write_bytes(keyed.content[:-7])
    is_directory = keyed.log == keyed.directory
    keyed.log = keyed.directory if is_directory else segment
    head = HeadFile(keyed.directory)
    try:
        head.write(PublishedHead(HEADS[keyed.count - 1], NAME, keyed.start))
        for tool in TOOLS:
            code, out, err = keyed.run(tool, *keyed.key)
            assert code == (0 if is_directory else 2), out + err
            assert is_directory or "a daemon is writing it" in err
        head.write(PublishedHead(HEADS[keyed.count], NAME, len(keyed.content)))
        if is_directory:
            keyed.check(1, unfinished=False)
    finally:
        head.close()


def test_another_key_is_wrong_use(case: Case) -> None:
    wrong = case.root / "wrong"
    wrong.write_bytes(KEY[::-1])
    wrong.chmod(0o600)
    for content in (case.content, case.content[:-7]):
        case.file.write_bytes(content)
        kinds = [(("--key-file", wrong), "the key is not the one" if case.key else "is unkeyed")]
        if case.key:
            kinds.append(((), "the log is keyed and no key was given"))
        for arguments, words in kinds:
            for tool in TOOLS:
                code, out, err = case.run(tool, *arguments)
                assert (code, out) == (2, "")
                assert words in err, err


def test_an_anchor_of_another_kind_of_log_is_wrong_use(case: Case, tmp_path: Path) -> None:
    case.file.write_bytes(case.content)
    anchor = tmp_path / "anchor.json"
    write_anchor(anchor, anchor_of(HEADS[1], keyed=not case.hasher.keyed))
    for tool in TOOLS:
        code, out, err = case.run(tool, *case.key, "--anchor", anchor)
        assert (code, out) == (2, "")
        assert "the anchor is of" in err


def test_nothing_to_verify_is_wrong_use(case: Case) -> None:
    for content in (b"", bytes(4096)):
        case.file.write_bytes(content)
        for tool in TOOLS:
            code, out, err = case.run(tool, *case.key)
            assert (code, out) == (2, "")
            assert "nothing to" in err


def test_export_of_a_torn_log_says_the_same(keyed: Case, tmp_path: Path) -> None:
    keyed.file.write_bytes(keyed.content[:-7])
    out = tmp_path / "out"
    out.mkdir()
    code, answer = keyed.json("export", "--decisions", out / "d.jsonl")
    assert (code, answer["unfinished"], answer["sequence"]) == (3, True, keyed.count)
    assert list(out.iterdir()) == []


def test_a_log_without_its_first_segments_has_a_torn_end_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case(tmp_path, capsys, is_directory=True, is_keyed=True)
    shutil.rmtree(case.directory)
    write_day(case.directory)
    first, *_, last = list_segments(case.directory)
    assert OLDER >= 9
    first.unlink()
    last.write_bytes(last.read_bytes().rstrip(b"\0")[:-7])
    case.check(3, unfinished=True)
    assert case.json("verify")[1]["sequence"] == len(RECORDS)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_torn_end_behind_several_segments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], jobs: int
) -> None:
    case = Case(tmp_path, capsys, is_directory=True, is_keyed=True)
    shutil.rmtree(case.directory)
    write_day(case.directory)
    first, *_, last = list_segments(case.directory)
    last.write_bytes(last.read_bytes().rstrip(b"\0")[:-7])
    case.check(3, "--jobs", jobs, unfinished=True)
    code = main(["archive", str(case.log), str(tmp_path / "archive"), *case.key])
    assert (code, first.exists()) == (3, True)
    assert ": UNFINISHED: " in capsys.readouterr().out
    first.write_bytes(first.read_bytes()[:-7])
    case.check(1, "--jobs", jobs, unfinished=False)


@pytest.mark.parametrize("tool", ["prove", "export", "salvage"])
def test_another_key_is_wrong_use_of_what_reads_the_whole_log(
    keyed: Case, tmp_path: Path, tool: str
) -> None:
    keyed.log = keyed.directory
    (keyed.directory / NAME).write_bytes(keyed.content)
    wrong, out = tmp_path / "wrong", tmp_path / "out"
    wrong.write_bytes(KEY[::-1])
    wrong.chmod(0o600)
    signing = tmp_path / "signing"
    assert main(["keygen", "--signing", str(signing), "--name", "test"]) == 0
    arguments: dict[str, tuple[object, ...]] = {
        "prove": ("--signing-key", signing, "--sequence", 1),
        "export": ("--decisions", out),
    }
    code, _out, err = keyed.run(tool, *arguments.get(tool, (out,)), "--key-file", wrong)
    assert code == 2, err
    assert "key" in err
