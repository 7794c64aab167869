"""The oracle's part about operators: what each action changes, and what it is answered.

Plain dictionaries, like the rest of it (`sim.oracle`), worked out from the admin page. An action is
what was sent, with a policy and limits by the names that `sim.tables` and `sim.oracle_limits` have
for them; a day's close takes its time, and what it releases is told one by one.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sim.facts import SINCE_VERSION, Facts, pay
from sim.oracle_accounts import KINDS as NAMES
from sim.oracle_amendments import KINDS as KINDS_OF_FILL
from sim.oracle_positions import Positions, left_of
from sim.tables import POLICIES, WORTH, Reply, WrongError

Key = tuple[str, str]
NS_PER_S = 1_000_000_000
# What is not asked for, but said of it.
_SAID = ("why", "by", "dry_run", "request_id")


class OracleAdmin:
    """See the module. `releases_day_orders`: a day's close releases them."""

    last_ns: int
    next_sequence: int
    rules_version: int
    disk_low: Reply | None
    desks: dict[str, Any]
    orders: dict[Key, Reply]
    facts: Facts
    positions: Positions
    releases_day_orders: bool
    _close: Any
    _is_again: Any
    _find: Any
    _log: Any
    _set_tree: Any
    _shown_locates: Any
    _shown_accounts: Any
    _said_of_names: Any
    _is_named: Any
    _has_lost: Any
    _loss_of: Any
    _at_prices: Any
    lost: dict[Key, int]
    prices: dict[str, tuple[int, int]]
    take_losses: Any

    def _reset_admin(self) -> None:
        """Nothing is recorded yet."""
        self.actions: dict[str, Reply] = {}  # by id: what was asked for, and its record
        self.said: dict[Key, str] = {}  # of a scope and a name: "halted" or "reducing"
        self.policy = "first"
        self.risk_max_bps, self.confidence_min_bps = POLICIES[self.policy]
        self.latches: dict[tuple[str, str, str], int] = {}  # desk, symbol and kind, by record
        self.closing: Reply | None = None
        self.ending: list[Reply] = []  # the day orders that were open when that began
        self.awaiting: list[Reply] = []  # the replies to it, which lack their record yet

    # What is asked.

    def act(self, action: Reply, wall_ns: int) -> Reply:
        """The reply that must come to a request of an operator, but for its words."""
        now_ns = max(wall_ns, self.last_ns)
        if action["type"] == "desks":
            return self._shown()
        if action["type"] == "locates":
            return self._shown_locates()
        if action["type"] == "accounts":
            return self._shown_accounts()
        if action.get("wrong"):
            return _error(*action["wrong"])
        done = self.actions.get(action["action_id"])
        if done is not None:
            of_fill = action["type"] in KINDS_OF_FILL
            is_same = done["asked"] == asked_of(action)
            if not (self._is_again(action, done["asked"], now_ns) if of_fill else is_same):
                return _error("action_id_reused", "action_id")
            return _done(action, done["sequence"], True)
        is_close = action["type"] == "close_day" and not action.get("dry_run")
        if is_close and self.closing is not None:
            return self._await_close(action)
        name = "fill" if action["type"] in KINDS_OF_FILL else action["type"]
        objection = getattr(self, f"_object_{name}", lambda *_: None)(action, now_ns)
        if objection is not None:
            return _error(*objection)
        if action.get("dry_run"):
            return {"type": "planned", "action_id": action["action_id"]}
        if is_close:
            self.closing = action
            keys = self.orders.values() if self.releases_day_orders else ()
            self.ending = [order for order in keys if _ends_with_day(order)]
            return self._await_close(action)
        reply = _done(action, self.carry_out(action, wall_ns), False)
        self.take_losses(wall_ns)
        return reply

    def carry_out(self, action: Reply, wall_ns: int) -> int:
        """An action is recorded; its record."""
        now_ns = max(wall_ns, self.last_ns)
        sequence: int = self.next_sequence
        getattr(self, f"_do_{action['type']}", lambda *_: None)(action, sequence, now_ns)
        self.actions[action["action_id"]] = {"asked": asked_of(action), "sequence": sequence}
        self._log("admin", action, wall_ns, now_ns)
        return sequence

    def repeats_of_actions(self, wall_ns: int) -> list[Reply]:
        """What was done, as it was asked for, but corrections that would say something new."""
        now_ns = max(wall_ns, self.last_ns)
        asked = [done["asked"] for done in self.actions.values()]
        return [
            dict(one)
            for one in asked
            if one["type"] != "correct_fill" or self._is_again(one, one, now_ns)
        ]

    def open_keys(self) -> list[Key]:
        """The orders that are open: what operators have to do with."""
        return [key for key, order in self.orders.items() if order["state"] == "open"]

    def set_latches(self) -> list[tuple[str, str, str]]:
        """Desk, symbol and kind of those that are set."""
        return [*self.latches, *((desk, symbol, "loss") for desk, symbol in self.lost)]

    # A day's close.

    def _await_close(self, action: Reply) -> Reply:
        assert self.closing is not None
        if self.closing["action_id"] != action["action_id"]:
            return _error("under_way", "action_id")
        reply = _done(action, None, False)
        self.awaiting.append(reply)
        return reply

    def release(self, key: Key, wall_ns: int) -> tuple[int, int]:
        """A day's close releases an order; what that frees, and what of it pays a debt."""
        order = self.orders.get(key)
        if order is None or not _ends_with_day(order):
            raise WrongError(f"released with its day: {key}, {order}")
        now_ns = max(wall_ns, self.last_ns)
        freed = self._free(order, self.next_sequence, now_ns)
        self._log("release", key, wall_ns, now_ns)
        return freed

    def end_day(self, wall_ns: int) -> int:
        """The day is closed, when nothing is open any more that ends with it; its record."""
        action, self.closing = self.closing, None
        if action is None:
            raise WrongError("a day is closed, and nobody has asked for that")
        for order in self.ending:
            if _ends_with_day(order):
                raise WrongError(f"open behind its day: {order}")
        sequence = self.carry_out(action, wall_ns)
        for reply in self.awaiting:
            reply["wal_sequence"] = sequence
        self.awaiting = []
        return sequence

    # What cannot be: the code and the field.

    def _object_halt(self, action: Reply, _now_ns: int) -> Key | None:
        return self._object_scope(action) or self._object_same(action, "halted")

    def _object_reducing(self, action: Reply, _now_ns: int) -> Key | None:
        return self._object_scope(action) or self._object_same(action, "reducing")

    def _object_resume(self, action: Reply, _now_ns: int) -> Key | None:
        objection = self._object_scope(action)
        if objection is not None:
            return objection
        if action.get("forgive_fees"):
            return None if action["scope"] == "desk" else ("invalid", "forgive_fees")
        return None if _scope_of(action) in self.said else ("not_halted", "name")

    def _object_scope(self, action: Reply) -> Key | None:
        scope, name = _scope_of(action)
        if scope == "firm":
            return ("invalid", "name") if name else None
        if scope in NAMES:
            if scope == "trader" and not name:
                return "invalid", "name"
            return None if self._is_named(scope, name) else (f"unknown_{scope}", "name")
        known: Any = self.desks if scope == "desk" else WORTH
        return None if name in known else (f"unknown_{scope}", "name")

    def _object_same(self, action: Reply, after: str) -> Key | None:
        return ("already_so", "name") if self.said.get(_scope_of(action)) == after else None

    def _object_top_up(self, action: Reply, _now_ns: int) -> Key | None:
        return None if action["desk"] in self.desks else ("unknown_desk", "desk")

    def _object_lower_budget(self, action: Reply, _now_ns: int) -> Key | None:
        if action["desk"] not in self.desks:
            return "unknown_desk", "desk"
        is_over = action["amount_microcents"] > self.desks[action["desk"]]["remaining"]
        return ("too_much", "amount_microcents") if is_over else None

    def _object_set_cap(self, action: Reply, _now_ns: int) -> Key | None:
        if action["desk"] not in self.desks:
            return "unknown_desk", "desk"
        is_same = self.desks[action["desk"]]["cap"] == _cap(action)
        return ("already_so", "max_reserved_microcents") if is_same else None

    def _object_free_hold(self, action: Reply, now_ns: int) -> Key | None:
        order = self._find(action, now_ns)
        if order is None:
            return "unknown_order", "client_order_id"
        return None if order["state"] == "open" else ("order_not_open", "client_order_id")

    def _object_lift_latch(self, action: Reply, _now_ns: int) -> Key | None:
        desk, symbol, kind = action["desk"], action["symbol"], action["latch"]
        if desk and desk not in self.desks:
            return "unknown_desk", "desk"
        if symbol and symbol not in WORTH:
            return "unknown_symbol", "symbol"
        if kind not in self._kinds(desk, symbol):
            return "not_latched", "latch"
        is_so_still = kind == "surplus" and self.positions.surplus(desk, self.orders) > 0
        is_so_still = is_so_still or (kind == "loss" and self._has_lost(desk, symbol))
        return ("not_over", "latch") if is_so_still else None

    def _object_activate_policy(self, action: Reply, _now_ns: int) -> Key | None:
        epochs = list(POLICIES)
        goes_back = epochs.index(action["policy"]) < epochs.index(self.policy)
        return ("invalid", "policy") if goes_back else None

    def _object_close_day(self, action: Reply, now_ns: int) -> Key | None:
        if action["action_id"] != f"close-{action['day']}":
            return "invalid", "action_id"
        today = datetime.fromtimestamp(now_ns // NS_PER_S, UTC).date()
        closed = [done["asked"].get("day", "") for done in self.actions.values()]
        is_late = date.fromisoformat(action["day"]) > today + timedelta(days=1)
        is_behind = action["day"] <= max(closed, default="")
        return ("invalid", "day") if is_late or is_behind else None

    # What is done.

    def _do_close_day(self, *_: Any) -> None:
        prices = {symbol: price for symbol, (price, _) in self.prices.items()}
        self.positions.turn_day(prices)

    def _do_halt(self, action: Reply, *_: int) -> None:
        self.said[_scope_of(action)] = "halted"

    def _do_reducing(self, action: Reply, *_: int) -> None:
        self.said[_scope_of(action)] = "reducing"

    def _do_resume(self, action: Reply, *_: int) -> None:
        self.said.pop(_scope_of(action), None)
        if action.get("forgive_fees"):
            self.desks[action["name"]] |= {"halted": False, "unpaid": 0}

    def _do_top_up(self, action: Reply, *_: int) -> None:
        desk, amount = self.desks[action["desk"]], action["amount_microcents"]
        desk["initial"] += amount
        desk["remaining"] += amount
        pay(desk, min(desk["unpaid"], desk["remaining"]))

    def _do_lower_budget(self, action: Reply, *_: int) -> None:
        self.desks[action["desk"]]["initial"] -= action["amount_microcents"]
        self.desks[action["desk"]]["remaining"] -= action["amount_microcents"]

    def _do_set_cap(self, action: Reply, *_: int) -> None:
        self.desks[action["desk"]]["cap"] = _cap(action)

    def _do_free_hold(self, action: Reply, sequence: int, now_ns: int) -> None:
        self._free(self._find(action, now_ns), sequence, now_ns)

    def _do_lift_latch(self, action: Reply, *_: int) -> None:
        place = (action["desk"], action["symbol"])
        if action["latch"] == "loss":
            del self.lost[place]
        else:
            del self.latches[*place, action["latch"]]

    def _do_activate_policy(self, action: Reply, *_: int) -> None:
        self.policy = action["policy"]
        self.risk_max_bps, self.confidence_min_bps = POLICIES[action["policy"]]

    def _do_set_limits(self, action: Reply, *_: int) -> None:
        self._set_tree(action["limits"])

    def _free(self, order: Reply, sequence: int, now_ns: int) -> tuple[int, int]:
        """An open order is closed: what it held, and what of that pays a debt."""
        content, held = order["content"], order["hold"]
        self.positions.work(content, -left_of(order))
        desk = self.desks[content["desk"]]
        desk["remaining"] += held
        desk["reserved"] -= held
        order["hold"] = 0
        collected = 0
        if self.rules_version >= SINCE_VERSION:
            collected = min(desk["unpaid"], desk["remaining"])
        pay(desk, collected)
        order["released"] = {
            "type": "released",
            "desk": content["desk"],
            "client_order_id": content["client_order_id"],
            "wal_sequence": sequence,
            "released_microcents": held,
            "repeat": False,
            **({"collected_microcents": collected} if collected else {}),
        }
        self._close(order, "canceled", now_ns)
        return held, collected

    # What comes of it for orders, and for who looks.

    def _barred(self, content: Reply, is_exit: bool) -> tuple[str, Reply] | None:
        """Why no order passes here now, or none that does not but reduce: reason and detail."""
        name, symbol = content["desk"], content["symbol"]
        desk = self.desks[name]
        of_firm, of_desk, of_symbol = (
            self.said.get(scope) for scope in (("firm", ""), ("desk", name), ("symbol", symbol))
        )
        of_names = self._said_of_names(content).items()
        lost = self._loss_of(content)
        owing = {"asked": 0, "limit": 0, "used": desk["unpaid"]}
        places = {place[:2] for place in self.latches}
        owes = desk["halted"] or (name, "") in places
        owes = owes or self.positions.surplus(name, self.orders) > 0
        by_rank = (
            ("firm_halted", of_firm == "halted", {}, False),
            ("disk_low", self.disk_low is not None, self.disk_low or {}, True),
            ("desk_halted", desk["halted"] and not self.positions.is_kept, owing, False),
            ("desk_halted", of_desk == "halted", owing, False),
            *((f"{kind}_halted", is_said == "halted", {}, False) for kind, is_said in of_names),
            ("symbol_halted", of_symbol == "halted", {}, False),
            ("day_loss_above_max", lost is not None, lost or {}, True),
            ("firm_reducing", of_firm == "reducing" or ("", "") in places, {}, True),
            ("desk_reducing", owes or of_desk == "reducing", owing, True),
            *((f"{kind}_reducing", is_said == "reducing", {}, True) for kind, is_said in of_names),
            ("symbol_reducing", of_symbol == "reducing" or ("", symbol) in places, {}, True),
            ("desk_symbol_reducing", (name, symbol) in places, {}, True),
        )
        for reason, is_so, detail, spares_exits in by_rank:
            if is_so and not (spares_exits and is_exit):
                return reason, dict(detail)
        return None

    def _kinds(self, desk: str, symbol: str) -> list[str]:
        """The latches of that very place."""
        kinds = [kind for of, at, kind in self.latches if (of, at) == (desk, symbol)]
        return sorted(kinds + ["loss"] * ((desk, symbol) in self.lost))

    def _shown(self) -> Reply:
        lines = [self._line(name, self.desks[name]) for name in sorted(self.desks)]
        head = self.next_sequence - 1
        return {"type": "desks", "desks": lines, "next_after": None, "head_sequence": head}

    def _line(self, name: str, desk: Reply) -> Reply:
        of_firm, of_desk = self.said.get(("firm", "")), self.said.get(("desk", name))
        causes = {
            "firm": of_firm is not None,
            "disk": self.disk_low is not None,
            "person": of_desk is not None,
            "fees owed": desk["halted"],
            "orders beyond its position": self.positions.surplus(name, self.orders) > 0,
        }
        why = [word for word, is_so in causes.items() if is_so]
        why += self._kinds("", "") + self._kinds(name, "")
        is_halted = "halted" in (of_firm, of_desk)
        return {
            "desk": name,
            "granted_microcents": desk["initial"],
            "held_microcents": desk["reserved"],
            "spent_microcents": desk["committed"],
            "remaining_microcents": desk["remaining"],
            "max_reserved_microcents": desk["cap"],
            "unpaid_fees_microcents": desk["unpaid"],
            "state": "halted" if is_halted else "reducing" if why else "active",
            "why": why,
            "returned_microcents": desk["returned"],
            **self._at_prices(name),
        }


def asked_of(action: Reply) -> Reply:
    """What makes two actions the same one."""
    return {name: value for name, value in action.items() if name not in _SAID}


def _done(action: Reply, sequence: int | None, is_repeat: bool) -> Reply:
    found: Reply = {"type": "done", "action_id": action["action_id"]}
    return {**found, "wal_sequence": sequence, "repeat": is_repeat}


def _error(code: str, field: str) -> Reply:
    return {"type": "error", "code": code, "field": field}


def _scope_of(action: Reply) -> Key:
    return action["scope"], action.get("name", "")


def _ends_with_day(order: Reply) -> bool:
    stands = order.get("chain", {}).get("stands", order)
    return order["state"] == "open" and stands["content"]["time_in_force"] == "day"


def _cap(action: Reply) -> int | None:
    cap = action["max_reserved_microcents"]
    return None if cap == "none" else int(cap)
