"""The archive in a real PostgreSQL, by its command: filled, asked, dropped by day, restored."""

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

import guard.archive as archive_package
from daemon_support import Site, command, tool
from feed_support import config_with_feed
from guard.clock import monotonic_ns
from guard_support import ORDER_NOTIONAL, LoggedEngine, write_log
from guard_support import order as an_order
from order_group_support import together
from postgres_support import Postgres, needs_postgres, running_postgres
from protocol_client import ProtocolClient, order
from wal import EMPTY_HEAD, ChainHasher, LogWriter, create_directory

PACKAGE = Path(archive_package.__file__).parents[1]
GOLDEN = Path(__file__).resolve().parents[2] / "data/logs/v1/guard"
LOG_ID = "0123456789abcdef" * 2
DAY_NS = 86_400_000_000_000

pytestmark = [needs_postgres, pytest.mark.slow]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.new_database()


def archive(*arguments: str, code: int = 0) -> str:
    """What the command says; it must end so."""
    done = tool("sql-archive", *arguments)
    assert done.returncode == code, done
    return done.stdout if code == 0 else done.stderr


def fill(database: str, log: Path, *arguments: str) -> str:
    return archive("fill", str(log), "--database", database, *arguments)


def segments(log: Path) -> dict[str, bytes]:
    """The segments, without zeros that were written ahead."""
    return {path.name: path.read_bytes().rstrip(b"\0") for path in sorted(log.glob("*.jsonl"))}


def written(root: Path, days: int, per_day: int, key: bytes = bytes(40)) -> Path:
    """A log with so many records on each of so many days, in segments and batches of some."""
    directory = root / "log"
    create_directory(directory)
    segment_bytes = max(2_000, days * per_day * 50)
    writer = LogWriter.open(
        directory,
        ChainHasher(key),
        EMPTY_HEAD,
        monotonic_ns=monotonic_ns,
        segment_bytes_max=segment_bytes,
    )
    sequence = 0
    for day in range(days):
        for number in range(per_day):
            sequence += 1
            event = "log_opened" if sequence == 1 else "note"
            named = f',"log_id":"{LOG_ID}"' if sequence == 1 else ""
            text = (
                f'{{"event":"{event}","received_at_ns":{day * DAY_NS + number},"client":"local",'
                f'"batch_first_sequence":{sequence},"by":"é","why":"\\u0000"{named}}}'
            )
            writer.append(sequence, text.encode())
            if number % 10 == 0:
                writer.sync_now()
    writer.sync_now()
    writer.close()
    return directory


def test_a_golden_log_comes_back_byte_for_byte(
    database: str, postgres: Postgres, tmp_path: Path
) -> None:
    log, key_file = GOLDEN / "log", tmp_path / "key"
    key_file.touch(mode=0o600)
    key_file.write_bytes((GOLDEN / "key").read_bytes())
    key = str(key_file)
    records = sum(text.count(b"\n") for text in segments(log).values())
    assert f": {records} records added, up to record {records} " in fill(
        database, log, "--key-file", key
    )
    assert f": 0 records added, up to record {records} " in fill(database, log)
    destination = tmp_path / "restored"
    said = archive("restore", str(destination), "--database", database, "--key-file", key)
    assert "every record is as it was written" in said
    assert segments(destination) == segments(log)
    for name in ("verify", "replay"):
        before, after = (
            json.loads(tool(name, str(each), "--key-file", key, "--json").stdout)
            for each in (log, destination)
        )
        assert after["head_hash"] == before["head_hash"]
        assert after["ok"] is True
    rows = postgres.ask(
        database, "SELECT wal_sequence, data::text FROM pretrade_archive.records ORDER BY 1"
    )
    lines = b"".join(segments(log).values()).splitlines()
    texts = [line[line.index(b'"data":') + 7 : -1].decode() for line in lines]
    assert rows == [(number, text) for number, text in enumerate(texts, 1)]


