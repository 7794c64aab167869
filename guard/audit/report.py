"""The report of a replay as one JSON document. Pure.

Owns the document's keys, which `guard/audit/REPORT.md` describes and which only grow: a key is
never renamed, and never changes its meaning, under one `schema`. Everything that people are shown
(text, page) is made from this document, so that all forms say the same.
"""

from dataclasses import asdict
from typing import Any, Final

from guard.audit.answers import AnswerCounts
from guard.audit.collector import DayCollector
from guard.audit.day_counts import TIMELINE_COLUMNS, DayCounts
from guard.audit.exposure import COLUMNS, ExposureBook
from guard.engine.state import GuardState
from guard.replay.replay import ReplayReport

SCHEMA: Final = "pretrade-guard.replay.v1"

# What every replay says first, for people too.
HEAD_KEYS: Final = (
    "ok", "records", "decisions", "head_sequence", "head_hash", "log_id", "events", "reasons",
    "conservation", "ledger_digest_hex",
)  # fmt: skip


def replay_fields(report: ReplayReport) -> dict[str, Any]:
    """What every replay answers: the head, how many of what, and that the ledger adds up."""
    state = report.engine.state
    proof = state.ledger.prove_conservation()
    return {
        "ok": True,
        "schema": SCHEMA,
        "records": report.record_count,
        "decisions": report.decision_count,
        "head_sequence": report.head.sequence,
        "head_hash": report.head.entry_hash,
        "log_id": state.log_id,
        "events": dict(sorted(report.events.items())),
        "reasons": dict(sorted(report.reasons.items())),
        "conservation": "balanced",
        "ledger_digest_hex": proof.ledger_digest_hex,
        "begins_after_sequence": report.head.sequence - report.record_count,
    }


def day_fields(day: DayCollector, state: GuardState) -> dict[str, Any]:
    """What the day was like; `state` is the one that the log folds into."""
    day.finish(state)
    counts, answers = day.counts, day.counts.answers
    width_ns, rows = counts.timeline()
    return {
        "currency": state.currency,
        "range": {
            "first_sequence": counts.first_sequence,
            "last_sequence": counts.last_sequence,
            "first_received_at_ns": counts.first_ns if counts.record_count else None,
            "last_received_at_ns": counts.last_ns if counts.record_count else None,
            "records": counts.record_count,
        },
        "session": {
            "epoch": state.epoch,
            "key_id": state.key_id,
            "rules_version": state.rules_version,
            "closed_cleanly": state.is_closed_cleanly,
            "entries_halted": None if state.entries_halt is None else state.entries_halt.reason,
            "firm_stopped": state.is_firm_stopped,
            "stopped_symbols": sorted(state.stopped_symbols),
            "stopped_names": [
                *(f"account {one.name}" for one in state.accounts.all() if one.is_stopped),
                *(f"{scope} {name}" for scope, name in sorted(state.stopped_names)),
            ],
        },
        "answers": _answers(counts),
        "by_desk": _by_name(answers.desks),
        "by_symbol": _by_name(answers.symbols),
        "by_venue": _by_name(answers.venues),
        "executions": _executions(day),
        "timeline": {
            "bucket_width_ns": width_ns,
            "columns": ["start_ns", *TIMELINE_COLUMNS],
            "rows": rows,
        },
        "exposure": _exposure(counts.exposure),
        "positions": day.positions.fields(counts.last_ns, state),
        "limits": day.limits.fields(state),
        "breaches": day.breaches.fields(state, counts.last_ns),
        "latency": _latency(counts),
        "batches": counts.batch_records.as_fields("records"),
        "policies": [asdict(period) for period in day.policies],
        "policies_left_out": day.policies_left_out,
        "administrative": day.administrative,
        "administrative_left_out": day.administrative_left_out,
        "ledger": _ledger(state),
    }


