"""The report's document as tables of text, which terminal and page show alike. Pure.

Owns which tables there are, their columns and their words. It computes nothing that the document
(`guard.audit.report`) does not say, but shares of it in per cent.
"""

from collections.abc import Iterable
from typing import Any, Final

from guard.audit.breach_tables import breach_tables
from guard.audit.formats import NOTHING, count, duration, money, share, shortened, time
from guard.audit.limit_tables import limit_tables
from guard.audit.table import Document, Row, Table
from guard.audit.words import STAGES, event_words, gate_words, reason_words


def figures(document: Document) -> list[tuple[str, str, str]]:
    """What stands first: (name, value, what it says beside)."""
    answers = document["answers"]
    total = answers["admitted"] + answers["rejected"]
    ledger = document["ledger"]
    span = document["range"]
    held = sum(line["held_microcents"] for line in ledger["desks"])
    balanced = sum(line["balanced"] for line in ledger["desks"])
    latency = document["latency"]["orders"]
    currency = document["currency"]
    days = f"{time(span['first_received_at_ns'])} to {time(span['last_received_at_ns'])} UTC"
    if span["records"] != document["records"]:
        days += f", records {span['first_sequence']} to {span['last_sequence']}"
    return [
        ("Verdict", "proved", "every decision made again, byte for byte the same"),
        ("Records", count(document["records"]), f"{count(document['decisions'])} decisions"),
        ("Orders", count(total), days),
        ("Admitted", count(answers["admitted"]), share(answers["admitted"], total)),
        ("Rejected", count(answers["rejected"]), share(answers["rejected"], total)),
        (
            "Open holds",
            count(ledger["open_holds"]),
            f"{shortened(money(held))} {currency} held at the end",
        ),
        ("Ledger", "balanced", f"{count(balanced)} of {count(len(ledger['desks']))} desks add up"),
        (
            "Sent to received",
            duration(latency.get("p50_ns")),
            f"p99 {duration(latency.get('p99_ns'))}, of {count(latency['count'])} orders",
        ),
    ]


def proof_table(document: Document) -> Table:
    """What to hold against another copy: the head, the ledger's digest, who wrote it."""
    session = document["session"]
    halted = session["entries_halted"]
    rows = [
        ("log", document["log_id"]),
        ("replayed from record", str(document["begins_after_sequence"] + 1)),
        ("head sequence", str(document["head_sequence"])),
        ("head hash", document["head_hash"]),
        ("ledger digest", document["ledger_digest_hex"]),
        ("epoch", str(session["epoch"])),
        ("key id", session["key_id"]),
        ("rules version", str(session["rules_version"])),
        ("closed cleanly", "yes" if session["closed_cleanly"] else "no: still open, or cut off"),
        ("entries", f"halted: {halted}" if halted else "open"),
        *([("entries of every desk", "stopped by a person")] if session["firm_stopped"] else []),
        *(("entries in", f"{each}: stopped by a person") for each in session["stopped_symbols"]),
        *(("orders of", f"{each}: stopped by a person") for each in session["stopped_names"]),
    ]
    for key, words, digest in (
        ("anchor", "holds the anchor", "last_hash"),
        ("checkpoint_reconciled", "agrees with the checkpoint", "state_digest_hex"),
    ):
        if key in document:
            held = document[key]
            rows.append((words, f"of record {held['sequence']}, {held[digest]}"))
    return Table("proof", "Chain head and proof", ("what", "value"), rows)


def tables(document: Document) -> list[Table]:
    """The tables of a day, in the order in which they are read."""
    return [
        _by_reason(document),
        _admits(document),
        _by_stage(document),
        _conservation(document),
        _exposure(document),
        _positions(document),
        *limit_tables(document),
        *breach_tables(document),
        _by_name(document, "by_desk", "By desk", "desk"),
        _by_name(document, "by_symbol", "By symbol", "symbol"),
        _by_venue(document),
        _executions(document),
        _latency(document),
        _policies(document),
        _policy_venues(document),
        _administrative(document),
        proof_table(document),
    ]


def _by_reason(document: Document) -> Table:
    """Why orders were rejected; what was admitted has a table of its own."""
    answers = document["answers"]
    total = answers["admitted"] + answers["rejected"]
    rows = [
        (
            reason_words(line["reason"]),
            count(line["count"]),
            share(line["count"], total),
            line["stage"],
            line["reason"],
        )
        for line in _most_first(answers["by_reason"], "reject")
    ]
    stopped = sorted(answers["venues_stopped_by_gate"].items(), key=lambda item: -item[1])
    gates = ", ".join(f"{gate_words(gate)} {count(number)}" for gate, number in stopped)
    note = f"Venues that orders rejected by the policy were stopped at: {gates}." if gates else ""
    columns = ("rejected because of", "#orders", "#of all", "stage", "word in the log")
    return Table("reasons", "Rejects by reason", columns, rows, note)


