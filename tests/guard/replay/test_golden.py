"""Logs that a guard of an older format version wrote still open, with the state that they had.

`tests/data/logs/README.md` says how the golden directories were made; each is checked in and never
made again.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from daemon_support import Site
from golden_support import (
    NAME,
    SIGNING_KEY,
    outcome_of,
    resend,
    unpack_golden,
    write_golden,
)
from guard.audit.check import ProvenRecord, check_proof
from guard.audit.prove import Wanted, prove_record
from guard.config.activation import find_differences
from guard.config.file import parse_config
from guard.engine.events import LOG_FORMAT_VERSION
from guard.record.codec import DIALECT
from guard.recovery.checkpoint_payload import state_digest_hex
from guard.recovery.recover import recover_log
from guard.replay.replay import ReplayMismatch, replay_log
from guard_support import ORDER_NOTIONAL, actor, check_conservation
from protocol_client import ProtocolClient, cancel, order
from wal import (
    ChainHasher,
    archive_segments,
    read_anchor,
    read_checkpoints,
    read_entries,
    verify_chain,
)

LOGS = Path(__file__).parent.parent.parent / "data" / "logs"
GOLDEN = {path.parent.name: path for path in sorted(LOGS.glob("*/guard"))}


class Golden:
    """A copy of a golden directory, and what is expected of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "log"
        self.hasher = ChainHasher((root / "key").read_bytes())
        self.anchor = read_anchor(root / "anchor.json")
        self.expected: dict[str, Any] = json.loads((root / "expected.json").read_text())


def test_a_log_from_before_version_1_was_settled_is_no_promise_of_the_guard() -> None:
    hasher = ChainHasher((LOGS / "v1" / "key").read_bytes())
    assert verify_chain(LOGS / "v1" / "one-segment", hasher, DIALECT).record_count == 26
    with pytest.raises(ReplayMismatch, match=r"record 18: .* unknown field `cut`$"):
        replay_log(LOGS / "v1" / "one-segment", hasher)


@pytest.fixture(params=GOLDEN)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Golden:
    return Golden(unpack_golden(GOLDEN[request.param], tmp_path / "golden"))


def test_there_is_one_for_each_format_version() -> None:
    assert list(GOLDEN) == [f"v{version}" for version in range(1, LOG_FORMAT_VERSION + 1)]


def check_as_recorded(golden: Golden, work: Path) -> None:
    report = verify_chain(golden.log, golden.hasher, DIALECT, golden.anchor)
    head = {"sequence": report.head.sequence, "entry_hash": report.head.entry_hash}
    assert head == golden.expected["head"]
    assert (report.native, report.closed_cleanly) == (True, True)
    found = outcome_of(golden.root, work)
    assert found == {name: golden.expected[name] for name in found}
    assert golden.expected.keys() - found.keys() == {"resent"}


def test_it_verifies_and_replays_to_what_was_recorded(golden: Golden, tmp_path: Path) -> None:
    check_as_recorded(golden, tmp_path)


def test_what_the_generator_writes_today_is_as_good(tmp_path: Path) -> None:
    write_golden(tmp_path / "today")
    today = Golden(unpack_golden(tmp_path / "today", tmp_path / "golden"))
    check_as_recorded(today, tmp_path)
    newest = json.loads((GOLDEN[f"v{LOG_FORMAT_VERSION}"] / "expected.json").read_text())
    # Versions of the software and the policy's numbers may change its records, its story may not.
    for name in ("events", "open_holds", "segment_count", "epoch"):
        assert today.expected[name] == newest[name]


# A start falls back from the newest checkpoint to the one before, and to the log alone.
@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_start_finds_the_recorded_state(lost: int, golden: Golden) -> None:
    checkpoints = golden.expected["checkpoints"]
    for each in checkpoints[:lost]:
        (golden.log / f"checkpoint-{each['sequence']:020d}.ckpt").unlink()
    recovered = recover_log(golden.log, golden.hasher, golden.anchor)
    recovered.lock.release()
    found = recovered.checkpoint
    begun = [*(each["sequence"] for each in checkpoints), None][lost]
    assert (None if found is None else found.sequence) == begun
    assert len(recovered.alarms) == lost
    state = recovered.engine.state
    assert state_digest_hex(state) == golden.expected["state_digest_hex"]
    assert state.ledger.snapshot().digest.hex() == golden.expected["ledger_digest_hex"]
    assert state.is_closed_cleanly
    check_conservation(state)
    config = parse_config((golden.root / "guard.toml").read_text())
    assert find_differences(state, config, actor()) == []
    for each in golden.expected["resent"]:
        assert resend(recovered.engine, each["request"]) == each["reply"]


def test_each_checkpoint_leads_to_the_end_without_what_is_archived(
    golden: Golden, tmp_path: Path
) -> None:
    for info in reversed(read_checkpoints(golden.log, golden.hasher)):
        archive_segments(golden.log, tmp_path / "archive", info.head.sequence)
        report = replay_log(golden.log, golden.hasher, beginning=info)
        digest_hex = state_digest_hex(report.engine.state)
        assert digest_hex == golden.expected["state_digest_hex"]
        assert report.record_count == report.head.sequence - info.head.sequence


def test_its_records_can_be_proven(golden: Golden) -> None:
    for wanted in (
        Wanted("desk-alpha", "A-1"),
        Wanted("desk-alpha", "T-4"),
        Wanted("desk-alpha", "A-1", fill_id="F-2"),
        Wanted(sequence=golden.expected["head"]["sequence"]),
    ):
        made = prove_record(golden.log, golden.hasher, wanted, SIGNING_KEY, NAME)
        proven = check_proof(made.proof, SIGNING_KEY.verifier_key, NAME)
        assert isinstance(proven, ProvenRecord)
        assert proven.entry.sequence == made.sequence
        assert proven.checkpoint.root.hex() == golden.expected["merkle_root_hex"]


def test_what_a_repair_cut_is_still_beside_it_and_named(golden: Golden) -> None:
    (copy,) = golden.log.glob("*.cut-*")
    entries = read_entries(golden.log, golden.hasher, DIALECT)
    named = [cut for entry in entries for cut in json.loads(entry.data).get("cuts", [])]
    assert [(cut["copy_name"], cut["bytes_cut"]) for cut in named] == [
        (copy.name, copy.stat().st_size)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDEN)
def test_a_daemon_goes_on_with_it(name: str, tmp_path: Path) -> None:
    golden = Golden(unpack_golden(GOLDEN[name], tmp_path / "golden"))
    site = Site(
        tmp_path, (golden.root / "guard.toml").read_text(), (golden.root / "key").read_bytes()
    )
    shutil.copytree(golden.log, site.log)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        # It is told which rules decide from here on: they are not those of then.
        assert f"head {golden.expected['head']['sequence'] + 2}," in daemon.ready_line
        # By today's clock the ids of closed orders are forgotten. An open order never is.
        assert client.ask(order("N-1"))["type"] == "admit"
        released = client.ask(cancel("T-3"))
        assert (released["type"], released["repeat"]) == ("released", False)
        assert released["released_microcents"] == ORDER_NOTIONAL
        assert daemon.stop() == 0
        assert daemon.stderr.count("ALARM") == 0
    added = site.events()[golden.expected["record_count"] :]
    assert added == ["session_started", "rules_activated", "order", "release", "session_closed"]
    site.replay()