def test_views_say_what_the_records_say(database: str, postgres: Postgres) -> None:
    log = GOLDEN / "log"
    fill(database, log)
    events = [
        record.get("metadata", record)
        for text in segments(log).values()
        for record in (json.loads(line)["data"] for line in text.splitlines())
    ]
    orders = [each for each in events if "order" in each]
    admitted = [each for each in orders if each["answer"]["type"] == "admit"]
    fills = [each for each in events if each["event"] == "fill"]

    def count(view: str) -> int:
        found: int = postgres.ask(database, f"SELECT count(*) FROM pretrade_archive.{view}")[0][0]
        return found

    assert (count("decisions"), count("fills")) == (len(orders), len(fills))
    assert count("cancels") == sum(each["event"] in ("release", "reduce") for each in events)
    broken = [
        each
        for each in events
        if each.get("halts_desk")
        or each.get("answer", {}).get("unpaid_fee_microcents")
        or set(each.get("answer", {}).get("flags", ()))
        & {"overfill", "late", "unknown", "refused", "uncharged", "differs"}
        or each["event"] in ("halt", "latch_set")
    ]
    assert broken
    assert count("breaches") == len(broken)
    assert count("limits_changes") >= 4  # two desks, the policy, and what was done to them
    day = postgres.ask(
        database,
        "SELECT sum(orders), sum(admitted), sum(rejected), sum(admitted_microcents), sum(fills), "
        "sum(fee_microcents) FROM pretrade_archive.desk_day",
    )[0]
    assert [int(each) for each in day] == [
        len(orders),
        len(admitted),
        len(orders) - len(admitted),
        sum(each["answer"]["notional_microcents"] for each in admitted),
        len(fills),
        sum(
            each["answer"]["fee_microcents"]
            for each in fills
            if "uncharged" not in each["answer"]["flags"]
        ),
    ]
    reasons = dict(
        postgres.ask(
            database,
            "SELECT reason, sum(orders)::bigint FROM pretrade_archive.desk_day_reasons "
            "WHERE verdict = 'reject' GROUP BY reason",
        )
    )
    wanted: dict[str, int] = {}
    for each in orders:
        if each["answer"]["type"] == "reject":
            reason = each["answer"]["reason"]
            wanted[reason] = wanted.get(reason, 0) + 1
    assert reasons == wanted


def test_a_running_guard_is_followed_by_its_feed(
    database: str, postgres: Postgres, tmp_path: Path
) -> None:
    site = Site(tmp_path, config_with_feed())
    feed, key = f"ipc://{tmp_path}/feed", str(site.key_file)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask([order(f"A-{number}", quantity=1) for number in range(50)])
        said = archive("fill", "--feed", feed, "--database", database, "--key-file", key)
        assert ": 57 records added, up to record 57 " in said
        client.ask([order(f"B-{number}", quantity=1) for number in range(5)])
        # On from there, by the files this time.
        assert ": 5 records added, up to record 62 " in fill(database, site.log)
        client.ask([order("C-1", quantity=1)])
        archive("fill", "--feed", feed, "--database", database)
    with site.running() as daemon:
        assert daemon.stop() == 0
    fill(database, site.log)
    assert postgres.ask(database, "SELECT count(*), min(desk) FROM pretrade_archive.decisions") == [
        (56, "desk-alpha")
    ]
    destination = tmp_path / "restored"
    archive("restore", str(destination), "--database", database, "--key-file", key)
    assert b"".join(segments(destination).values()) == b"".join(segments(site.log).values())
    replayed = command("replay", str(destination), "--key-file", key, "--json")
    assert json.loads(replayed.stdout)["ok"] is True


def test_days_go_whole_and_what_went_is_not_restored(
    database: str, postgres: Postgres, tmp_path: Path
) -> None:
    log = written(tmp_path, days=3, per_day=40)
    assert ": 120 records added" in fill(database, log)
    assert archive("show", "--database", database).splitlines()[1] == (
        "days: 3, 1970-01-01 to 1970-01-03"
    )
    archive("restore", str(tmp_path / "whole"), "--database", database)
    assert segments(tmp_path / "whole") == segments(log)
    today = (date.today() - date(1970, 1, 2)).days + 1  # noqa: DTZ011 (some day, far from these)
    kept = ("prune", "--database", database, "--keep-days", str(today))
    assert archive(*kept, "--dry-run") == "1970-01-01: would go\n"
    assert archive(*kept) == "1970-01-01: dropped\n"
    assert archive(*kept) == "no day before 1970-01-02\n"
    assert postgres.ask(database, "SELECT count(*) FROM pretrade_archive.records") == [(80,)]
    said = archive("restore", str(tmp_path / "cut"), "--database", database, code=1)
    assert "record 1 of log" in said
    assert "days that were dropped cannot be restored" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "whole"]
    assert ": 0 records added, up to record 120 " in fill(database, log)