def _executions(day: DayCollector) -> dict[str, Any]:
    counts = day.counts
    return {
        "fills": counts.fill_count,
        "fill_flags": dict(sorted(day.fill_flags.items())),
        "fees_microcents": counts.fill_fees_microcents,
        "rebates_microcents": counts.rebates_microcents,
        "unpaid_fees_microcents": day.unpaid_fees_microcents,
        "uncharged_fees_microcents": day.uncharged_fees_microcents,
        "charged_later_microcents": day.charged_later_microcents,
        "returned_microcents": day.returned_microcents,
        "collected_microcents": day.collected_microcents,
        "busted_fills": day.busted_fills,
        "corrected_fills": day.corrected_fills,
        "cancels": day.cancel_count,
        "reductions": counts.reduction_count,
        "replaced": counts.replaced_count,
        "replace_rejected": counts.replace_rejected_count,
        "executions": counts.execution_count,
        "execution_flags": dict(sorted(day.execution_flags.items())),
    }


def _latency(counts: DayCounts) -> dict[str, Any]:
    orders, fills = counts.order_latency, counts.fill_latency
    return {
        "orders": orders.as_histogram().as_fields("ns"),
        "fills": fills.as_histogram().as_fields("ns"),
        "clock_skew": orders.below_zero_count + fills.below_zero_count,
        "too_old": orders.too_old_count + fills.too_old_count,
    }


def _answers(counts: DayCounts) -> dict[str, Any]:
    answers = counts.answers
    by_reason = [
        {"answer": answer, "stage": stage or None, "reason": reason, "count": count}
        for (answer, stage, reason), count in sorted(answers.reasons.items())
    ]
    return {
        "admitted": answers.admitted_count,
        "rejected": sum(answers.rejected_by_stage.values()),
        "rejected_by_stage": {
            stage: answers.rejected_by_stage[stage] for stage in ("order", "kernel", "ledger")
        },
        "by_reason": by_reason,
        "venues_stopped_by_gate": dict(sorted(counts.gates.items())),
    }


def _by_name(table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    named: dict[str, dict[str, Any]] = {}
    for name in sorted(table):
        counts: AnswerCounts = table[name]
        fields = asdict(counts)
        fields["reasons"] = dict(sorted(counts.reasons.items()))
        named[name] = fields
    return named


def _exposure(book: ExposureBook) -> dict[str, Any]:
    desks: dict[str, dict[str, Any]] = {}
    for desk in sorted(book.desks):
        line = book.desks[desk]
        desks[desk] = {
            "held_peak_microcents": line.held_peak_microcents,
            "held_peak_sequence": line.held_peak_sequence,
            "used_peak_microcents": line.used_peak_microcents,
            "used_peak_sequence": line.used_peak_sequence,
            "rows": book.series(desk),
        }
    return {
        "bucket_width_ns": book.bucket_width_ns,
        "columns": ["start_ns", *COLUMNS],
        "desks": desks,
    }


def _ledger(state: GuardState) -> dict[str, Any]:
    ledger = state.ledger
    snapshot = ledger.snapshot()
    lines = []
    for line in snapshot.tenants:
        desk = state.desks[line.tenant_id]
        parts = line.remaining_microcents + line.reserved_microcents + line.committed_microcents
        lines.append(
            {
                "desk": line.tenant_id,
                "granted_microcents": line.initial_microcents,
                "returned_microcents": desk.returned_microcents,
                "remaining_microcents": line.remaining_microcents,
                "held_microcents": line.reserved_microcents,
                "spent_microcents": line.committed_microcents,
                "cap_microcents": ledger.max_reserved_microcents(line.tenant_id),
                "balanced": parts == line.initial_microcents and line.remaining_microcents >= 0,
                "halted": desk.is_halted,
                "stopped": desk.is_stopped,
                "unpaid_fees_microcents": desk.unpaid_fees_microcents,
            }
        )
    return {"open_holds": snapshot.active_reservations, "desks": lines}
