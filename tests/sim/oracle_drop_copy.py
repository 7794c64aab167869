"""The oracle's part about drop copies: executions, each one trade with its fill (PROTOCOL, 14).

Plain dictionaries, like the rest of it (`sim.oracle`). An execution stands among its order's fills,
under a key that no fill has; one that came before its fill is kept with the order (`reports`) until
that comes, or a person busts it.
"""

from typing import Any

from sim.facts import Facts, pay, share_left
from sim.oracle_positions import Positions, left_of
from sim.request_defaults import EXECUTION_DEFAULTS
from sim.tables import DISK_FULL, WORTH, Reply, again, content_of

Key = tuple[str, str]
MARK = "\x02"
LATCH = "execution_differs"


class OracleDropCopy:
    """See the module. `strays`: executions of orders that are not known."""

    refused: tuple[str, ...]
    orders: dict[Key, Reply]
    orphans: dict[tuple[str, str, str], Reply]
    desks: dict[str, Any]
    facts: Facts
    positions: Positions
    latches: dict[tuple[str, str, str], int]
    window_ns: int
    next_sequence: int
    _close: Any
    _find: Any
    _record: Any
    _sweep: Any
    _trade_otherwise: Any

    def _reset_drop_copy(self) -> None:
        self.strays: dict[tuple[str, int, str], Reply] = {}

    def _recorded_execution(self, request: Reply, now_ns: int) -> Reply | None:
        """What was said and answered under its identity, as far as that is remembered."""
        key = execution_key(request)
        for (desk, _), order in self.orders.items():
            if desk == request["desk"] and key in order["fills"]:
                found: Reply = order["fills"][key]
                return found
        if self._find(request, now_ns) is not None:
            return None
        stray = self.strays.get(_identity(request))
        return stray if stray is not None and stray["expires_ns"] > now_ns else None

    def _execution(self, request: Reply, now_ns: int, wall_ns: int) -> Reply:
        content = content_of(request, EXECUTION_DEFAULTS)
        earlier = self._recorded_execution(request, now_ns)
        if earlier is not None:
            differing = [name for name in content if content[name] != earlier["content"][name]]
            if not differing:
                return again(earlier["answer"])
            field = "execution_id" if "expires_ns" in earlier else differing[0]
            return {"type": "error", "code": "execution_id_reused", "field": field}
        if "execution" in self.refused:
            return dict(DISK_FULL)
        order = self._find(request, now_ns)
        answer = {
            "type": "executed",
            "desk": content["desk"],
            "client_order_id": content["client_order_id"],
            "execution_id": content["execution_id"],
            "wal_sequence": self.next_sequence,
            "open_quantity": 0,
            "hold_microcents": 0,
            "released_microcents": 0,
            "flags": ["unknown"],
            "repeat": False,
        }
        record = {"content": content, "answer": answer}
        if order is not None:
            self._take_trade(order, record)
        sequence = self._record("execution", request, wall_ns, now_ns)
        if order is None and content["desk"] in self.desks:
            record["expires_ns"] = now_ns + self.window_ns + 1
            self.strays[_identity(request)] = record
        if order is not None and order["state"] == "open" and left_of(order) == 0:
            self._close(order, "filled", now_ns)
        self._sweep(content["desk"], sequence, now_ns)
        return dict(answer)

    def _take_trade(self, order: Reply, record: Reply) -> None:
        """An execution of an order that is known moves what its fill has not."""
        content, answer = record["content"], record["answer"]
        is_admitted, is_open = order["state"] != "refused", order["state"] == "open"
        at_venue = not is_admitted or order["answer"]["venue"] == content["venue"]
        is_other = not at_venue or any(
            content[name] != order["content"][name] for name in ("symbol", "side")
        )
        fill = self._fill_of(order, content) if at_venue else None
        counted = None if fill is None else _counted(fill)
        is_unknown = fill is not None and _is_unknown(fill)
        more = content["quantity"]
        if fill is not None and not is_unknown:
            more = max(0, more - fill["content"]["quantity"])
        differs = is_other
        if fill is not None and not is_unknown:
            differs = is_other or counted is None or not _agree(content, counted)
        left = left_of(order) if is_admitted else 0
        flags = {
            "confirms": fill is not None,
            "differs": differs,
            "overfill": is_admitted and more > left,
            "late": is_admitted and more > 0 and not is_open,
            "refused": not is_admitted,
        }
        answer["flags"] = [name for name, is_so in flags.items() if is_so]
        within = min(left, more)
        if is_open:
            self._settle_trade(order, answer, left, within, more)
        self._move(order, record, fill, counted, (more, within, is_other, differs))
        order["filled"] += more if is_admitted else 0
        order["fills"][execution_key(content)] = record
        if fill is None and at_venue:
            order.setdefault("reports", {})[content["execution_id"]] = {
                **record,
                "is_other": is_other,
            }
        elif counted is not None and not is_other:
            assert fill is not None
            stand_corrected(order, fill, content, differs=differs)
        if differs:
            self._latch_difference(content["desk"])
        self.strays.pop(_identity(content), None)

    def _latch_difference(self, desk: str) -> None:
        """Fills and executions differ; where there is no such desk nothing is to be latched."""
        if desk in self.desks:
            self.latches.setdefault((desk, "", LATCH), self.next_sequence)

    def _settle_trade(self, order: Reply, answer: Reply, left: int, within: int, more: int) -> None:
        """What is open and held then, and what comes free."""
        hold = share_left(order, left - within) if more else order["hold"]
        freed, desk = order["hold"] - hold, self.desks[order["content"]["desk"]]
        desk["remaining"] += freed
        desk["reserved"] -= freed
        order["hold"] = hold
        collected = min(desk["unpaid"], desk["remaining"])
        pay(desk, collected)
        answer["open_quantity"], answer["hold_microcents"] = left - within, hold
        answer["released_microcents"] = freed
        if collected:
            answer["collected_microcents"] = collected

    def _move(
        self,
        order: Reply,
        record: Reply,
        fill: Reply | None,
        counted: Reply | None,
        said: tuple[int, int, bool, bool],
    ) -> None:
        """The position moves by what the execution says, in the place of what its fill has."""
        more, within, is_other, differs = said
        content, positions = record["content"], self.positions
        is_known = content["desk"] in self.desks
        if is_known and order["state"] == "open":
            positions.work(order["content"], -within)
        confirmed = 0
        if order["state"] != "refused":
            confirmed = within
            chain = order.get("chain")
            if chain:  # all that was ever admitted counts
                confirmed = max(0, min(more, chain["ever"] - order["filled"]))
        if not is_known:
            return
        if counted is not None and order["content"]["symbol"] in WORTH:
            assert fill is not None
            price = counted["price"] or order["content"]["price"]
            was = min(fill.get("confirmed", 0), counted["quantity"])
            confirmed += fill.get("confirmed", 0)
            if not differs and price == content["price"]:
                return
            positions.move(order["content"], -counted["quantity"], -was, price)
            if not is_other:
                fill["confirmed"] = min(confirmed, content["quantity"])
        if content["symbol"] in WORTH:
            counts = 0 if is_other else min(confirmed, content["quantity"])
            record["confirmed"] = counts
            positions.move(content, content["quantity"], counts, content["price"])
        if fill is not None:  # of a symbol that there is not it has moved nothing, and counts
            fill["leg"] = record if is_other else None

    def _fill_of(self, order: Reply, content: Reply) -> Reply | None:
        """The fill of an execution's trade that was recorded before it."""
        name = content["execution_id"]
        identity = (content["desk"], content["client_order_id"], name)
        kept = self.orphans.get(identity) or self.facts.fills.get(identity)
        found: Reply | None = order["fills"].get(name)
        return found or (None if kept is None else kept["record"])

    def _report_of(self, named: Reply, now_ns: int) -> Reply | None:
        """The execution that came before that fill, which has not come."""
        order = self._find(named, now_ns)
        if order is None or named["desk"] not in self.desks:
            return None
        found: Reply | None = order.get("reports", {}).get(named["fill_id"])
        return found

    def _take_reported(self, order: Reply, record: Reply) -> None:
        """A fill whose execution has moved all."""
        content = record["content"]
        report = order["reports"].pop(content["fill_id"])
        executed = report["content"]
        record["confirmed"] = (
            order["fills"].get(execution_key(executed), report).get("confirmed", 0)
        )
        if report["is_other"]:
            record["leg"] = report
        else:
            differs = "differs" in record["answer"]["flags"]
            stand_corrected(order, record, executed, differs=differs)
        if "differs" in record["answer"]["flags"]:
            self._latch_difference(content["desk"])

    def _bust_report(self, report: Reply, order: Reply) -> None:
        """An execution that did not happen: what it moved is moved back."""
        content = report["content"]
        order["reports"].pop(content["execution_id"])
        if content["symbol"] in WORTH:
            lots = -content["quantity"]
            kept = order["fills"].get(execution_key(content), report)
            self.positions.move(content, lots, -kept.get("confirmed", 0), content["price"])