def test_another_history_of_a_log_is_refused(database: str, tmp_path: Path) -> None:
    fill(database, written(tmp_path, days=1, per_day=20))
    (tmp_path / "other").mkdir()
    other = written(tmp_path / "other", days=1, per_day=30, key=bytes(range(40)))
    done = tool("sql-archive", "fill", str(other), "--database", database)
    assert done.returncode == 2
    assert "record 20 is another one than what is archived of this log" in done.stderr
    shorter = tmp_path / "shorter"
    shorter.mkdir()
    log = written(shorter, days=1, per_day=10)
    done = tool("sql-archive", "fill", str(log), "--database", database)
    assert done.returncode == 2
    assert "the log ends before record 21" in done.stderr


def test_two_that_fill_at_once_double_nothing(
    database: str, postgres: Postgres, tmp_path: Path
) -> None:
    log = written(tmp_path, days=2, per_day=5_000)
    done: list[subprocess.CompletedProcess[str]] = []

    def run() -> None:
        done.append(command("sql-archive", "fill", str(log), "--database", database))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each.returncode for each in done} <= {0, 1}
    assert any(each.returncode == 0 for each in done)
    for each in done:
        assert each.returncode == 0 or "does not follow what is archived" in each.stderr, each
    fill(database, log)
    assert postgres.ask(
        database,
        "SELECT count(*), count(DISTINCT wal_sequence), max(wal_sequence) "
        "FROM pretrade_archive.records",
    ) == [(10_000, 10_000, 10_000)]


def test_wrong_use_is_told(database: str, tmp_path: Path) -> None:
    log = written(tmp_path, days=1, per_day=30)
    for arguments, code, words in (
        (("show", "--database", database), 1, "there is no archive in this database"),
        (("fill", str(log), "--database", "postgresql:///x?host=/nowhere"), 1, "no connection"),
        (("fill", str(tmp_path), "--database", database), 2, "holds no record"),
        (("fill", str(log), "--database", database, "--log-id", "1"), 2, "--log-id: "),
        (("fill", "--feed", "ipc:///nowhere", "--database", database), 1, "nothing came"),
        (("restore", str(log), "--database", database), 1, "no archive"),
    ):
        done = tool("sql-archive", *arguments)
        assert done.returncode == code, (arguments, done)
        assert words in done.stderr, (arguments, done)
    (log / "00000001.jsonl").rename(tmp_path / "00000001.jsonl")
    assert "name it, --log-id" in archive("fill", str(log), "--database", database, code=2)
    said = fill(database, log, "--log-id", LOG_ID)
    assert "up to record 30 " in said
    said = archive("restore", str(tmp_path / "new"), "--database", database, code=1)
    assert "what stands before was not in the log when it was filled" in said


def test_the_schema_is_printed(database: str, postgres: Postgres) -> None:
    for statement in archive("schema").split(";\n\n"):
        postgres.ask(database, statement.removesuffix(";\n"))
    assert archive("show", "--database", database) == "days: 0, none\n"


def test_what_the_page_asks_can_be_asked(database: str, postgres: Postgres) -> None:
    page = (PACKAGE / "ARCHIVE.md").read_text()
    statements = page.partition("```sql\n")[2].partition("```")[0].split(";")
    asked = [re.sub("--.*", "", each).strip() for each in statements]
    asked = [each.replace("2026-11-30", "2023-11-14") for each in asked if each]
    assert len(asked) == 3
    fill(database, GOLDEN / "log")
    for statement in asked:
        assert statement.startswith("SELECT"), statement
        postgres.ask(database, statement)


def batches(log: Path) -> list[tuple[int, int, str, bytes]]:
    """The log's batches, as a guard's rows have them: first and last record, hash, lines."""
    found: list[tuple[int, int, str, bytes]] = []
    for line in b"".join(segments(log).values()).splitlines(keepends=True):
        record = json.loads(line)
        event = record["data"].get("metadata", record["data"])
        sequence, entry_hash = record["sequence"], record["entry_hash"]
        if event["batch_first_sequence"] == sequence or not found:
            found.append((sequence, sequence, entry_hash, line))
        else:
            first, _, _, lines = found.pop()
            found.append((first, sequence, entry_hash, lines + line))
    return found