def _admits(document: Document) -> Table:
    answers = document["answers"]
    total = answers["admitted"] + answers["rejected"]
    rows = [
        (reason_words(line["reason"]), count(line["count"]), share(line["count"], total))
        for line in _most_first(answers["by_reason"], "admit")
    ]
    return Table("admits", "Admits", ("admitted", "#orders", "#of all"), rows)


def _most_first(by_reason: list[Document], answer: str) -> list[Document]:
    mine = (line for line in by_reason if line["answer"] == answer)
    return sorted(mine, key=lambda line: (-line["count"], line["reason"]))


def _by_stage(document: Document) -> Table:
    answers = document["answers"]
    rows = [
        (stage, count(number), share(number, answers["rejected"]), what)
        for stage, what in STAGES.items()
        for number in [answers["rejected_by_stage"][stage]]
    ]
    columns = ("stage", "#rejected", "#of the rejects", "what is looked at")
    return Table("stages", "Rejects by stage", columns, rows)


def desk_exposure(document: Document, desk: str) -> Table:
    """What the chart of a desk's exposure draws."""
    rows = [
        (time(start_ns), money(held_peak), money(used_peak), *map(money, (held, spent, granted)),
         money(cap) if cap else "none")
        for start_ns, held_peak, used_peak, held, spent, granted, cap
        in document["exposure"]["desks"][desk]["rows"]
    ]  # fmt: skip
    columns = (
        "from, UTC", "#most held", "#most used", "#held at the end", "#spent", "#budget", "#cap",
    )  # fmt: skip
    return Table("exposure-rows", f"Exposure of {desk}", columns, rows)


def _conservation(document: Document) -> Table:
    rows = [
        (
            line["desk"],
            money(line["granted_microcents"]),
            money(line["remaining_microcents"]),
            money(line["held_microcents"]),
            money(line["spent_microcents"]),
            "yes" if line["balanced"] else "NO",
            _desk_state(line, is_firm_stopped=document["session"]["firm_stopped"]),
        )
        for line in document["ledger"]["desks"]
    ]
    note = (
        f"granted = remaining + held + spent, in {document['currency']}, checked after every "
        f"record. Digest of these lines and of how many holds are open: "
        f"{document['ledger_digest_hex']}"
    )
    columns = ("desk", "#granted", "#remaining", "#held", "#spent", "adds up", "entries")
    return Table("conservation", "Conservation, desk by desk", columns, rows, note)


def _desk_state(line: dict[str, Any], *, is_firm_stopped: bool) -> str:
    stopped = "stopped by a person" if line["stopped"] or is_firm_stopped else ""
    if not line["halted"]:
        return stopped or "open"
    halted = f"halted, {money(line['unpaid_fees_microcents'])} of fees unpaid"
    return f"{halted}, {stopped}" if stopped else halted


def _exposure(document: Document) -> Table:
    caps = {line["desk"]: line for line in document["ledger"]["desks"]}
    rows = []
    for desk, line in document["exposure"]["desks"].items():
        cap, granted = caps[desk]["cap_microcents"], caps[desk]["granted_microcents"]
        rows.append(
            (
                desk,
                money(line["held_peak_microcents"]),
                money(cap) if cap else "none",
                share(line["held_peak_microcents"], cap),
                _sequence(line["held_peak_sequence"]),
                money(line["used_peak_microcents"]),
                money(granted),
                share(line["used_peak_microcents"], granted),
            )
        )
    columns = (
        "desk", "#most held", "#cap", "#of cap", "#at record", "#most used", "#budget",
        "#of budget",
    )  # fmt: skip
    note = "Used is held plus spent. Cap and budget are those at the end."
    return Table("exposure", "Highest exposures", columns, rows, note)


