"""Rules have versions: a log's older records are decided by those of then, its newer by today's.

A rule that is there for the test alone stands in version 2 and not in version 1: one of the table's
own rows in both forms, and a new function where the source runs as it stands.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from daemon_support import Site, config_text
from guard import GUARD_FORM
from guard.config.activation import rules_events
from guard.config.file import parse_config
from guard.engine import checks
from guard.engine.checks import (
    BEFORE_KERNEL_BY_VERSION,
    BEHIND_KERNEL_BY_VERSION,
    CHECKS_BEFORE_KERNEL,
    CHECKS_BEHIND_KERNEL,
    Check,
    in_force,
)
from guard.engine.events import RULES_VERSION, RULES_VERSIONS
from guard.protocol.reasons import Refusal
from guard.recovery.checkpoint_payload import encode_state, state_digest_hex
from guard.recovery.recover import NotOurLogError, fold_log
from guard.replay.replay import ReplayMismatch, ReplayReport, replay_log
from guard_support import KEY, T0, LoggedEngine, actor, describe, fold, order, write_log
from wal import ChainHasher, Head, write_checkpoint

HASHER = ChainHasher(KEY)
ACTIVATED = b'"rules_version":3,"previous_rules_version":1}'


def served_again(older: LoggedEngine) -> LoggedEngine:
    """The same log, behind the first start of software whose rules are today's."""
    older.restart()
    for event in rules_events(older.state, actor(T0)):
        event.batch_first_sequence = older.batch_first_sequence
        older.log(event)
    return older


def written(directory: Path, records: list[bytes]) -> Path:
    """A log of these, in place of any that is there."""
    shutil.rmtree(directory, ignore_errors=True)
    write_log(directory, records)
    return directory


def replay(directory: Path, records: list[bytes]) -> ReplayReport:
    return replay_log(written(directory, records), HASHER)


@contextmanager
def behind_kernel(by_version: list[list[Check]]) -> Iterator[None]:
    """Other rows behind the kernel, by version."""
    as_they_were = BEHIND_KERNEL_BY_VERSION[:]
    BEHIND_KERNEL_BY_VERSION[:] = by_version
    try:
        yield
    finally:
        BEHIND_KERNEL_BY_VERSION[:] = as_they_were


def since_version_2(number: int) -> AbstractContextManager[None]:
    """Version 1 has no row for that reason behind the kernel."""
    before = [check for check in CHECKS_BEHIND_KERNEL if check.number != number]
    assert len(before) == len(CHECKS_BEHIND_KERNEL) - 1
    return behind_kernel([before, before, CHECKS_BEHIND_KERNEL, CHECKS_BEHIND_KERNEL])


def elsewhere(name: str) -> object:
    """An order that asks for a worse venue than there is, and for no other."""
    return order(name, venue=30, allow_substitute=False)


def a_log_of_two_versions() -> LoggedEngine:
    engine = LoggedEngine(rules_version=1)
    assert engine.admit(elsewhere("A-1")).substituted
    served_again(engine)
    assert engine.records[-1].endswith(ACTIVATED)
    assert engine.reject(elsewhere("A-2")).reason == "substitution_not_allowed"
    return engine


def test_a_fresh_log_and_its_next_session_name_no_other_version() -> None:
    engine = LoggedEngine()
    assert engine.state.rules_version == RULES_VERSION == RULES_VERSIONS[-1] == 3
    assert rules_events(engine.state, actor()) == []


def test_a_row_counts_from_its_first_version_to_its_last() -> None:
    always = Check(int(Refusal.DISK_LOW), "guard", False, 1, RULES_VERSION)
    newer = Check(int(Refusal.DISK_LOW), "guard", False, 2, RULES_VERSION)
    older = Check(int(Refusal.DISK_LOW), "guard", False, 1, 1)
    since = [[always, older], [always, older], [always, newer], [always, newer]]
    assert in_force([always, newer, older]) == since


def test_the_tables_are_what_the_rows_say() -> None:
    assert in_force(CHECKS_BEFORE_KERNEL) == BEFORE_KERNEL_BY_VERSION
    assert in_force(CHECKS_BEHIND_KERNEL) == BEHIND_KERNEL_BY_VERSION


def test_replay_decides_each_record_by_the_version_of_its_place(tmp_path: Path) -> None:
    with since_version_2(Refusal.SUBSTITUTION_NOT_ALLOWED):
        engine = a_log_of_two_versions()
        report = replay(tmp_path / "log", engine.records)
        assert report.events["rules_activated"] == 1
        assert report.reasons["substitution_not_allowed"] == 1
        assert describe(report.engine.state) == describe(engine.state)
        # Without the record between them the second decision is none of version 1.
        without = LoggedEngine(rules_version=1)
        without.admit(elsewhere("A-1"))
        at = len(without.records) + 1
        records = [*without.records, engine.records[-1].replace(b":11", b":9")]
        with pytest.raises(ReplayMismatch, match=f"record {at}: "):
            replay(tmp_path / "without", records)
    with pytest.raises(ReplayMismatch, match="record 8: decided again it differs"):
        replay(tmp_path / "log", engine.records)  # nor the first one any of version 2


def test_a_start_needs_no_version(tmp_path: Path) -> None:
    with since_version_2(Refusal.SUBSTITUTION_NOT_ALLOWED):
        engine = a_log_of_two_versions()
    found, _ = fold_log(written(tmp_path / "log", engine.records), HASHER)
    assert describe(found.state) == describe(engine.state)
    assert state_digest_hex(found.state) == state_digest_hex(engine.state)