def test_a_log_in_a_cluster_is_read_as_far_as_it_is_acknowledged(
    postgres: Postgres, database: str, tmp_path: Path
) -> None:
    postgres.script(database, (PACKAGE / "data" / "cluster.sql").read_text())
    rows, log = batches(GOLDEN / "log"), GOLDEN / "log"
    acknowledged = ("genesis", 0)
    for first, last, entry_hash, lines in rows:
        postgres.ask(
            database,
            "INSERT INTO pretrade_guard.batches VALUES ('test', $1, $2, 1, $3, $4, $5, $6)",
            *(first, last, entry_hash, acknowledged[1], acknowledged[0], lines),
        )
        acknowledged = (entry_hash, last)
    postgres.ask(
        database,
        "INSERT INTO pretrade_guard.logs VALUES ('test', 1, 'x', $1, $2, $3, $4)",
        *(rows[-1][1], rows[-1][2], rows[-2][1], rows[-2][2]),
    )
    other = postgres.new_database()
    cluster = ("--cluster-log", "test", "--cluster-database", database)
    said = archive("fill", *cluster, "--database", other)
    assert f"{rows[-2][1]} records added" in said
    postgres.ask(
        database,
        "UPDATE pretrade_guard.logs SET acknowledged_sequence = $1, acknowledged_hash = $2",
        *(rows[-1][1], rows[-1][2]),
    )
    said = archive("fill", *cluster, "--database", other)
    assert f"{rows[-1][1] - rows[-2][1]} record" in said
    assert ": 0 records added" in fill(other, log)
    whole = b"".join(segments(log).values())
    for destination, arguments in (
        ("of-rows", ("--database", database, "--cluster-log", "test")),
        ("of-archive", ("--database", other)),
    ):
        archive("restore", str(tmp_path / destination), *arguments)
        assert b"".join(segments(tmp_path / destination).values()) == whole
    postgres.ask(
        database, "DELETE FROM pretrade_guard.batches WHERE first_sequence = $1", rows[2][0]
    )
    done = tool("sql-archive", "restore", str(tmp_path / "x"), "--database", database, *cluster[:2])
    assert (done.returncode, f"record {rows[2][0]}: the next one" in done.stderr) == (1, True), done
    done = tool("sql-archive", "restore", str(tmp_path / "x"), *cluster[2:], "--database", database)
    assert (done.returncode, "there is no archive" in done.stderr) == (1, True), done
    assert not (tmp_path / "x").exists()


def test_orders_that_one_record_has_together_are_decisions_each(
    database: str, postgres: Postgres, tmp_path: Path
) -> None:
    engine = LoggedEngine()
    together(engine, an_order("A-1"), an_order("A-2", side="sell", venue=20))
    together(engine, an_order("B-1"), an_order("B-2", quantity=10**6))
    engine.submit(an_order("C-1"))
    write_log(tmp_path / "log", engine.records)
    fill(database, tmp_path / "log")
    rows = postgres.ask(
        database,
        "SELECT client_order_id, verdict, reason, venue, quantity, notional_microcents, "
        "data->'answer'->>'client_order_id', data->'metadata'->'answer'->>'client_order_id' "
        "FROM pretrade_archive.decisions ORDER BY 1",
    )
    assert [row[:2] for row in rows] == [
        ("A-1", "admit"), ("A-2", "admit"), ("B-1", "reject"), ("B-2", "reject"), ("C-1", "admit"),
    ]  # fmt: skip
    assert [row[2] for row in rows[2:4]] == ["all_or_none_refused", "exposure_limit_exceeded"]
    assert [row[3:6] for row in rows[:2]] == [(10, 100, ORDER_NOTIONAL)] * 2
    assert [row[6] or row[7] for row in rows] == [row[0] for row in rows]
    day = postgres.ask(
        database, "SELECT orders, admitted, rejected, admitted_microcents "
        "FROM pretrade_archive.desk_day WHERE desk = 'desk-alpha'",
    )  # fmt: skip
    assert [int(each) for each in day[0]] == [5, 3, 2, 3 * ORDER_NOTIONAL]
    stored = postgres.ask(
        database, "SELECT count(*) FROM pretrade_archive.records WHERE event = 'all_or_none'"
    )
    assert stored == [(2,)]