def _positions(document: Document) -> Table:
    positions = document["positions"]
    rows = [
        (
            line["desk"],
            line["symbol"],
            line["position"],
            money(line["cost_microcents"]),
            line["price"] or NOTHING,
            money(line["realised_microcents"]),
            NOTHING if line["unrealised_microcents"] is None
            else money(line["unrealised_microcents"]),
        )
        for line in positions["listed"]
    ]  # fmt: skip
    note = (
        "Of what was filled, by average cost; a short position's cost is what it was sold for. "
        "Unrealised is what it would make at the price, the last one that the log holds."
    )
    if positions["left_out"]:
        note += f" {count(positions['left_out'])} more are left out."
    columns = ("desk", "symbol", "#position", "#cost", "#price", "#realised", "#unrealised")
    return Table("positions", "Positions at the end", columns, rows, note)


def position_course(line: Document) -> Table:
    """What the chart of a position draws."""
    rows = [(time(start_ns), count(lots), money(profit)) for start_ns, lots, profit in line["rows"]]
    columns = ("from, UTC", "#lots", "#profit")
    return Table("position-rows", f"{line['desk']} in {line['symbol']}", columns, rows)


def _sequence(sequence: int | None) -> str:
    return NOTHING if sequence is None else str(sequence)


def _by_name(document: Document, key: str, title: str, what: str) -> Table:
    admits = _admit_reasons(document)
    rows = [
        (
            name,
            count(counts["admitted"]),
            count(counts["rejected"]),
            share(counts["rejected"], counts["admitted"] + counts["rejected"]),
            count(counts["substituted"]),
            money(counts["admitted_notional_microcents"]),
            _most(counts["reasons"], admits),
        )
        for name, counts in _busiest(document[key])
    ]
    columns = (
        what, "#admitted", "#rejected", "#rejected share", "#substituted", "#notional admitted",
        "rejected most because of",
    )  # fmt: skip
    return Table(key.replace("_", "-"), title, columns, rows)


def _by_venue(document: Document) -> Table:
    admits = _admit_reasons(document)
    rows = [
        (
            name,
            count(counts["admitted"] + counts["rejected"]),
            count(counts["rejected"]),
            count(counts["substituted"]),
            count(counts["admitted_to"]),
            money(counts["fees_microcents"]),
            _most(counts["reasons"], admits),
        )
        for name, counts in _busiest(document["by_venue"])
    ]
    columns = (
        "venue", "#asked for", "#rejected", "#sent elsewhere", "#admitted to", "#estimated fees",
        "rejected most because of",
    )  # fmt: skip
    return Table("by-venue", "By venue", columns, rows)


