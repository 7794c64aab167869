"""The metrics: what stands there, that Prometheus takes it, that alerts and dashboard name it."""

import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client", reason="needs the extra observe")

from prometheus_client.parser import text_string_to_metric_families

from guard.admin import queries
from guard.admin.messages import Configuration, LimitUse, ListDesks
from guard.engine.events import TradingHalted
from guard.observe.metrics import Metrics
from guard.observe.picture import Picture
from guard.protocol.messages import I64_MAX, StatsReply
from guard.server.counters import Counters
from guard_support import T0, LoggedEngine, actor, cancel, fill, order
from health_support import health
from record_line_support import lines_of

CHECKOUT = Path(__file__).parents[3]
ALERTS = CHECKOUT / "configs" / "prometheus-alerts.yml"
DASHBOARD = CHECKOUT / "configs" / "grafana-dashboard.json"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="no promtool: install prometheus to check the metrics with it"
)


CLUSTER = {
    "cluster_epoch": 3,
    "cluster_lag_records": 0,
    "cluster_lag_bytes": 0,
    "cluster_commits": 7,
    "cluster_commit_ns_last": 800_000,
    "cluster_waiting_ns": 2_000_000_000,
    "cluster_epochs_begun_again": 1,
    "cluster_fenced": 0,
}


def watched() -> Picture:
    """A picture with all there is to tell."""
    day, picture = LoggedEngine(), Picture(T0)
    day.submit(order("A-1"))
    day.submit(order("A-2", symbol="none"))
    day.submit(fill("F-1", client_order_id="nobody"))
    day.submit(cancel())
    day.log(actor().event(TradingHalted, scope="desk", name="desk-beta"))
    picture.take_lines(lines_of(day), T0)
    used = [LimitUse("open_orders_max", "limits", "desk-alpha", "", 1, 4)]
    told_health = health(head_sequence=1_000, is_firm_halted=True, limits_used=used)
    picture.take_health(told_health, T0)
    picture.take_configuration(queries.answer(day.state, Configuration(), T0))
    picture.take_desks(queries.answer(day.state, ListDesks(), T0).desks, T0)
    counters = Counters(requests=4, sync_latency_ns_sum=3_000_000)
    stats = counters.as_reply(lines_not_said=2, **CLUSTER)
    ends = [(100_000, 1), (1_000_000, 2), (I64_MAX, 1)]
    told = StatsReply(stats.counters, ends, {"version": "0.1.0"}, answers_by_latency_ns=ends)
    picture.take_stats(told, T0)
    return picture


def page_of(picture: Picture, now_ns: int = T0, accept: str = "") -> str:
    return Metrics(picture, lambda: now_ns).page(accept)[0].decode()


