"""The tampering list, logs: every way to forge one that we thought of, and which check finds it.

Each row says what was done, the weakest check that is meant to find it, and the reason that it must
give; the weaker ones must let it pass, since that is what the threat model promises, and no more
(`guard/THREATS.md`). The list of forged proofs is `tests/guard/audit/test_forged_proofs.py`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from guard.audit.prove import ForkedLogError, prove_consistency
from guard.record.codec import DIALECT
from guard.replay.replay import replay_log
from guard_audit_support import (
    HASHER,
    NAME,
    SIGNING_KEY,
    DayLog,
    another_log,
    chained,
    changed,
    flipped,
)
from guard_support import KEY, settled, write_log
from wal import Anchor, ChainHasher, WalDamage, anchor_of, verify_chain

ANOTHER_KEY = bytes(range(1, 33))
KEY_ID = ChainHasher(KEY).key_id.encode()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> DayLog:
    return DayLog(tmp_path_factory.mktemp("day"))


# What finds it: the chain with the key, the anchor beside it, replay, or a signed head.
CHAIN, ANCHOR, REPLAY, HEAD = "chain", "anchor", "replay", "head"


class Forgery(NamedTuple):
    """`make` takes the true log and gives the lines of the forged one."""

    name: str
    make: Callable[[DayLog], list[bytes]]
    found_by: str
    reason: str


LOGS = (
    Forgery(
        "a flipped bit in a record's data",
        lambda day: [*day.lines[:20], flipped(day.lines[20], 230), *day.lines[21:]],
        CHAIN,
        "record 21: entry_hash does not match the record's bytes",
    ),
    Forgery(
        "a flipped bit in a record's braces",
        lambda day: [*day.lines[:20], flipped(day.lines[20], -20), *day.lines[21:]],
        CHAIN,
        "record 21: the line is not JSON",
    ),
    Forgery(
        "a flipped bit in a hash",
        lambda day: [*day.lines[:20], flipped(day.lines[20], 120), *day.lines[21:]],
        CHAIN,
        "record 21: entry_hash does not match|record 21: previous_hash is not the hash",
    ),
    Forgery(
        "two records swapped",
        lambda day: [*day.lines[:20], day.lines[21], day.lines[20], *day.lines[22:]],
        CHAIN,
        "record 21: the record says that it is 22",
    ),
    Forgery(
        "two records swapped and numbered anew",
        lambda day: [
            *day.lines[:20],
            day.lines[21].replace(b'"sequence":22', b'"sequence":21'),
            day.lines[20].replace(b'"sequence":21', b'"sequence":22'),
            *day.lines[22:],
        ],
        CHAIN,
        "record 21: previous_hash is not the hash of the record before",
    ),
    Forgery(
        "a record taken out",
        lambda day: [*day.lines[:20], *day.lines[21:]],
        CHAIN,
        "record 21: the record says that it is 22",
    ),
    Forgery(
        "a record twice",
        lambda day: [*day.lines[:21], *day.lines[20:]],
        CHAIN,
        "record 22: the record says that it is 21",
    ),
    Forgery(
        "the first records taken out",
        lambda day: day.lines[2:],
        CHAIN,
        "record 1: the record says that it is 3",
    ),
    Forgery(
        "a blank line put in",
        lambda day: [*day.lines[:20], b"", *day.lines[20:]],
        CHAIN,
        "record 21: the line is blank",
    ),
    Forgery(
        "a line that is no record put in",
        lambda day: [*day.lines[:20], b"garbage", *day.lines[20:]],
        CHAIN,
        "record 21: the line is not JSON",
    ),
    Forgery(
        "a member hidden in a line",
        lambda day: [
            *day.lines[:20],
            day.lines[20].replace(b'"data":', b'"date":1,"data":'),
            *day.lines[21:],
        ],
        CHAIN,
        "record 21: the line has a member that is no part of an entry",
    ),
    Forgery(
        "a changed record, chained anew without a key",
        lambda day: chained(changed(day.records, b'"A-2"', b'"A-X"'), key=None),
        CHAIN,
        "record 1: a key was given but the log is unkeyed",
    ),
    Forgery(
        "a changed record, chained anew with another key",
        lambda day: chained(changed(day.records, b'"A-2"', b'"A-X"'), key=ANOTHER_KEY),
        CHAIN,
        "record 1: entry_hash does not match",
    ),
    Forgery(
        "the same, the log naming that key",
        lambda day: chained(
            changed(day.records, KEY_ID, ChainHasher(ANOTHER_KEY).key_id.encode()),
            key=ANOTHER_KEY,
        ),
        CHAIN,
        "record 1: the key is not the one that the log was written with",
    ),
    Forgery(
        "the end of another log of the same key behind our beginning",
        lambda day: [*day.lines[:20], *chained(another_log())[20:]],
        CHAIN,
        "record 21: previous_hash is not the hash of the record before",
    ),
    Forgery(
        "the end cut off between two records",
        lambda day: day.lines[:-3],
        ANCHOR,
        "the log ends before its anchor, which is at record",
    ),
    Forgery(
        "another whole log of the same key in its place",
        lambda day: chained(another_log()),
        ANCHOR,
        "the record is not the anchored one",
    ),
    Forgery(
        "a changed end, chained anew with the key",
        lambda day: chained([*day.records[:-1], day.records[-2]]),
        ANCHOR,
        "the record is not the anchored one",
    ),
    Forgery(
        "a changed decision, chained anew with the key",
        lambda day: chained(changed(day.records, b'"eligible_models":3', b'"eligible_models":2')),
        REPLAY,
        "decided again it differs",
    ),
    Forgery(
        "an admit in a reject's place, chained anew with the key",
        lambda day: chained(
            changed(day.records, b'"reason":"risk_hard_limit"', b'"reason":"budget_constraint"')
        ),
        REPLAY,
        "decided again it differs",
    ),
    Forgery(
        "an order taken out, chained anew with the key",
        lambda day: chained(
            [data for data in day.records if b'"client_order_id":"A-2"' not in data]
        ),
        REPLAY,
        "the event cannot follow|decided again it differs",
    ),
    *(
        Forgery(
            f"an order that no client can have sent ({name}), chained anew with the key",
            lambda day, old=old, new=new: chained(  # type: ignore[misc]
                [data.replace(old, new) for data in day.records]
            ),
            REPLAY,
            f"the event cannot follow: {reason}",
        )
        for name, old, new, reason in (
            ("its id", b'"A-2"', b'"A 2"', "client_order_id: 'A 2' is not allowed; allowed: 1 to"),
            ("its id", b'"A-2"', b'"A\\u00002"', r"client_order_id: 'A\\x002' is not allowed"),
            ("its desk", b'"nobody"', b'"no body"', "desk: 'no body' is not allowed"),
            ("a fill's id", b'"F-9"', b'"F 9"', "fill_id: 'F 9' is not allowed"),
            (
                "its currency",
                b'"currency":"USD","sent_at_ns"',
                b'"currency":"EUR","sent_at_ns"',
                "currency: 'EUR' is not allowed; allowed: USD",
            ),
        )
    ),
    # Field by field: `tests/guard/record/test_rules.py`.
    *(
        Forgery(
            f"{name}, chained anew with the key",
            lambda day, old=old, new=new: chained(  # type: ignore[misc]
                settled(changed(day.records, old, new))
            ),
            REPLAY,
            f"the event cannot follow: {reason}",
        )
        for name, old, new, reason in (
            ("a time before that of the record before", b"00003,", b"00001,", "received_at_ns: "),
            (
                "a batch that is yet to come",
                b'"batch_first_sequence":12',
                b'"batch_first_sequence":13',
                "batch_first_sequence: 13 is not allowed; allowed: 12, its own sequence, or 11",
            ),
            (
                "the log of another key",
                KEY_ID,
                b"0123456789abcdef",
                "key_id: '0123456789abcdef' is",
            ),
            (
                "a session that is another one",
                b'"epoch":3',
                b'"epoch":9',
                "epoch: 9 is not allowed",
            ),
        )
    ),
    Forgery(
        "who did it changed, chained anew with the key",
        lambda day: chained(settled(changed(day.records, b'"by":"tester"', b'"by":"nobody"'))),
        HEAD,
        "are not those that the log's key has signed",
    ),
    Forgery(
        "the last order taken out, chained anew with the key",
        lambda day: chained(day.records[:-2]),
        HEAD,
        "records, and its key has signed",
    ),
)


def check_log(found_by: str, path: Path, day: DayLog) -> None:
    """Raise what this check finds in the log; a good log passes all four."""
    if found_by == CHAIN:
        verify_chain(path, HASHER, DIALECT)
    elif found_by == ANCHOR:
        verify_chain(path, HASHER, DIALECT, anchor_of(day.head, keyed=True))
    elif found_by == REPLAY:
        replay_log(path, HASHER)
    else:
        prove_consistency(path, HASHER, day.checkpoint, SIGNING_KEY, NAME)


@pytest.mark.parametrize("forgery", LOGS, ids=lambda forgery: forgery.name)
def test_a_forged_log_is_found(forgery: Forgery, day: DayLog, tmp_path: Path) -> None:
    lines = forgery.make(day)
    assert lines != day.lines
    path = tmp_path / "00000001.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    weaker = {CHAIN: [], ANCHOR: [CHAIN], REPLAY: [CHAIN], HEAD: [CHAIN, REPLAY]}
    for check in weaker[forgery.found_by]:
        check_log(check, path, day)
    with pytest.raises((WalDamage, ForkedLogError), match=forgery.reason):
        check_log(forgery.found_by, path, day)
    # Whoever has kept a signed head finds them all.
    with pytest.raises((WalDamage, ForkedLogError)):
        check_log(HEAD, path, day)


@pytest.mark.parametrize("check", [CHAIN, ANCHOR, REPLAY, HEAD])
def test_the_true_log_passes_every_check(check: str, day: DayLog) -> None:
    check_log(check, day.directory, day)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda whole: whole[:-1], "the last line has no newline"),
        (lambda whole: whole[:-100], "the last line has no newline"),
        (lambda whole: whole + b"\0" * 512 + b"1", "zeros stand where a record should"),
        (lambda whole: whole + b"\n", "the line is blank"),
        (lambda whole: b"\xef\xbb\xbf" + whole, "is not JSON|not UTF-8"),
    ],
)
def test_a_file_with_other_bytes_at_its_ends(
    content: Callable[[bytes], bytes], reason: str, day: DayLog, tmp_path: Path
) -> None:
    path = tmp_path / "00000001.jsonl"
    whole = (day.directory / "00000001.jsonl").read_bytes()
    assert content(whole) != whole
    path.write_bytes(content(whole))
    with pytest.raises(WalDamage, match=reason):
        check_log(CHAIN, path, day)


def test_an_anchor_that_says_otherwise(day: DayLog) -> None:
    for anchor, reason in (
        (anchor_of(day.head, keyed=False), "the anchor is of an unkeyed log"),
        (replace_anchor(day, last_hash="0" * 64), "the record is not the anchored one"),
        (replace_anchor(day, sequence=day.head.sequence - 1), "is not the anchored one"),
        (replace_anchor(day, sequence=day.head.sequence + 1), "ends before its anchor"),
    ):
        with pytest.raises(WalDamage, match=reason):
            verify_chain(day.directory, HASHER, DIALECT, anchor)


def replace_anchor(day: DayLog, **changes: object) -> Anchor:
    fields = {"sequence": day.head.sequence, "last_hash": day.head.entry_hash, "keyed": True}
    return Anchor("calybris.wal-anchor.v1", **(fields | changes))  # type: ignore[arg-type]


def test_no_flipped_bit_of_a_small_log_passes(tmp_path: Path) -> None:
    records = another_log()[:9]
    head = write_log(tmp_path / "log", records)
    whole = (tmp_path / "log" / "00000001.jsonl").read_bytes()
    path = tmp_path / "00000001.jsonl"
    for at in range(0, len(whole), 41):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        with pytest.raises(WalDamage):
            verify_chain(path, HASHER, DIALECT, anchor_of(head, keyed=True))
