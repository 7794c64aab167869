"""Replies of the admin endpoint as text for a person.

Owns one form a type of reply, found by a table: tables of at most 80 columns where names are short,
money with its decimals, times in UTC, what is wrong as sentences.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from guard.admin import messages as said
from guard.audit import formats
from guard.audit.formats import NOTHING
from guard.observe.limit_rows import limit_rows
from guard.protocol.instruments import counted

LIMITS_SHOWN: Final = 5  # of which the most is used


def text_of(reply: Any) -> str:
    """The reply, without a line's end behind it."""
    return _TEXTS[type(reply)](reply)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: int) -> str:
    """Columns under their heads, the first `numbers` behind the name to the right."""
    lines = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]

    def cell(at: int, text: str) -> str:
        return text.rjust(widths[at]) if 0 < at <= numbers else text.ljust(widths[at])

    return "\n".join("  ".join(map(cell, range(len(line)), line)).rstrip() for line in lines)


def _done(reply: said.Done) -> str:
    done = "was done before" if reply.repeat else "done"
    changes = "".join(f"{change}\n" for change in reply.changes)
    return f"{changes}{done}: record {reply.wal_sequence} (action {reply.action_id})"


def _planned(reply: said.Planned) -> str:
    return "\n".join(reply.changes)


def _desks(reply: said.DesksReply) -> str:
    has_returns = any(desk.returned_microcents for desk in reply.desks)
    has_prices = any(desk.exposure_gross_microcents is not None for desk in reply.desks)
    rows = [
        (
            desk.desk,
            formats.money(desk.granted_microcents),
            *([formats.money(desk.returned_microcents)] if has_returns else ()),
            formats.money(desk.held_microcents),
            formats.money(desk.spent_microcents),
            formats.money(desk.remaining_microcents),
            *(
                (_known(desk.exposure_gross_microcents), _known(desk.day_profit_microcents))
                if has_prices
                else ()
            ),
            _state(desk),
        )
        for desk in reply.desks
    ]
    # Of what is granted: what busted and corrected fills gave back, where any did.
    returned = ("returned",) if has_returns else ()
    priced = ("exposure", "day's profit") if has_prices else ()
    heads = ("desk", "granted", *returned, "held", "spent", "free", *priced, "state")
    text = table(heads, rows, len(heads) - 2)
    return text + _more(reply.next_after, "--after")


def _more(place: str | int | None, option: str = "--cursor") -> str:
    """How the page behind this one is asked for; nothing where this is the last one."""
    return "" if place is None else f"\nmore: {option} {place}"


def _state(desk: said.DeskLine) -> str:
    why = ", ".join(dict.fromkeys(desk.why))  # a latch of each of several symbols says the same
    return f"{desk.state}: {why}" if why else desk.state


def _known(microcents: int | None) -> str:
    return "-" if microcents is None else formats.money(microcents)


def _open_orders(reply: said.OpenOrdersReply) -> str:
    rows = [
        (
            f"{order.desk}/{order.client_order_id}",
            formats.count(order.quantity),
            formats.count(order.filled_quantity),
            formats.money(order.hold_microcents),
            formats.duration(order.age_ns),
            f"{order.side} {order.symbol}",
        )
        for order in reply.orders
    ]
    text = table(("order", "lots", "filled", "held", "age", ""), rows, 4) if rows else "none here"
    return text + _more(reply.next_cursor)


def _positions(reply: said.PositionsReply) -> str:
    has_prices = any(one.price_ticks is not None for one in reply.positions)
    rows = [
        (
            f"{one.desk} {one.symbol}",
            formats.count(one.position_lots),
            formats.count(one.working_buys),
            formats.count(one.working_sells),
            formats.money(one.cost_microcents),
            formats.money(one.realised_microcents),
            *((_known(one.unrealised_microcents),) if has_prices else ()),
        )
        for one in reply.positions
    ]
    priced = ("unrealised",) if has_prices else ()
    heads = ("position", "lots", "buying", "selling", "cost", "realised", *priced)
    text = table(heads, rows, len(heads) - 1) if rows else "none here"
    return text + _more(reply.next_cursor)