def stand_corrected(order: Reply, fill: Reply, executed: Reply, *, differs: bool) -> None:
    """The fill counts as its execution says, whatever it said itself."""
    known = {**fill["content"], **fill.get("said", {})}
    if differs:
        said = fill.setdefault("said", {})
        said["quantity"], said["price"] = executed["quantity"], executed["price"]
        said.setdefault("fee_microcents", fill["content"]["fee_microcents"])
    elif known["price"] is None and executed["price"] != order["content"]["price"]:
        fill.setdefault("said", {})["price"] = executed["price"]


def differs_from(report: Reply, fill: Reply) -> bool:
    """Does a fill say otherwise than the execution that came before it?"""
    return bool(report["is_other"] or not _agree(report["content"], fill))


def execution_key(content: Reply) -> str:
    """Under which an execution stands among the fills of its order."""
    return f"{MARK}{content['venue']}/{content['execution_id']}"


def _identity(content: Reply) -> tuple[str, int, str]:
    return content["desk"], content["venue"], content["execution_id"]


def _is_unknown(fill: Reply) -> bool:
    """It came for an order that was not known then, and never counts."""
    flags = fill["answer"]["flags"]
    return "unknown" in flags and "refused" not in flags


def _counted(fill: Reply) -> Reply | None:
    """What the fill counts as in the position: lots, and a price if it has said any."""
    said = fill.get("said", {})
    if _is_unknown(fill) or said.get("busted"):
        return None
    known = {**fill["content"], **said}
    return {"quantity": known["quantity"], "price": known["price"]}


def _agree(executed: Reply, fill: Reply) -> bool:
    price = fill["price"]
    return bool(executed["quantity"] == fill["quantity"] and price in (None, executed["price"]))