def _busiest(table: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(
        table.items(), key=lambda item: (-item[1]["admitted"] - item[1]["rejected"], item[0])
    )


REASONS_SHOWN: Final = 2


def _admit_reasons(document: Document) -> set[str]:
    return {x["reason"] for x in document["answers"]["by_reason"] if x["answer"] == "admit"}


def _most(reasons: dict[str, int], admits: set[str]) -> str:
    """Why most were rejected."""
    rejects = [item for item in reasons.items() if item[0] not in admits]
    most = sorted(rejects, key=lambda item: (-item[1], item[0]))
    shown = [f"{reason_words(reason)} {count(number)}" for reason, number in most[:REASONS_SHOWN]]
    if len(most) > REASONS_SHOWN:
        shown.append(f"{len(most) - REASONS_SHOWN} more")
    return "; ".join(shown) or NOTHING


def _executions(document: Document) -> Table:
    executions = document["executions"]
    fees, rebates = executions["fees_microcents"], executions["rebates_microcents"]
    rows = [
        ("fills", count(executions["fills"])),
        *((f"fills flagged {flag}", count(n)) for flag, n in executions["fill_flags"].items()),
        ("fees", money(fees + rebates)),
        ("rebates", money(rebates)),
        ("fees less rebates", money(fees)),
        ("fees unpaid", money(executions["unpaid_fees_microcents"])),
        ("fees not charged when they came", money(executions["uncharged_fees_microcents"])),
        ("fees charged later", money(executions["charged_later_microcents"])),
        ("fees given back", money(executions["returned_microcents"])),
        ("debts paid by what came free", money(executions["collected_microcents"])),
        ("fills busted", count(executions["busted_fills"])),
        ("fills corrected", count(executions["corrected_fills"])),
        ("cancels", count(executions["cancels"])),
        ("reductions", count(executions["reductions"])),
        ("replaces done by the venue", count(executions["replaced"])),
        ("replaces rejected by it", count(executions["replace_rejected"])),
        ("executions of drop copies", count(executions["executions"])),
    ]
    note = (
        "As fills reported them. A ledger's spent is what was charged and paid: fees, without what "
        "was not charged, with what was charged later, without what is unpaid, with the debts paid "
        "since; no rebate lowers it, and what is given back is granted anew."
    )
    return Table("executions", "Fills and cancels", ("what", "#figure"), rows, note)


def _latency(document: Document) -> Table:
    latency = document["latency"]
    names = ("min", "mean", "p50", "p90", "p99", "p999", "max")

    def row(name: str, fields: dict[str, Any], unit: str, show: Any) -> Row:
        values: Iterable[Any] = (fields.get(f"{key}_{unit}") for key in names)
        return (name, count(fields["count"]), *(show(value) for value in values))

    rows = [
        row("order: sent to received", latency["orders"], "ns", duration),
        row("fill: executed to received", latency["fills"], "ns", duration),
        row("records in a batch", document["batches"], "records", count),
    ]
    note = (
        "What the log can tell: from the client's sent_at_ns (executed_at_ns) to the guard's "
        "received_at_ns, two clocks. The time to the answer is not in the log. Percentiles are at "
        f"most 3.2 % too high. Left out: sent later than received, {count(latency['clock_skew'])}; "
        f"sent more than a day before, or refused as stale, {count(latency['too_old'])}."
    )
    columns = ("what", "#count", "#min", "#mean", "#p50", "#p90", "#p99", "#p99.9", "#max")
    return Table("latency", "Latency and batches", columns, rows, note)


def _policies(document: Document) -> Table:
    rows = [
        (
            _sequence(period["from_sequence"]),
            time(period["from_ns"]),
            str(period["content"]["policy_epoch"]),
            str(period["content"]["catalog_epoch"]),
            count(period["content"]["model_count"]),
            count(period["decisions"]),
            period["digest_hex"],
        )
        for period in document["policies"]
    ]
    columns = (
        "#from record", "from, UTC", "#policy epoch", "#catalog epoch", "#venues", "#decisions",
        "digest",
    )  # fmt: skip
    left_out = document["policies_left_out"]
    note = f"{count(left_out)} earlier ones are left out." if left_out else ""
    return Table("policies", "Policies in force", columns, rows, note)


def _policy_venues(document: Document) -> Table:
    rows: list[Row] = []
    note = ""
    if document["policies"]:
        content = document["policies"][-1]["content"]
        note = (
            f"Hard risk limit {content['hard_risk_limit_bps']} bps, minimum confidence "
            f"{content['minimum_confidence_bps']} bps, risk penalty multiplier "
            f"{content['risk_penalty_multiplier_bps']} bps, latency penalty "
            f"{content['latency_penalty_microunits_per_ms']} microcents a ms."
        )
        rows = [
            (
                str(model["model_id"]),
                "yes" if model["enabled"] else "no",
                str(model["provider_id"]),
                count(model["quality_bps"]),
                count(model["risk_ceiling_bps"]),
                count(model["p95_latency_ms"]),
                count(model["input_cost_microunits_per_million_tokens"]),
                count(model["output_cost_microunits_per_million_tokens"]),
            )
            for model in content["models"]
        ]
    columns = (
        "venue", "enabled", "#provider", "#quality, bps", "#risk ceiling, bps",
        "#p95 latency, ms", "#fee a million lots, microcents", "#fee an order, microcents",
    )  # fmt: skip
    return Table("policy-venues", "Venues of the last policy", columns, rows, note)


def _administrative(document: Document) -> Table:
    rows = [
        (
            str(event["sequence"]),
            time(event["received_at_ns"]),
            event_words(event["event"]),
            event["by"],
            event["why"],
            _fields_text(event["fields"]),
        )
        for event in document["administrative"]
    ]
    left_out = document["administrative_left_out"]
    note = f"{count(left_out)} more are left out in the middle." if left_out else ""
    columns = ("#record", "at, UTC", "event", "by", "why", "what")
    return Table("administrative", "Sessions, halts and changes", columns, rows, note)


def _fields_text(fields: dict[str, Any]) -> str:
    """Name and value of each field; money is shown as such."""
    shown = []
    for name, value in fields.items():
        if name.endswith("_microcents") and (value is None or isinstance(value, int)):
            shown.append(f"{name.removesuffix('_microcents')} {money(value)}")
        elif isinstance(value, dict):
            shown.append(_fields_text(value))
        elif isinstance(value, list):
            shown.append(f"{name}: {'; '.join(map(_listed, value)) or 'none'}")
        else:
            shown.append(f"{name} {value}")
    return ", ".join(shown)


def _listed(value: Any) -> str:
    return _fields_text(value) if isinstance(value, dict) else str(value)
