"""Tables of the limits of a day: what was used of each, what each refused, what changed. Pure.

Owns their columns and words, as `guard.audit.tables` owns those of the day.
"""

from typing import Any, Final

from guard.audit.formats import NOTHING, WHOLE_SHARE, Spark, count, money, share, time
from guard.audit.table import Document, Row, Table
from guard.engine.limit_use import RATE_WORDS
from guard.protocol.limits import FILE_NAMES

SPARK_POINTS: Final = 24
_MONEY: Final = frozenset((*FILE_NAMES.values(), "budget", "exposure_cap"))


def limit_tables(document: Document) -> list[Table]:
    """What the page's section of limits and the text show."""
    return [limit_uses(document), limit_changes(document)]


def limit_words(name: str) -> str:
    """A limit's name, for people."""
    return name.replace("_", " ")


def is_money(name: str) -> bool:
    """Is what that limit bounds an amount of money?"""
    return name in _MONEY or name.startswith(f"{RATE_WORDS}notional")


def limit_value(name: str, value: Any) -> str:
    """A bound or a use: money as money, words as words, all else as a number."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return money(value) if is_money(name) else count(value)
    if isinstance(value, list):
        shown = [_item(each) for each in value]
        return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")
    return str(value)


def _item(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(str(each) for each in value.values())
    return str(value)


def said_words(said: str) -> str:
    """Whose limit it is: `limits.desk.d.symbol.s`, or `desks.d`, in words."""
    if said == "limits":
        return "firm"
    kind, _, rest = said.partition(".")
    if kind == "desks":
        return f"desk {rest}"
    desk, between, symbol = rest.partition(".symbol.")
    if rest.startswith("desk."):
        named = f"desk {desk.removeprefix('desk.')}"
        return f"{named} in {symbol}" if between else named
    return rest.replace(".", " ", 1)


def user_words(line: Document) -> str:
    """Who used it, where that is not the whole scope."""
    desk, symbol, of = line["desk"], line["symbol"], said_words(line["said"])
    if desk and f"desk {desk}" in (of, of.partition(" in ")[0]):
        desk = ""
    if symbol and (of == f"symbol {symbol}" or of.endswith(f" in {symbol}")):
        symbol = ""
    return f"{desk} in {symbol}" if desk and symbol else desk or symbol or NOTHING


def limit_title(line: Document) -> str:
    """A limit and who used it, in one line."""
    used_by = user_words(line)
    words = f"{limit_words(line['limit'])} of {said_words(line['said'])}"
    return words if used_by == NOTHING else f"{words}: {used_by}"


def course_of(document: Document, line: Document) -> list[int]:
    """The share that was used, in millionths, at its most in each of a few parts of the day."""
    span, width_ns = document["range"], document["limits"]["bucket_width_ns"]
    begin_ns, end_ns = span["first_received_at_ns"], span["last_received_at_ns"]
    part_ns = max(-(-(end_ns - begin_ns + 1) // SPARK_POINTS), 1)
    points, held, at = [0] * SPARK_POINTS, 0, 0
    for start_ns, peak, used, bound in line["rows"]:
        first = min(max((start_ns - begin_ns) // part_ns, 0), SPARK_POINTS - 1)
        last = min(max((start_ns + width_ns - 1 - begin_ns) // part_ns, first), SPARK_POINTS - 1)
        for part in range(at, first):
            points[part] = max(points[part], held)
        # Within a bucket nobody knows when; it is drawn where the bucket begins.
        points[first] = max(points[first], held, _millionths(peak, bound))
        held, at = _millionths(used, bound), max(first, min(last, first + 1))
    for part in range(at, SPARK_POINTS):
        points[part] = max(points[part], held)
    return points


def _millionths(used: int, bound: int | None) -> int:
    if bound is None:
        return 0
    return used * WHOLE_SHARE // bound if bound > 0 else WHOLE_SHARE if used else 0


def limit_uses(document: Document) -> Table:
    """Each limit and who used it, those who came nearest to theirs first."""
    limits = document["limits"]
    rows = [_use(document, line) for line in limits["listed"]]
    note = (
        "Highest use is behind a record, of the bound that was in force then: of what stands used "
        "(exposure, positions, open orders, a day's loss, budget and cap), of what counts within a "
        "window, and of limits on single orders the admitted one that came nearest. Of a least "
        "quantity or value, the least there was."
    )
    if limits["left_out"]:
        note += f" {count(limits['left_out'])} more, who used less of theirs, are left out."
    columns = (
        "limit", "said by", "used by", "#bound", "#highest use", "#of bound", "#refused",
        "through the day", "#at record", "at, UTC",
    )  # fmt: skip
    return Table("limit-uses", "Limits and their use", columns, rows, note)


def _use(document: Document, line: Document) -> Row:
    name, highest = line["limit"], line["highest"]
    bound = limit_value(name, line["bound"]) if line["in_force"] else "no more"
    refused = count(line["refused"]) if line["refused"] else NOTHING
    shown: tuple[str, ...] = (NOTHING, NOTHING, refused, NOTHING, NOTHING, NOTHING)
    if highest is not None:
        used = limit_value(name, highest["used"])
        if line["in_force"] and highest["bound"] != line["bound"]:
            used += f" of {limit_value(name, highest['bound'])}"
        of = NOTHING
        if highest["millionths"] is not None:
            of = share(highest["millionths"], WHOLE_SHARE)
        spark = Spark(course_of(document, line)) if line["rows"] else NOTHING
        at = NOTHING if highest["sequence"] is None else str(highest["sequence"])
        shown = (used, of, refused, spark, at, _at(document, highest["at_ns"]))
    who = (limit_words(name), said_words(line["said"]), user_words(line))
    return (*who, bound, *shown)


def _at(document: Document, at_ns: int | None) -> str:
    """When it was; without the date where all of it is of one."""
    span = document["range"]
    ends = (time(span["first_received_at_ns"])[:10], time(span["last_received_at_ns"])[:10])
    shown = time(at_ns)
    return shown[11:] if ends[0] == ends[1] == shown[:10] else shown


def limit_changes(document: Document) -> Table:
    """What limits said otherwise from a record on."""
    limits = document["limits"]
    rows = [
        (
            str(change["sequence"]),
            time(change["at_ns"]),
            limit_words(change["limit"]),
            said_words(change["said"]),
            limit_value(change["limit"], change["before"]),
            limit_value(change["limit"], change["after"]),
        )
        for change in limits["changes"]
    ]
    left_out = limits["changes_left_out"]
    note = f"{count(left_out)} later ones are left out." if left_out else ""
    columns = ("#record", "at, UTC", "limit", "said by", "#was", "#is")
    return Table("limit-changes", "Limits that changed", columns, rows, note)


def limit_course(line: Document) -> Table:
    """What the chart of a limit's use draws."""
    name = line["limit"]
    rows = [
        (time(start_ns), limit_value(name, peak), limit_value(name, used), limit_value(name, bound))
        for start_ns, peak, used, bound in line["rows"]
    ]
    columns = ("from, UTC", "#most used", "#used at the end", "#bound")
    return Table("limit-rows", limit_title(line), columns, rows)