def _uncharged(reply: said.UnchargedFillsReply) -> str:
    rows = [
        (
            f"{one.desk} {one.client_order_id} {one.fill_id}",
            formats.money(one.fee_microcents),
            formats.count(one.quantity),
            f"record {one.wal_sequence}: {', '.join(one.flags)}",
        )
        for one in reply.fills
    ]
    text = table(("desk, order, fill", "fee", "lots", ""), rows, 2) if rows else "none here"
    return text + _more(reply.next_cursor)


def _unreconciled(reply: said.UnreconciledReply) -> str:
    rows = [
        (
            f"{one.desk}/{one.client_order_id}/{one.id}",
            formats.count(one.wal_sequence),
            formats.duration(one.age_ns),
            "a fill that no drop copy confirms"
            if one.what == "fill"
            else "an execution without its fill",
        )
        for one in reply.waiting
    ]
    text = table(("trade", "record", "age", ""), rows, 2) if rows else "all have met"
    return text + _more(reply.next_cursor)


def _story(reply: said.StoryReply) -> str:
    order, answer = reply.order or {}, reply.answer or {}
    lines = [
        f"order {reply.desk}/{reply.client_order_id}: {reply.state}",
        f"  {order.get('side')} {counted(order.get('quantity', 0), 'lot')} of "
        f"{order.get('symbol')} at {counted(order.get('price', 0), 'tick')}, "
        f"{order.get('order_type')}, {order.get('time_in_force')}",
    ]
    if answer.get("type") == "admit":
        lines.append(
            f"  record {answer['wal_sequence']}: admitted to venue {answer['venue']}, "
            f"{formats.money(answer['notional_microcents'])} held"
        )
    elif answer:
        lines.append(f"  record {answer['wal_sequence']}: rejected, {answer['reason']}")
    for fill in reply.fills:
        flags = f" ({', '.join(fill.flags)})" if fill.flags else ""
        lines.append(
            f"  record {fill.wal_sequence}: fill {fill.fill_id} of "
            f"{counted(fill.quantity, 'lot')}, fee {formats.money(fill.fee_microcents)}, "
            f"{formats.money(fill.released_microcents)} "
            f"freed{flags}"
        )
        lines += [f"    {words}" for words in fill.said]
    for one in reply.reductions:
        flags = f" ({', '.join(one.flags)})" if one.flags else ""
        lines.append(
            f"  record {one.wal_sequence}: reduction {one.reduce_id} of "
            f"{counted(one.quantity, 'lot')}, {formats.money(one.released_microcents)} freed{flags}"
        )
    for each in reply.executions:
        flags = f" ({', '.join(each.flags)})" if each.flags else ""
        lines.append(
            f"  record {each.wal_sequence}: execution {each.execution_id} at venue {each.venue}, "
            f"{each.side} {counted(each.quantity, 'lot')} of {each.symbol} at "
            f"{counted(each.price, 'tick')}{flags}"
        )
    if reply.release_sequence is not None:
        freed = formats.money(reply.released_microcents)
        lines.append(f"  record {reply.release_sequence}: closed, {freed} freed")
    lines.append(
        f"  filled {reply.filled_quantity}, open {counted(reply.open_quantity, 'lot')}, "
        f"{formats.money(reply.hold_microcents)} held now"
    )
    return "\n".join(lines)


def _pending_approval(reply: said.PendingApproval) -> str:
    changes = "".join(f"{change}\n" for change in reply.changes)
    until = formats.time(reply.expires_at_ns)
    return (
        f"{changes}nothing is changed yet: another person has to approve it until {until}:\n"
        f"pretrade-guard admin approve {reply.proposal} --why ..."
    )


def _pending(reply: said.PendingReply) -> str:
    lines = []
    for one in reply.proposals:
        until = formats.time(one.expires_at_ns)
        lines.append(f"{one.proposal}: by {one.by} ({one.why}), until {until}")
        lines += [f"  {change}" for change in one.changes]
    lines += [
        f"loosened: {f'{one.what} {one.desk}'.strip()}, until {formats.time(one.until_ns)}"
        for one in reply.loosened
    ]
    return "\n".join(lines) or "nothing waits, nothing is loosened"


