"""The simulator's operators: which actions they send, under which ids, and what goes wrong.

Owns the requests to the admin door, and their bytes. They halt and resume, move budgets and caps,
free holds, set policies and limits, close days; they send the same action again, another one under
the same id, and what cannot be done. Which of it arrives, when and how often is `sim.operating`'s.
"""

import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import msgspec
from msgspec import structs

from guard.config.file import Config, parse_config
from guard_support import DEV_CONFIG_TEXT
from sim.clients import LOCATES
from sim.oracle_limits import TREES, limits_text
from sim.tables import POLICIES

Action = dict[str, Any]

DESKS = ("desk-alpha", "desk-alpha", "desk-beta", "desk-nobody")
FIRST_DAY = date(2023, 11, 6)  # a week before the histories begin
# How often each kind is drawn.
KINDS = {
    "halt": 9,
    "reducing": 9,
    "resume": 30,
    "top_up": 7,
    "lower_budget": 9,
    "set_cap": 6,
    "free_hold": 16,
    "accept_fill": 8,
    "bust_fill": 16,
    "correct_fill": 14,
    "activate_policy": 8,
    "set_limits": 9,
    "lift_latch": 12,
    "add_locate": 10,
    "remove_locate": 4,
    "set_account": 14,
    "checkpoint": 3,
    "rotate": 3,
    "close_day": 10,
    "desks": 6,
    "locates": 3,
    "accounts": 3,
}
# What a correction says, beside what is so already.
CORRECTED = {
    "quantity": (1, 50, 5_000),
    "price": (19_000, None),
    "fee_microcents": (0, -7, 30_000, 10**9, 3 * 10**14),
}
# Latches that may be set, or cannot be.
LATCHES = (
    ("desk-alpha", "", "execution_differs"),
    ("desk-beta", "", "surplus"),
    ("desk-nobody", "", "surplus"),
    ("desk-alpha", "NONE", "loss"),
    ("", "", "silence"),
)
# Accounts, all of one desk, and the customers whose they may be.
ACCOUNTS = ("acc-1", "acc-1", "acc-2")
CUSTOMERS = ("c-1", "c-1", "c-1", "c-2", "")
# Of whom orders name, and whose their accounts are, what a person may halt.
NAMES = (
    *(("customer", name) for name in CUSTOMERS),
    *(("account", name) for name in ACCOUNTS),
    *(("trader", name) for name in ("t-1", "t-1", "")),
)
# How many lots a locate is of.
LENT = (1, 100, 500, 3_000)
# What is no request, and the code and field of what is said of it.
WRONG: tuple[tuple[Action, str, str], ...] = (
    ({"type": "close_day", "day": "soon"}, "invalid", "day"),
    ({"type": "halt", "scope": "world"}, "invalid", "scope"),
    ({"type": "halt", "scope": "firm", "by": None}, "missing", "by"),
    ({"type": "rotate", "why": ""}, "invalid", "why"),
)  # fmt: skip


