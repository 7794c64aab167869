"""Real guards on a real cluster share a budget, each with its `share` beside it."""

import contextlib
import json
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import guard
from cluster_support import DATABASE, Cluster, needs_postgres, running_cluster
from daemon_support import Site, config_text, tool
from guard.process import own_process
from protocol_client import ProtocolClient, order

pytestmark = [pytest.mark.slow, pytest.mark.cluster, needs_postgres]

SLICES = Path(guard.__file__).parent / "data" / "slices.sql"
UNIT = 100_000_000  # microcents
NAMES = "ARRAY['ANY 1 (b, c)']"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as made:
        made.primary.sql(SLICES.read_text(), DATABASE)
        yield made


def host(cluster: Cluster, root: Path, name: str, **others: object) -> Site:
    """A guard with a log of its own, whose desk has 100.00 by itself."""
    (root / name).mkdir()
    desks = {"desk-alpha": ("100.00", "none")}
    text = config_text(desks=desks) + cluster.section(name, beat_ms=100, silence_ms=500, **others)
    return Site(root / name, text.replace("no-such-place/log", str(root / name / "log")))


def share(site: Site, keep: str, code: int = 0) -> str:
    arguments = ("--config", str(site.config), "--desk", "desk-alpha", "--keep", keep, "--once")
    done = tool("share", *arguments)
    assert done.returncode == code, done
    return done.stdout if code == 0 else done.stderr


def granted(site: Site) -> int:
    """What the desk has been granted, of its own and by slices."""
    done = tool("admin", "desks", "--config", str(site.config), "--json")
    (line,) = json.loads(done.stdout)["desks"]
    found: int = line["granted_microcents"]
    return found


def table(cluster: Cluster) -> tuple[int, int, dict[str, int]]:
    """What is free, the total, and what each log was given."""
    free, total = cluster.primary.sql(
        "SELECT free, total FROM pretrade_guard.firm_resources", DATABASE
    ).split("|")
    rows = cluster.primary.sql(
        "SELECT log, granted - returned FROM pretrade_guard.firm_slices", DATABASE
    )
    given = dict(row.split("|") for row in rows.splitlines())
    return int(free), int(total), {log: int(amount) for log, amount in given.items()}


def set_total(cluster: Cluster, units: int) -> None:
    cluster.primary.sql(
        f"SELECT pretrade_guard.firm_set_total('budget/desk-alpha', {units * UNIT})", DATABASE
    )


def test_two_guards_never_have_more_than_the_firm(cluster: Cluster, tmp_path: Path) -> None:
    set_total(cluster, 1_000)
    one = host(cluster, tmp_path, "one")
    two = host(cluster, tmp_path, "two", durability="cluster")
    with one.running() as first, two.running() as second:
        assert "movements: 1" in share(one, "800.00")
        assert granted(one) == 800 * UNIT
        assert "movements: 0" in share(one, "800.00")
        assert "movements: 1" in share(two, "800.00")
        assert granted(two) == 400 * UNIT  # all that was left
        assert table(cluster) == (0, 1_000 * UNIT, {"one": 700 * UNIT, "two": 300 * UNIT})
        # An order holds 190.00 of it; of what is free all beyond twice 50.00 is given back.
        with ProtocolClient(first.endpoint) as client:
            assert client.ask(order("A-1", quantity=1))["type"] == "admit"
        assert "movements: 1" in share(one, "50.00")
        assert granted(one) == 290 * UNIT
        share(one, "50.00")  # tells it
        assert table(cluster) == (510 * UNIT, 1_000 * UNIT, {"one": 190 * UNIT, "two": 300 * UNIT})
        # The guard ends, and begins another epoch; so does what was said of the one before.
        assert first.stop() == 0
        with one.running() as again:
            assert "movements: 0" in share(one, "50.00")
            assert granted(one) == 290 * UNIT
            # A grant whose answer was lost with who asked: the next one finds it.
            cluster.primary.sql(
                "SELECT pretrade_guard.firm_answer('grant', 'one', 2, 'budget/desk-alpha', 2, "
                f"{7 * UNIT}, 'on', {NAMES})",
                DATABASE,
            )
            assert "movements: 1" in share(one, "50.00")
            assert granted(one) == 297 * UNIT
            free, total, given = table(cluster)
            assert free + sum(given.values()) == total
            assert given == {"one": 197 * UNIT, "two": 300 * UNIT}
            assert again.stop() == 0
        assert second.stop() == 0
    events = [
        (record["event"], record["action_id"])
        for record in one.records()
        if record.get("action_id", "").startswith("slice-")
    ]
    assert events == [
        ("desk_topped_up", "slice-grant-desk-alpha-1"),
        ("budget_lowered", "slice-return-desk-alpha-1"),
        ("desk_topped_up", "slice-grant-desk-alpha-2"),
    ]
    for site in (one, two):
        site.replay()


def test_what_keeps_it_from_going_on_is_said(cluster: Cluster, tmp_path: Path) -> None:
    set_total(cluster, 5_000)
    site = host(cluster, tmp_path, "three")
    with site.running() as daemon:
        share(site, "300.00")
        cluster.primary.sql(
            "UPDATE pretrade_guard.firm_slices SET granted_number = 0 WHERE log = 'three'", DATABASE
        )
        assert "the firm's table: table_behind: number 2" in share(site, "300.00", code=1)
        assert daemon.stop() == 0
    assert "no answer" in share(site, "300.00", code=1)
    (tmp_path / "other").mkdir()
    other = host(cluster, tmp_path / "other", "four", durability="follow")
    assert "cannot hold slices" in share(other, "300.00", code=2)
    assert "--keep" in share(site, "much", code=2)


@pytest.mark.long
def test_whoever_is_killed_nothing_is_lost_or_doubled(cluster: Cluster, tmp_path: Path) -> None:
    """Rounds in which `share`, or the guard under it, is killed at some moment."""
    set_total(cluster, 3_000)
    rng = random.Random(20)
    sites = [host(cluster, tmp_path, name) for name in ("five", "six")]
    movements = 0
    for _ in range(6):
        with contextlib.ExitStack() as stack:
            daemons = [stack.enter_context(site.running()) for site in sites]
            for keep in ("900.00", "60.00", "1400.00"):
                sharers = [sharing(site, keep) for site in sites]
                for process in sharers:
                    assert process.stdout is not None
                    process.stdout.readline()  # it shares; or its guard was killed before
                time.sleep(rng.uniform(0, 0.3))
                if rng.random() < 0.3:
                    rng.choice(daemons).kill()
                for process in sharers:
                    process.kill()
                    process.communicate(timeout=60)
    with contextlib.ExitStack() as stack:
        for site in sites:
            stack.enter_context(site.running())
        for _ in range(3):
            for site in sites:
                share(site, "100.00")
        free, total, given = table(cluster)
        ours = {site.root.name: granted(site) - 100 * UNIT for site in sites}
        assert {name: given[name] for name in ours} == ours
        assert free + sum(given.values()) == total
    for site in sites:
        movements += sum("slice-" in record.get("action_id", "") for record in site.records())
        site.replay()
    assert movements > 8


def sharing(site: Site, keep: str) -> "subprocess.Popen[bytes]":
    """A `share` of its own process, for ever."""
    arguments = ("--config", str(site.config), "--desk", "desk-alpha", "--keep", keep)
    often = ("--every-s", "0.02", "--timeout-s", "1")
    line = own_process.command("guard.cli", "share", *arguments, *often)
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
