"""`pretrade-guard replay` for an auditor: text, JSON, one order, other rules; exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from guard.cli import main
from guard_checkpoint_support import OLDER, write_day
from guard_day_support import trading_day
from guard_support import DEV_CONFIG_TEXT, KEY, LoggedEngine, order, write_log
from umask_support import mode_of, umask

DAY = trading_day().records


@pytest.fixture
def log(tmp_path: Path) -> Path:
    write_log(tmp_path / "log", DAY)
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o600)
    return tmp_path / "log"


def replay(capsys: pytest.CaptureFixture[str], log: Path, *more: str) -> tuple[int, str, str]:
    code = main(["replay", str(log), "--key-file", str(log.parent / "key"), *more])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def replay_json(capsys: pytest.CaptureFixture[str], log: Path, *more: str) -> dict[str, Any]:
    code, out, err = replay(capsys, log, "--json", *more)
    assert (code, err) == (0, "")
    document: dict[str, Any] = json.loads(out)
    return document


def _everything(log: Path) -> dict[str, Any]:
    stats = {path.name: path.stat() for path in [log, *log.iterdir()]}
    return {
        name: (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_mode)
        for name, stat in stats.items()
    } | {f"bytes of {path.name}": path.read_bytes() for path in log.iterdir()}


def test_the_document_keeps_its_first_keys(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = replay_json(capsys, log)
    assert list(document)[:12] == [
        "ok", "schema", "records", "decisions", "head_sequence", "head_hash", "log_id", "events",
        "reasons", "conservation", "ledger_digest_hex", "begins_after_sequence",
    ]  # fmt: skip
    assert document["schema"] == "pretrade-guard.replay.v1"
    assert document["records"] == document["head_sequence"] == len(DAY)
    assert "explanations" not in document
    assert "what_if" not in document


def test_text(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = replay(capsys, log)
    assert (code, err) == (0, "")
    assert out.startswith(f"{log}: replayed, every record is as it was written\n  records: ")
    assert "\nRejects by reason\n" in out


def test_the_text_of_a_part_says_of_which(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = replay(capsys, log, "--from", "8", "--to", "10")
    assert code == 0
    assert (
        "\nThe tables are of records 8 to 10, 2023-11-14 22:13:20.000 to 2023-11-14 22:13:20.000 "
        "UTC; holds, ledger and session are those of the log's end.\n"
    ) in out
    assert "The tables are of records" not in replay(capsys, log)[1]


def test_exact_amounts_on_demand(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "500,000.00000005" not in replay(capsys, log)[1]
    assert "500,000.00000005" in replay(capsys, log, "--exact")[1]


def test_an_order(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = replay_json(capsys, log, "--explain", "A-2", "--desk", "desk-alpha")
    assert document["explanations"][0]["sequence"] == 9
    code, out, _ = replay(capsys, log, "--explain", "A-2")
    assert code == 0
    assert out.startswith("Order A-2 of desk-alpha (record 9, ")
    assert out.splitlines()[1].startswith("Admitted to venue 10 instead of venue 20: ")
    assert "Venue by venue" in out


def test_an_order_that_is_not_there(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = replay(capsys, log, "--explain", "Z-1", "--json")
    assert (code, out) == (2, "")
    assert err == "pretrade-guard: the log holds no client order id 'Z-1'\n"
    code, _, err = replay(capsys, log, "--desk", "desk-alpha")
    assert code == 2
    assert "--desk needs --explain" in err


def test_an_order_of_several_desks(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = LoggedEngine()
    day.admit(order("A-1"))
    day.admit(order("A-1", desk="desk-beta"))
    two = log.parent / "two"
    write_log(two, day.records)
    code, _, err = replay(capsys, two, "--explain", "A-1")
    assert code == 2
    assert "desk-alpha (record 8), desk-beta (record 9)" in err


def test_what_if_reads_the_log_and_touches_nothing(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _everything(log)
    policy, limits = log.parent / "policy.toml", _limits(log)
    policy.write_text(DEV_CONFIG_TEXT.replace("quality_bps = 9900", "quality_bps = 90"))
    more = ("--policy", str(policy), "--limits", str(limits))
    document = replay_json(capsys, log, *more)
    assert document["what_if"]["other_venue"]["count"] == 3
    assert document["what_if"]["newly_refused"]["count"] == 1
    assert document["head_hash"] == replay_json(capsys, log)["head_hash"]
    code, out, _ = replay(capsys, log, *more)
    assert code == 0
    assert "== What if ==" in out
    assert _everything(log) == before


def test_other_rules_that_cannot_be(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = log.parent / "bad.toml"
    bad.write_text("[policy]\nhard = 1\n")
    code, out, err = replay(capsys, log, "--policy", str(bad))
    assert (code, out) == (2, "")
    assert f"{bad}: " in err
    bad.write_text('[settings]\ncurrency = "EUR"\n')
    code, _, err = replay(capsys, log, "--limits", str(bad))
    assert code == 2
    assert "settings.currency: 'EUR' is not allowed" in err


def test_a_damaged_log_is_damaged_whatever_is_asked(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segment = log / "00000001.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b'"A-2"', b'"A-3"', 1))
    code, out, _ = replay(capsys, log, "--explain", "A-2", "--json")
    assert code == 1
    assert json.loads(out)["ok"] is False


def test_a_page(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = log.parent / "day.html"
    file.write_text("yesterday's")
    code, out, err = replay(capsys, log, "--html", str(file), "--json", "--explain", "A-2")
    assert (code, err) == (0, f"pretrade-guard: the page is in {file}\n")
    assert json.loads(out)["ok"] is True
    html = file.read_text("utf-8")
    assert html.startswith("<!doctype html>")
    assert json.loads(out)["head_hash"] in html
    assert "Admitted to venue 10 instead of venue 20: it is worth 16,776.99985831 USD" in html
    assert sorted(path.name for path in log.parent.iterdir()) == ["day.html", "key", "log"]


@pytest.mark.parametrize("mask", [0, 0o022])
def test_a_page_is_its_owners_alone(
    mask: int, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where one that others may read stood in its place."""
    file = log.parent / "day.html"
    file.write_text("yesterday's")
    file.chmod(0o644)
    with umask(mask):
        assert replay(capsys, log, "--html", str(file))[0] == 0
    assert mode_of(file) == 0o600