def _configuration(reply: said.ConfigurationReply) -> str:
    policy = reply.policy or {}
    lines = [
        f"rules version {reply.rules_version}, currency {reply.currency}",
        f"{reply.remembered_orders_max:,} order ids remembered for "
        f"{reply.remembered_order_window_ns // 1_000_000_000:,} s",
        f"policy {reply.policy_digest_hex}",
    ]
    lines += [f"  {name}: {value}" for name, value in policy.items() if name != "models"]
    for model in policy.get("models", ()):
        fields = ", ".join(f"{name} {value}" for name, value in model.items() if name != "model_id")
        lines.append(f"  venue {model['model_id']}: {fields}")
    lines += [
        f"symbol {one.symbol}: tick {one.tick_size}, lot {one.lot_size}, multiplier "
        f"{one.multiplier}{', halted' if one.is_halted else ''}"
        for one in reply.instruments
    ]
    return "\n".join(lines)


def health_text(reply: said.HealthReply) -> str:
    """The guard's health: what it is, its ages, its troubles."""
    figures = reply.figures
    lines = [
        f"pretrade-guard {reply.software_version}, "
        f"{'serving' if reply.is_serving else 'stopping'} {reply.endpoint}, up "
        f"{formats.duration(figures['uptime_ns'])}",
        f"log         {reply.log_directory}, record {reply.head_sequence:,}, epoch {reply.epoch}",
        f"last sync   {formats.duration(figures['last_sync_ns'])}",
        f"checkpoint  record {figures['checkpoint_sequence']:,}, "
        f"{figures['records_since_checkpoint']:,} records behind the log's end",
    ]
    if figures["anchor_sequence"] >= 0:
        lines.append(f"anchor      record {figures['anchor_sequence']:,}")
    lines += [
        f"disk        {figures['disk_left_bytes']:,} bytes free, reserve "
        f"{figures['disk_reserve_bytes']:,}",
        f"orders      {figures['open_orders']:,} open, {figures['remembered_orders']:,} of "
        f"{figures['remembered_orders_max']:,} ids remembered",
        f"clients     {figures['connections']:,} connections",
    ]
    for at, row in enumerate(limit_rows(reply.limits_used[:LIMITS_SHOWN])):
        use = row["use_per_mille"]
        share = "all" if use is None else f"{use / 10:.1f} %"
        who = row["said_by"] + ("" if row["used_by"] == NOTHING else f": {row['used_by']}")
        used = f"{row['limit']} {share}, {row['used']} of {row['bound']} ({who})"
        lines.append(f"{'' if at else 'limits':<12}{used}")
    if reply.troubles:
        lines += ["", *(f"! {sentence}" for sentence in reply.troubles)]
    else:
        lines += ["", "all is well"]
    return "\n".join(lines)


def _locates(reply: said.LocatesReply) -> str:
    rows = [
        (
            one.locate_id,
            formats.count(one.quantity_lots),
            formats.count(one.used_lots),
            f"{one.desk} {one.symbol}",
        )
        for one in reply.locates
    ]
    text = table(("locate", "lots", "used", ""), rows, 2) if rows else "none here"
    return text + _more(reply.next_after, "--after")


def _accounts(reply: said.AccountsReply) -> str:
    rows = [(one.account, one.desk, one.customer or "none") for one in reply.accounts]
    text = table(("account", "desk", "customer"), rows, 0) if rows else "none here"
    if reply.next_after is not None:
        text += f"\nmore: --after {reply.next_after}"
    return text


_TEXTS: Final[dict[type, Callable[[Any], str]]] = {
    said.Done: _done,
    said.Planned: _planned,
    said.DesksReply: _desks,
    said.OpenOrdersReply: _open_orders,
    said.PositionsReply: _positions,
    said.UnchargedFillsReply: _uncharged,
    said.UnreconciledReply: _unreconciled,
    said.StoryReply: _story,
    said.ConfigurationReply: _configuration,
    said.HealthReply: health_text,
    said.PendingApproval: _pending_approval,
    said.PendingReply: _pending,
    said.LocatesReply: _locates,
    said.AccountsReply: _accounts,
}
