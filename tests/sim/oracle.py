"""The oracle: what the guard must answer, worked out a second time from the protocol page.

Plain dictionaries. Imports nothing of `guard`, `wal` or `kernel`; of the product it sees the bytes
on the wire, and as plain numbers the balances that the wire does not show. The one thing that it
takes on trust is which venue the kernel prefers and for what fee; once told, it must stay so.

How it works: `handle` takes each request in the order in which the guard takes it, and gives the
expected reply and the log sequence as of which it is true. After a crash `recover` is told how many
records are left: all of what was answered must be among them, and the state is made anew from
the operations that they stand for.
"""

from typing import Any

from sim.facts import Facts
from sim.oracle_accounts import OracleAccounts
from sim.oracle_admin import OracleAdmin
from sim.oracle_amendments import OracleAmendments, said_of_fills
from sim.oracle_cancel_all import OracleCancelAll
from sim.oracle_drop_copy import OracleDropCopy
from sim.oracle_execution import OracleExecution
from sim.oracle_ids import SHARES_SINCE, Key, OracleIds
from sim.oracle_limits import LIMITS_SET, LIMITS_SINCE, TREES, OracleLimits
from sim.oracle_locates import OracleLocates
from sim.oracle_meeting import flag_of
from sim.oracle_positions import SINCE_VERSION as POSITIONS_SINCE
from sim.oracle_positions import Positions, left_of
from sim.oracle_reductions import OracleReductions, said_of_reductions
from sim.oracle_replaces import OracleReplaces, said_of_chain
from sim.oracle_together import OracleTogether
from sim.request_defaults import ORDER_DEFAULTS, REPLACE_DEFAULTS
from sim.tables import (
    ADOPTED,
    DISK_FULL,
    GATES,
    HALT_SPACE_BYTES,
    NOT_REMEMBERED,
    VENUES,
    WORTH,
    Reply,
    WrongError,
    admitted,
    again,
    content_of,
)
from sim.told import told

CLOCK_TOLERANCE_NS = 1_000_000_000
TIMED_SINCE = 2  # of the rules: a repeat, too, says when its order was received