class Operators:
    """All operators together. All randomness comes from `rng`."""

    def __init__(
        self, rng: random.Random, config: Config, orders: Callable[[], list[Action]]
    ) -> None:
        """`orders`: what was sent about orders so far, the newest last."""
        self._rng = rng
        self._orders = orders
        self._open: list[tuple[str, str]] = []
        self._latches: list[tuple[str, str, str]] = []
        self._sent: list[Action] = []
        self._has_limits = bool(config.limits)
        self._policies = {
            name: structs.replace(
                config.policy,
                policy_epoch=config.policy.policy_epoch + epoch,
                hard_risk_limit_bps=risk_bps,
                minimum_confidence_bps=confidence_bps,
            )
            for epoch, (name, (risk_bps, confidence_bps)) in enumerate(POLICIES.items())
        }
        self._trees: dict[str, Any] = {"none": []}
        for name, tree in TREES.items():
            text = DEV_CONFIG_TEXT.replace("[settings]", f"{limits_text(tree)}\n[settings]")
            self._trees[name] = parse_config(text).limits

    def next_action(
        self,
        said: list[tuple[str, str]],
        open_orders: list[tuple[str, str]],
        latches: list[tuple[str, str, str]],
    ) -> Action:
        """What comes next. `said`: the scopes that a person has halted. `latches`: desk, symbol
        and kind of those that are set."""
        rng, self._open, self._latches = self._rng, open_orders, latches
        if self._sent and rng.random() < 0.2:
            return self._again(dict(rng.choice(self._sent[-12:])))
        if rng.random() < 0.04:
            body, code, field = rng.choice(WRONG)
            return {**self._named(body["type"]), **body, "wrong": (code, field)}
        kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
        if kind == "set_limits" and not self._has_limits:
            kind = "free_hold"
        if kind in ("desks", "locates", "accounts"):
            return {"type": kind}
        action = {**self._named(kind), **self._asked(kind, said)}
        if kind == "close_day" and rng.random() < 0.95:
            action["action_id"] = f"close-{action['day']}"
        if rng.random() < 0.06:
            action["dry_run"] = True
        self._sent.append(action)
        return action

    def next_day(self, action: Action) -> Action:
        """The close of the day behind that one."""
        day = str(date.fromisoformat(action["day"]) + timedelta(days=1))
        return {**self._named("close_day"), "action_id": f"close-{day}", "day": day}

    def encode(self, action: Action) -> bytes:
        """The body of a message with this action, in either encoding."""
        body = {name: value for name, value in action.items() if name != "wrong"}
        if body["type"] == "activate_policy":
            body["policy"] = self._policies[body["policy"]]
        if body["type"] == "set_limits":
            body["limits"] = self._trees[body["limits"]]
        encode = self._rng.choice((msgspec.json.encode, msgspec.msgpack.encode))
        return encode(body)

    def _named(self, kind: str) -> Action:
        number = self._rng.randrange(10**9)
        return {"type": kind, "action_id": f"a-{number}", "why": "a try", "by": "Ann"}

    def _again(self, action: Action) -> Action:
        """The same action, by somebody else, for real or not; or another one under its id."""
        rng = self._rng
        action.pop("dry_run", None)
        if rng.random() < 0.2:
            action |= {"by": "Bob", "why": "Ann asked for it"}
        if rng.random() < 0.05:
            action["dry_run"] = True
        if rng.random() < 0.1:
            other = {**self._named("halt"), "scope": "desk", "name": "desk-beta"}
            return {**other, "action_id": action["action_id"]}
        return action

    def _asked(self, kind: str, said: list[tuple[str, str]]) -> Action:
        rng, desk = self._rng, self._rng.choice(DESKS)
        if kind in ("halt", "reducing", "resume"):
            return self._scope(kind, said)
        if kind in ("top_up", "lower_budget"):
            amount = rng.choice((1, 10**8, rng.randrange(1, 10**13), 10**15))
            return {"desk": desk, "amount_microcents": amount}
        if kind == "set_cap":
            cap = rng.choice(("none", 1, rng.randrange(1, 10**13), 10**14, 150 * 10**12))
            return {"desk": desk, "max_reserved_microcents": cap}
        if kind == "free_hold":
            sent = self._orders()[-40:]
            names = [(order["desk"], order["client_order_id"]) for order in sent]
            if self._open and rng.random() < 0.7:
                names = self._open
            desk, number = rng.choice(names or [("desk-alpha", "A-1")])
            return {"desk": desk, "client_order_id": number}
        if kind.endswith("_fill"):
            return self._of_fill(kind)
        if kind == "activate_policy":
            return {"policy": rng.choice(("first", "first", *POLICIES))}
        if kind in ("add_locate", "remove_locate"):
            locate = {"locate_id": rng.choice(LOCATES)}
            if kind == "remove_locate":
                return locate
            symbol = rng.choice(("AAPL", "AAPL", "AAPL", "BTC-USD", "NONE"))
            return {**locate, "desk": desk, "symbol": symbol, "quantity_lots": rng.choice(LENT)}
        if kind == "set_account":
            of = "desk-nobody" if desk == "desk-nobody" else "desk-beta"
            account, customer = rng.choice(ACCOUNTS), rng.choice(CUSTOMERS)
            return {"account": account, "desk": of, "customer": customer}
        if kind == "lift_latch":
            places = self._latches if self._latches and rng.random() < 0.8 else LATCHES
            of, symbol, latch = rng.choice(places)
            return {"desk": of, "symbol": symbol, "latch": latch}
        if kind == "set_limits":
            return {"limits": rng.choice(list(self._trees))}
        if kind == "close_day":
            return {"day": str(FIRST_DAY + timedelta(days=rng.randrange(12)))}
        return {}

    def _of_fill(self, kind: str) -> Action:
        rng = self._rng
        sent = self._orders()
        fills = [one for one in sent if one["type"] == "fill"][-30:]
        if kind == "bust_fill" and rng.random() < 0.5:  # so may an execution be named
            executions = [one for one in sent if one["type"] == "execution"][-12:]
            fills = [{**one, "fill_id": one["execution_id"]} for one in executions] or fills
        fill = rng.choice(
            fills or [{"desk": "desk-alpha", "client_order_id": "A-1", "fill_id": "F"}]
        )
        asked = {name: fill[name] for name in ("desk", "client_order_id", "fill_id")}
        if kind == "correct_fill":
            for name, values in CORRECTED.items():
                if rng.random() < 0.5:
                    asked[name] = rng.choice((fill.get(name), *values))
        return asked

    def _scope(self, kind: str, said: list[tuple[str, str]]) -> Action:
        rng = self._rng
        scopes = (("firm", ""), ("firm", ""), ("firm", "x"), ("symbol", "AAPL"), ("symbol", "NONE"))
        scope, name = rng.choice((*scopes, *NAMES, *(("desk", desk) for desk in DESKS)))
        if kind == "resume" and said and rng.random() < 0.9:
            scope, name = rng.choice(said)
        found = {"scope": scope, "name": name}
        if kind == "resume" and rng.random() < 0.15:
            found["forgive_fees"] = True  # type: ignore[assignment]
        return found