def samples(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = json.dumps(sample.labels, sort_keys=True) if sample.labels else ""
            found[f"{sample.name}{labels}"] = sample.value
    return {name: value for name, value in found.items() if name.startswith("pretrade_guard_")}


def test_figures_are_in_base_units_under_conventional_names() -> None:
    found = samples(page_of(watched()))
    expected = {
        "pretrade_guard_up": 1,
        "pretrade_guard_ready": 1,
        'pretrade_guard_orders_total{"reason": "requested_model_maximizes_utility", '
        '"stage": "kernel", "verdict": "admit"}': 1,
        'pretrade_guard_orders_total{"reason": "unknown_symbol", '
        '"stage": "order", "verdict": "reject"}': 1,
        "pretrade_guard_fills_total": 1,
        'pretrade_guard_fill_flags_total{"flag": "unknown"}': 1,
        "pretrade_guard_cancels_total": 1,
        'pretrade_guard_events_total{"event": "trading_halted"}': 1,
        "pretrade_guard_uptime_seconds": 3_600,
        "pretrade_guard_last_sync_seconds": 0.0002,
        "pretrade_guard_head_sequence": 1_000,
        "pretrade_guard_checkpoint_age_seconds": 60,
        "pretrade_guard_disk_free_bytes": 50_000_000_000,
        'pretrade_guard_desk_granted_currency_units{"desk": "desk-beta"}': 500_000,
        'pretrade_guard_desk_halted{"desk": "desk-alpha"}': 0,
        'pretrade_guard_desk_halted{"desk": "desk-beta"}': 1,
        'pretrade_guard_trouble{"kind": "firm_halted"}': 1,
        'pretrade_guard_trouble{"kind": "anchor_behind"}': 0,
        'pretrade_guard_sync_latency_seconds_bucket{"le": "0.0001"}': 1,
        'pretrade_guard_sync_latency_seconds_bucket{"le": "0.001"}': 3,
        'pretrade_guard_sync_latency_seconds_bucket{"le": "+Inf"}': 4,
        "pretrade_guard_sync_latency_seconds_count": 4,
        "pretrade_guard_sync_latency_seconds_sum": 0.003,
        'pretrade_guard_answer_latency_seconds_bucket{"le": "0.001"}': 3,
        "pretrade_guard_lines_not_said_total": 2,
        "pretrade_guard_cluster_epoch": 3,
        "pretrade_guard_cluster_commits_total": 7,
        "pretrade_guard_cluster_commit_last_seconds": 0.0008,
        "pretrade_guard_cluster_waiting_seconds": 2,
        "pretrade_guard_cluster_epochs_begun_again_total": 1,
        'pretrade_guard_currency_info{"currency": "USD"}': 1,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert 'pretrade_guard_desk_cap_currency_units{"desk": "desk-beta"}' not in found  # none


def test_limits_their_use_latches_and_states() -> None:
    picture = Picture(T0)
    uses = [
        LimitUse("exposure_gross_max", "limits", "", "", 955, 1_000),
        LimitUse("rate of orders", "limits.desk.b", "", "", 1, 4),
        LimitUse("position_short_max", "limits", "a", "AAPL", 0, 0),
        LimitUse("position_long_max", "limits", "a", "AAPL", 1, 0),
    ]
    told = health(
        limits_used=uses, latches=2, desks_reducing=3, is_firm_reducing=True,
        symbols_reducing=["AAPL"], standing=["one"],
    )  # fmt: skip
    picture.take_health(told, T0)
    found = samples(page_of(picture))
    ratios = {
        name: value for name, value in found.items() if name.startswith("pretrade_guard_limit_used")
    }
    assert ratios == {
        'pretrade_guard_limit_used_ratio{"limit": "exposure_gross_max"}': 0.955,
        'pretrade_guard_limit_used_ratio{"limit": "rate_of_orders"}': 0.25,
        'pretrade_guard_limit_used_ratio{"limit": "position_short_max"}': 0,
        'pretrade_guard_limit_used_ratio{"limit": "position_long_max"}': math.inf,
    }
    for name, value in (
        ("latches", 2), ("desks_reducing", 3), ("firm_reducing", 1), ("symbols_reducing", 1),
        ("standing_alarms", 1),
    ):  # fmt: skip
        assert found[f"pretrade_guard_{name}"] == value
    assert [(row["limit"], row["use_per_mille"]) for row in picture.now(T0)["limits"]] == [
        ("exposure gross max", 955), ("rate of orders", 250), ("position short max", None),
        ("position long max", None),
    ]  # fmt: skip
    assert "limits_used" not in picture.now(T0)["daemon"]


def test_of_a_daemon_that_does_not_answer_nothing_is_said_but_that() -> None:
    found = samples(page_of(watched(), T0 + 3_600 * 10**9))
    assert found["pretrade_guard_up"] == 0
    assert found["pretrade_guard_ready"] == 0
    assert found['pretrade_guard_not_ready{"reason": "silent"}'] == 1
    assert found["pretrade_guard_silent_seconds"] == 3_600
    assert "pretrade_guard_serving" not in found
    assert "pretrade_guard_head_sequence" not in found
    assert found["pretrade_guard_fills_total"] == 1  # that was counted here
    before = samples(page_of(Picture(T0)))
    assert before["pretrade_guard_up"] == 0


def test_the_asker_chooses_the_format() -> None:
    metrics = Metrics(watched(), lambda: T0)
    body, content_type = metrics.page("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    assert metrics.page("text/html")[1].startswith("text/plain")


def names_in(text: str) -> set[str]:
    found = set(re.findall(r"\bpretrade_guard_[a-z_0-9]+", text))
    return found - {"pretrade_guard_observe"}


@pytest.mark.parametrize("file", [ALERTS, DASHBOARD], ids=["alerts", "dashboard"])
def test_what_alerts_and_dashboard_name_is_there(file: Path) -> None:
    exported = {name.partition("{")[0] for name in samples(page_of(watched()))}
    named = names_in(file.read_text("utf-8"))
    assert len(named) > 15
    assert named <= exported, named - exported


def promtool(*arguments: str, text: str | None = None) -> str:
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, *arguments], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@needs_promtool
def test_promtool_takes_the_metrics_and_finds_nothing_to_say() -> None:
    assert promtool("check", "metrics", text=page_of(watched())) == ""


@needs_promtool
def test_promtool_takes_the_alerts_and_they_fire_when_they_should() -> None:
    assert "SUCCESS" in promtool("check", "rules", str(ALERTS))
    tests = CHECKOUT / "tests" / "data" / "observe" / "alerts-test.yml"
    assert "SUCCESS" in promtool("test", "rules", str(tests))