class Oracle(
    OracleAccounts,
    OracleAdmin,
    OracleAmendments,
    OracleCancelAll,
    OracleDropCopy,
    OracleExecution,
    OracleIds,
    OracleLimits,
    OracleLocates,
    OracleReductions,
    OracleReplaces,
    OracleTogether,
):
    """`desks`: (budget, cap or None) of each; `window_ns`, `ids_max`: of the remembered ids."""

    def __init__(
        self,
        desks: dict[str, tuple[int, int | None]],
        window_ns: int,
        ids_max: int,
        *,
        releases_day_orders: bool = False,
        tree: str = "first",
    ) -> None:
        """`tree`: of limits, where there are any."""
        self.terms = desks
        self.window_ns = window_ns
        self.ids_max = ids_max
        self.releases_day_orders = releases_day_orders
        self.first_tree = TREES[tree]
        self.operations: list[tuple[int, str, Any, int]] = []  # sequence, kind, content, wall
        self.adopted: dict[tuple[int, str], Reply] = {}  # by record and order
        self.told_sequence = 0  # the highest as of which somebody was answered
        self._reset()

    def _reset(self) -> None:
        self.next_sequence = 1
        self.last_ns = 0
        self.rules_version = 0  # of those that decide now
        self._reset_limits()
        self._reset_admin()
        self._reset_drop_copy()
        self._reset_locates()
        self._reset_accounts()
        self.disk_low: Reply | None = None
        self.refused: tuple[str, ...] = ()
        self.next_reservation = 1
        self.orders: dict[Key, Reply] = {}
        # The closed ones of each share, the next to be forgotten first; and what of them was.
        self.queues: dict[int, list[Key]] = {number: [] for number in range(len(self.terms) + 1)}
        self.forgotten_close_ns = 0
        self.orphans: dict[tuple[str, str, str], Reply] = {}
        self.facts = Facts(self.window_ns)
        self.positions = Positions()
        # Of orders that but reduce: what is told of them, by record and order.
        self.overruled: dict[tuple[int, str], Reply] = {}
        line = {"reserved": 0, "committed": 0, "halted": False, "unpaid": 0, "returned": 0}
        self.desks: dict[str, Any] = {
            name: {**line, "remaining": budget, "initial": budget, "cap": cap}
            for name, (budget, cap) in self.terms.items()
        }

    # What happens.

    def start(self, record_count: int, wall_ns: int, said: int | str | None = None) -> None:
        """The guard has logged so many records of its own, and what rules they name, or that they
        set limits."""
        rules_version = said if isinstance(said, int) else None
        for _ in range(record_count):
            if 0 < self.rules_version < SHARES_SINCE <= (rules_version or 0):
                self._share_out(max(wall_ns, self.last_ns))
            self.rules_version = rules_version or self.rules_version
            self.has_limits = self.has_limits or said == LIMITS_SET
            if not self.positions.is_kept and self.rules_version >= POSITIONS_SINCE:
                self.positions.begin(self.orders, self.next_sequence)
            self._log("local", said, wall_ns, max(wall_ns, self.last_ns))

    def space(self, left: int, reserve: int, wall_ns: int) -> None:
        """So much is left on the log's disk: entries halt, or are let in again; some are refused
        without a record."""
        if left * 4 < reserve:
            facts = (
                "fill",
                "execution",
                "cancel",
                "reduce",
                "cancel_all",
                "replaced",
                "replace_rejected",
            )
            self.refused = ("order", *facts)
        else:
            self.refused = ("order",) if left * 2 < reserve else ()
        is_halted = self.disk_low is not None
        if (left * 4 >= reserve * 5) if is_halted else (HALT_SPACE_BYTES <= left < reserve):
            self._turn(left, reserve, wall_ns)

    def _turn(self, left: int, reserve: int, wall_ns: int) -> None:
        """Entries are halted, or let in again."""
        self._log("space", (left, reserve), wall_ns, max(wall_ns, self.last_ns))
        sizes = {"free_bytes": left, "reserve_bytes": reserve}
        self.disk_low = sizes if left < reserve else None

    def handle(self, request: Reply, wall_ns: int) -> Reply:
        """The reply that must come; `venue` and what hangs on it may be None: not known yet."""
        self._tick(wall_ns)
        orders = request["orders"] if request["type"] == "all_or_none" else [request]
        for order in orders:
            if order["type"] in ("order", "replace") and self.rules_version >= LIMITS_SINCE:
                self.settle_marks(wall_ns)
            self._revalue(order, wall_ns)
        answer = self._handle(request, wall_ns)
        self.take_losses(wall_ns)
        self.finish_due(wall_ns)
        return answer

    def _handle(self, request: Reply, wall_ns: int) -> Reply:
        kind = request["type"]
        now_ns = max(wall_ns, self.last_ns)
        answer: Reply = getattr(self, f"_{kind}")(request, now_ns, wall_ns)
        return told(answer, request, now_ns)

    def finish_due(self, wall_ns: int) -> None:
        """What came of an admitted order's fills before it is recorded behind it."""
        while self.facts.due:
            self._take_due(wall_ns)
            self.take_losses(wall_ns)

    def _take_due(self, wall_ns: int) -> None:
        content = self.facts.due.pop(0)
        self._take_fill("due", content, content, max(wall_ns, self.last_ns), wall_ns, ["early"])

    def check(self, expected: Reply, found: Reply, request_id: object, as_of: int) -> None:
        """`found` must be `expected`. `as_of`: the last record when it was decided."""
        self.told_sequence = max(self.told_sequence, as_of)
        found = dict(found)
        if found.pop("request_id", None) != request_id:
            raise WrongError(f"the reply echoes another request_id: {found}")
        if expected["type"] == "error":
            found.pop("message", None)
        elif expected["type"] == "pong":
            if not as_of <= found["head_sequence"] < self.next_sequence:
                raise WrongError(f"the head is {found['head_sequence']}, answered as of {as_of}")
            return
        self._adopt(expected, found)
        if expected["type"] == "all_or_none":
            for mine, told in zip(expected["answers"], found.get("answers", ()), strict=False):
                self._adopt(mine, told)
        if expected.get("answer"):
            self._adopt(expected["answer"], found.get("answer") or {})
        if found != expected:
            raise WrongError(f"expected {expected}, found {found}")

    def recover(self, record_count: int) -> None:
        """A crash has left so many records: at least all that anybody was told of."""
        if record_count < self.told_sequence:
            raise WrongError(
                f"{record_count} records are left, answered as of {self.told_sequence}"
            )
        if record_count >= self.next_sequence:
            raise WrongError(f"{record_count} records are left of {self.next_sequence - 1}")
        operations = [item for item in self.operations if item[0] <= record_count]
        self.operations = []
        self._reset()
        for sequence, kind, content, wall_ns in operations:
            if sequence != self.next_sequence:
                raise WrongError(f"operation {sequence} is due as {self.next_sequence}")
            if kind == "local":
                self.start(1, wall_ns, content)
            elif kind == "space":
                self._turn(*content, wall_ns)
            elif kind == "due":
                self._take_due(wall_ns)
            elif kind == "admin":
                self.carry_out(content, wall_ns)
            elif kind == "release":
                self.release(content, wall_ns)
            elif kind == "loss":
                self._lose(content, wall_ns)
            elif kind == "revalued":
                self._take_price(content, wall_ns)
            else:
                self._handle(content, wall_ns)

    def check_state(
        self, balances: dict[str, tuple[int, int, int]], holds: dict[int, tuple[str, int]]
    ) -> None:
        """The guard's balances (remaining, reserved, committed) and open holds must be these."""
        for name, desk in self.desks.items():
            mine = (desk["remaining"], desk["reserved"], desk["committed"])
            if balances.get(name) != mine:
                raise WrongError(f"{name}: expected {mine}, found {balances.get(name)}")
            if sum(balances[name]) != desk["initial"]:
                raise WrongError(f"{name} does not add up")
        mine_held = {
            order["answer"]["reservation_id"]: (key[0], order["hold"])
            for key, order in self.orders.items()
            if order["state"] == "open" and "reducing" not in order["answer"]
        }
        if holds != mine_held:
            raise WrongError(f"open holds: expected {mine_held}, found {holds}")

    def repeats(self, request: Reply, wall_ns: int) -> bool:
        """Would the request, sent again, be answered as before, and nothing logged?"""
        now_ns = max(wall_ns, self.last_ns)
        if request["type"] == "fill":
            return self._recorded_fill(request, now_ns) is not None
        if request["type"] == "reduce":
            return self._recorded_reduction(request, now_ns) is not None
        if request["type"] == "execution":
            return self._recorded_execution(request, now_ns) is not None
        if request["type"] in ("replaced", "replace_rejected"):
            return self._settled(request, now_ns) is not None
        if request["type"] in ("order", "replace"):
            own = self._own(request["desk"], request["client_order_id"], now_ns)
            if own is None or (own.get("replace") is None) != (request["type"] == "order"):
                return False
            if request["type"] == "replace":
                return bool(own["replace"] == content_of(request, REPLACE_DEFAULTS))
            return bool(own["content"] == content_of(request, ORDER_DEFAULTS))
        if request["type"] == "cancel" and self.facts.cancel_of(request, now_ns):
            return True
        order = self._find(request, now_ns)
        if order is None:
            return False
        return order["released"] is not None

    # The requests.

    def _order(self, request: Reply, now_ns: int, wall_ns: int) -> Reply:
        content = content_of(request, ORDER_DEFAULTS)
        key = (content["desk"], content["client_order_id"])
        known = self._own(*key, now_ns)
        if known is not None:
            values = {**known["content"]}
            if "replace" in known:  # it is not even an order
                values = {"original_client_order_id": "another"}
            for field, value in values.items():
                if content.get(field) != value:
                    detail = {"original_wal_sequence": known["answer"]["wal_sequence"]}
                    if "order" in self.refused:
                        return dict(DISK_FULL)
                    answer = self._reject(content, "order", "client_order_id_reused", detail)
                    answer["field"] = field
                    said = self._said(request, wall_ns)
                    self._log("order", {**request, "said": said}, wall_ns, now_ns)
                    self._note(content, said, 0, False)
                    return answer
            return again(known["answer"])
        if "order" in self.refused:
            return dict(DISK_FULL)
        said = self._said(request, wall_ns)
        answer = self._judge(content, said, now_ns, wall_ns)
        if answer["type"] == "admit" or answer["reason"] not in NOT_REMEMBERED:
            self._forget(key)
        sequence = self._record("order", {**request, "said": said}, wall_ns, now_ns)
        is_entry = answer["type"] == "admit" and "reducing" not in answer
        self._note(content, said, answer.get("notional_microcents", 0), is_entry)
        if self.rules_version >= TIMED_SINCE:
            answer["received_at_ns"] = now_ns  # which is remembered
        if answer["type"] == "admit" or answer["reason"] not in NOT_REMEMBERED:
            self._remember(content, answer, sequence, now_ns)
        self._sweep(content["desk"], sequence, now_ns)
        return answer

    def _remember(self, content: Reply, answer: Reply, sequence: int, now_ns: int) -> None:
        """An order that was admitted works from now on; one that was refused is known as such."""
        order = {
            "content": content,
            "answer": answer,
            "state": "refused",
            "hold": 0,
            "filled": 0,
            "fills": {},
            "released": None,
            "expires_ns": None,
        }
        key = (content["desk"], content["client_order_id"])
        if answer["type"] == "admit":
            order["meeting"] = self._meeting(content)
            if not content["allow_substitute"]:
                answer |= {"venue": content["venue"], "substituted": False}
            answer.update(self.adopted.get((sequence, key[1]), {}))
            desk = self.desks[content["desk"]]
            order["state"], order["hold"] = "open", answer["notional_microcents"]
            desk["remaining"] -= order["hold"]
            desk["reserved"] += order["hold"]
            self.next_reservation += "reducing" not in answer
            self.positions.work(content, content["quantity"])
            self.facts.meet(*key)
        self.orders[key] = order
        if order["state"] == "refused":
            self._close(order, "refused", now_ns)

    def _judge(self, content: Reply, said: Reply, now_ns: int, wall_ns: int) -> Reply:
        stale = self._stale(content, now_ns, wall_ns)
        if stale is not None:
            return self._reject(content, "order", "stale_order", stale)
        is_exit = self.positions.reduces(content)
        full = self._fullness(content["desk"], now_ns, is_exit)
        if full is not None:
            return self._reject(content, "order", "idempotency_window_full", full)
        desk = self.desks.get(content["desk"])
        if desk is None:
            return self._reject(content, "order", "unknown_desk", {})
        if content["symbol"] not in WORTH:
            return self._reject(content, "order", "unknown_symbol", {})
        if content["quantity"] >= 2**32:
            detail = {"asked": content["quantity"], "limit": 2**32 - 1, "used": 0}
            return self._reject(content, "order", "quantity_out_of_range", detail)
        misnamed = self._misnamed(content)
        if misnamed is not None:
            return self._reject(content, "order", misnamed, {})
        canceled = self.facts.cancel_of(content, now_ns)
        if canceled is not None:
            detail = {"original_wal_sequence": canceled["wal_sequence"]}
            return self._reject(content, "order", "canceled_before_arrival", detail)
        barred = self._barred(content, is_exit)
        if barred is not None:
            return self._reject(content, "order", *barred)
        notional = self._value(content, said, is_exit)
        beyond = self._beyond(content, said, notional, is_exit)
        if beyond is not None:
            return self._reject(content, "order", *beyond)
        for field, reason, limit, is_over in (
            ("risk_bps", "risk_hard_limit", self.risk_max_bps, 1),
            ("confidence_bps", "confidence_hard_limit", self.confidence_min_bps, -1),
        ):
            if (content[field] - limit) * is_over > 0 and is_exit:
                told = {"venue": content["venue"], "substituted": False, "reason": reason}
                name = (self.next_sequence, content["client_order_id"])
                self.overruled.setdefault(name, told)
            elif (content[field] - limit) * is_over > 0:
                detail = {"asked": content[field], "limit": limit, **dict.fromkeys(GATES, 0)}
                return self._reject(content, "kernel", reason, detail)
        if is_exit:
            return {**admitted(content, self.next_sequence, 0, 0), "reducing": True}
        located = self._located_lots(content)
        if desk["cap"] is not None and desk["reserved"] + notional > desk["cap"]:
            detail = {"asked": notional, "limit": desk["cap"], "used": desk["reserved"]}
            return self._reject(content, "ledger", "exposure_limit_exceeded", detail)
        if notional > desk["remaining"]:
            used = desk["initial"] - desk["remaining"]
            detail = {"asked": notional, "limit": desk["initial"], "used": used}
            return self._reject(content, "ledger", "insufficient", detail)
        answer = admitted(content, self.next_sequence, self.next_reservation, notional)
        return {**answer, "located_lots": located} if located else answer

    def _stale(self, content: Reply, now_ns: int, wall_ns: int) -> Reply | None:
        """Why an id would be forgotten too early."""
        sent_ns, window_ns = content["sent_at_ns"], self.window_ns
        clock_ns = wall_ns if abs(wall_ns - now_ns) > CLOCK_TOLERANCE_NS else now_ns
        if sent_ns is None:
            return None
        is_near = abs(clock_ns - sent_ns) <= window_ns
        if is_near and sent_ns > self.forgotten_close_ns:
            return None
        limit = self.forgotten_close_ns if is_near else window_ns
        return {"asked": sent_ns, "limit": limit, "used": clock_ns}

    def _status(self, request: Reply, now_ns: int, _wall_ns: int) -> Reply:
        order = self._find(request, now_ns)
        reply = {
            "type": "status",
            "desk": request["desk"],
            "client_order_id": request["client_order_id"],
            "state": "unknown",
            "answer": None,
            "filled_quantity": 0,
            "open_quantity": 0,
            "hold_microcents": 0,
        }
        if order is not None:
            state = order["state"]
            is_open = state == "open"
            reply["state"] = "closed" if state in ("filled", "canceled") else state
            own = self.orders[request["desk"], request["client_order_id"]]
            reply["answer"] = own["answer"]
            reply["filled_quantity"] = order["filled"]
            reply["open_quantity"] = left_of(order) if is_open else 0
            reply["hold_microcents"] = order["hold"]
            reply |= said_of_fills(order) | said_of_reductions(own) | said_of_chain(order)
        return reply

    def _ping(self, _request: Reply, _now_ns: int, _wall_ns: int) -> Reply:
        return {"type": "pong"}

    def _bad(self, request: Reply, _now_ns: int, _wall_ns: int) -> Reply:
        return {"type": "error", "code": request["code"], "field": request["field"]}

    # The parts.

    def _log(self, kind: str, content: Any, wall_ns: int, now_ns: int) -> int:
        """An operation makes a record that changes nothing of what is remembered."""
        sequence = self._record(kind, content, wall_ns, now_ns)
        desk = content["desk"] if kind == "order" else None
        self._sweep(desk, sequence, now_ns)
        return sequence

    def _record(self, kind: str, content: Any, wall_ns: int, now_ns: int) -> int:
        """The operation makes a record; by earlier rules, what may be forgotten by now is."""
        sequence = self.next_sequence
        self.operations.append((sequence, kind, content, wall_ns))
        self.next_sequence += 1
        self.last_ns = now_ns
        if self.rules_version < SHARES_SINCE:
            self.orders = {k: o for k, o in self.orders.items() if not self._is_expired(o, now_ns)}
            self.orphans = {k: o for k, o in self.orphans.items() if o["expires_ns"] > now_ns}
        self.facts.forget_expired(now_ns)
        return sequence

    def _adopt(self, expected: Reply, found: Reply) -> None:
        """Takes over the kernel's choice of venue where it is told for the first time."""
        if expected["type"] != "admit" or found.get("type") != "admit":
            return
        sequence = expected["wal_sequence"]
        order = self.orders.get((expected.get("desk", ""), expected["client_order_id"]))
        orders = [order] if order else self.orders.values()
        known = [each for each in orders if each["answer"]["wal_sequence"] == sequence]
        name = (sequence, expected["client_order_id"])
        if name not in self.adopted:
            chosen = {name: found.get(name) for name in ADOPTED}
            if known:
                chosen |= flag_of(known[0]["meeting"], chosen["venue"], found)
            self.adopted[name] = chosen
        chosen = self.adopted[name]
        if expected["venue"] not in (None, chosen["venue"]):
            raise WrongError(f"an order that goes to {expected['venue']} alone: {found}")
        word = "alternative" if chosen["substituted"] else "requested_model"
        told = self.overruled.get(name, {"reason": f"{word}_maximizes_utility"})
        if chosen["venue"] not in VENUES or not told.items() <= chosen.items():
            raise WrongError(f"no such choice: {found}")
        expected.update(chosen)
        for each in known:
            each["answer"].update(chosen)