@pytest.mark.parametrize("count", [8, 10, 12])
def test_from_a_checkpoint_on_it_is_the_version_of_that_state(count: int, tmp_path: Path) -> None:
    with since_version_2(Refusal.SUBSTITUTION_NOT_ALLOWED):
        engine = a_log_of_two_versions()
        log = written(tmp_path / "log", engine.records)
        entry_hash = "genesis"
        for data in engine.records[:count]:
            entry_hash = HASHER.entry_hash(entry_hash, data)
        state = fold(engine.records[:count]).state
        assert state.rules_version == (3 if count == 12 else 1)
        info = write_checkpoint(
            log, Head(count, entry_hash), state_digest_hex(state), encode_state(state), HASHER
        )
        report = replay_log(log, HASHER, beginning=info)
        assert describe(report.engine.state) == describe(engine.state)
        found, _ = fold_log(log, HASHER, None, info)
        assert describe(found.state) == describe(engine.state)


@pytest.mark.skipif(GUARD_FORM == "compiled", reason="a row's function is one of C there")
def test_a_rule_of_its_own_is_one_row_with_its_version(tmp_path: Path) -> None:
    def unlucky(_state: object, request: object, outcome: object, _found: object) -> bool:
        outcome.asked, outcome.limit, outcome.used = 13, 12, 0  # type: ignore[attr-defined]
        return bool(request.quantity == 13)  # type: ignore[attr-defined]

    row = checks.row(Refusal.QUANTITY_OUT_OF_RANGE, "order", unlucky, since_version=2)
    with behind_kernel(in_force([*CHECKS_BEHIND_KERNEL, row])):
        engine = LoggedEngine(rules_version=1)
        engine.admit(order("A-1", quantity=13))
        served_again(engine)
        assert engine.reject(order("A-2", quantity=13)).reason == "quantity_out_of_range"
        engine.admit(order("A-3", quantity=14))
        report = replay(tmp_path / "log", engine.records)
        assert (report.reasons["quantity_out_of_range"], report.decision_count) == (1, 3)
    with pytest.raises(ReplayMismatch, match="record 12: decided again it differs"):
        replay(tmp_path / "log", engine.records)


FORGED = (
    (b'"rules_version":3,', b'"rules_version":4,', "are version 4, and this software knows"),
    (b'"rules_version":3,', b'"rules_version":1,', "rules_version: 1 is not allowed; .*above 1"),
    (b'"rules_version":3,', b'"rules_version":0,', "rules_version: 0 is not allowed; .*int >= 1"),
    (b'"rules_version":3,', b'"rules_version":4294967296,', "rules_version: 4294967296 is not"),
    (b"previous_rules_version\":1", b"previous_rules_version\":2", "previous_rules_version: 2 is "),
    (b'"batch_first_sequence":9', b'"batch_first_sequence":10', "batch_first_sequence: 10 is not"),
)  # fmt: skip


@pytest.mark.parametrize(("old", "new", "words"), FORGED)
def test_what_no_guard_writes_of_it_is_refused(
    old: bytes, new: bytes, words: str, tmp_path: Path
) -> None:
    engine = LoggedEngine(rules_version=1)
    served_again(engine)
    assert engine.records[-1].count(old) == 1
    log = written(tmp_path / "log", [*engine.records[:-1], engine.records[-1].replace(old, new)])
    with pytest.raises(NotOurLogError, match=f"record 10: .*{words}"):
        fold_log(log, HASHER)
    with pytest.raises(ReplayMismatch, match=f"record 10: .*{words}"):
        replay_log(log, HASHER)


def test_it_stands_behind_the_start_of_a_session_and_nowhere_else(tmp_path: Path) -> None:
    opened = LoggedEngine(rules_version=1)
    late = LoggedEngine(rules_version=1)
    late.restart()
    late.admit(order())
    for engine in (opened, late):
        (event,) = rules_events(engine.state, actor(T0))
        event.batch_first_sequence = engine.batch_first_sequence
        sequence = len(engine.records) + 1
        engine.log(event)
        log = written(tmp_path / "log", engine.records)
        words = f"record {sequence}: .*'rules_activated' is not allowed; .* behind session_started"
        with pytest.raises(NotOurLogError, match=words):
            fold_log(log, HASHER)
        with pytest.raises(ReplayMismatch, match=words):
            replay_log(log, HASHER)


def test_a_daemon_logs_it_once_and_refuses_what_is_newer(tmp_path: Path) -> None:
    older = LoggedEngine(parse_config(config_text()), rules_version=1)
    site = Site(tmp_path, key=KEY)
    written(site.log, older.records)
    with site.running(new_log=False) as daemon:
        assert daemon.stop() == 0
        said = r"the log's rules were version 1, from here on they are version 3: software that"
        assert len(re.findall(said, daemon.stderr)) == 1
    with site.running() as daemon:
        assert daemon.stop() == 0
        assert "rules" not in daemon.stderr
    events = site.events()
    at = events.index("session_started")
    assert events[at : at + 2] == ["session_started", "rules_activated"]
    assert events.count("rules_activated") == 1
    started, activated = site.records()[at : at + 2]
    assert activated["batch_first_sequence"] == started["batch_first_sequence"] == at + 1
    assert (activated["by"], activated["why"]) == (started["by"], "start")
    assert (activated["previous_rules_version"], activated["rules_version"]) == (1, 3)
    site.replay()
    newer = older.records[0].replace(b'"rules_version":1', b'"rules_version":4')
    written(site.log, [newer, *older.records[1:]])
    done = site.refused(new_log=False)
    assert done.returncode == 1
    assert "record 1: " in done.stderr
    assert (
        "from here on the log's rules are version 4, and this software knows versions 1 to 3: the "
        "log takes newer software" in done.stderr
    )