def test_a_page_goes_neither_into_the_log_nor_nowhere(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _everything(log)
    for place, words in (
        (log / "day.html", "is inside the log's directory, which is only read"),
        (log.parent / "none" / "day.html", "is no directory"),
        (log.parent, "is a directory; allowed: a file"),
    ):
        code, out, err = replay(capsys, log, "--html", str(place))
        assert (code, out) == (2, "")
        assert words in err
    segment = log / "00000001.jsonl"
    key = ("--key-file", str(log.parent / "key"))
    assert main(["replay", str(segment), *key, "--html", str(segment)]) == 2
    assert "is the log itself, which is only read" in capsys.readouterr().err
    assert _everything(log) == before


def test_no_page_of_a_damaged_log(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    segment = log / "00000001.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b'"A-2"', b'"A-3"', 1))
    code, _, _ = replay(capsys, log, "--html", str(log.parent / "day.html"))
    assert code == 1
    assert not (log.parent / "day.html").exists()


def test_a_range_bounds_the_day_and_not_what_is_asked(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = replay_json(capsys, log, "--explain", "A-2", "--limits", str(_limits(log)))
    bounded = ("--from", "20", "--to", "30")
    part = replay_json(capsys, log, *bounded, "--explain", "A-2", "--limits", str(_limits(log)))
    assert (part["range"]["first_sequence"], part["range"]["last_sequence"]) == (20, 30)
    assert part["range"]["records"] == 11
    assert part["answers"]["admitted"] + part["answers"]["rejected"] == 2
    for key in ("records", "head_hash", "explanations", "what_if", "ledger"):
        assert part[key] == whole[key]


def _limits(log: Path) -> Path:
    limits = log.parent / "limits.toml"
    limits.write_text('[[desks]]\ndesk = "desk-beta"\nbudget = "1.00"\nexposure_cap = "none"\n')
    return limits


def test_a_log_that_begins_with_a_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o600)
    log = write_day(tmp_path / "log")
    key = ("--key-file", str(tmp_path / "key"))
    assert main(["archive", str(log), str(tmp_path / "old"), *key]) == 0
    capsys.readouterr()
    page = tmp_path / "day.html"
    code, out, _ = replay(capsys, log, "--json", "--html", str(page))
    document = json.loads(out)
    assert (code, document["begins_after_sequence"]) == (0, OLDER)
    assert document["range"]["first_sequence"] == OLDER + 1
    assert document["policies"][0]["from_sequence"] is None
    assert f"behind the checkpoint of record {OLDER}, whose state is taken" in page.read_text()
    code, _, err = replay(capsys, log, "--limits", str(_limits(log)))
    assert code == 2
    assert f"this log begins behind the checkpoint of record {OLDER}, by when budgets were" in err


def test_another_policy_from_a_checkpoint_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o600)
    log = write_day(tmp_path / "log")
    key = ("--key-file", str(tmp_path / "key"))
    assert main(["archive", str(log), str(tmp_path / "old"), *key]) == 0
    capsys.readouterr()
    policy = tmp_path / "policy.toml"
    policy.write_text(DEV_CONFIG_TEXT)
    same = replay_json(capsys, log, "--policy", str(policy))
    what_if, answers = same["what_if"], same["answers"]
    assert what_if["same"] == answers["admitted"] + answers["rejected"] > 0 < answers["admitted"]
    assert what_if["before"] == what_if["after"]
    assert what_if["ledger_digest_hex"] == same["ledger_digest_hex"]
    peaks = what_if["desks"]["desk-alpha"]
    assert peaks["held_peak_microcents_before"] == peaks["held_peak_microcents_after"] > 0
    policy.write_text(
        DEV_CONFIG_TEXT.replace("hard_risk_limit_bps = 9600", "hard_risk_limit_bps = 1")
    )
    none = replay_json(capsys, log, "--policy", str(policy))["what_if"]
    assert none["newly_refused"]["count"] == answers["admitted"] == none["before"]["admitted"]
    assert none["after"]["admitted"] == 0
    assert none["before"] == what_if["before"]
