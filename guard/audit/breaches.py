"""What went beyond its limits in a day or stopped a place, and who set it right. Pure.

Owns one entry for each thing that stood: a latch, fees owed, a low disk, what a person halted or
let but reduce, a proposal, a loosening, an override; and for each fact that is a breach by itself:
a fill beyond its order, of none, or of a refused one, a fee that was not charged, an execution that
differs. An entry says what set it, how it was measured, and how it ended: by whose word, and why,
or that it stands still.

How it works: latches are compared with those before where their number of changes has moved; all
else the records say themselves. What stood when a range begins has no record of its own here.

Bounded: `ENTRIES_MAX` entries. Beyond, the oldest that are over are left out, and counted; where
all stand, the new ones are.
"""

from collections import Counter
from typing import Any, Final

import msgspec
from msgspec import UNSET

from guard.engine.events import (
    DeskResumed,
    EntriesHalted,
    EntriesResumed,
    FillAccepted,
    FillBusted,
    FillCorrected,
    TradingHalted,
    TradingReduced,
    TradingResumed,
)
from guard.engine.limit_lines import effective_limits
from guard.engine.loss_events import LossBreached
from guard.engine.people import thing_of
from guard.engine.people_events import (
    LooseningReverted,
    OrderOverridden,
    OverrideExpired,
    ProposalExpired,
    ProposalWithdrawn,
    Proposed,
)
from guard.engine.rates import EXECUTIONS
from guard.engine.request_events import ExecutionRecorded, FillRecorded
from guard.engine.state import SURPLUS, GuardState
from guard.engine.suspects import suspects
from guard.replay.redecide import Replayed

ENTRIES_MAX: Final = 2_000
SUSPECTS_MAX: Final = 100

# Flags of facts that are a breach by themselves; the others tell how it came.
FILL_BREACHES: Final = ("overfill", "unknown", "refused", "uncharged", "differs")
EXECUTION_BREACHES: Final = ("differs", "overfill", "unknown", "refused")
STATES: Final = ("halted", "reducing")
_AMENDED: Final[dict[Any, str]] = {
    FillAccepted: "fee accepted",
    FillBusted: "busted",
    FillCorrected: "corrected",
}
_PROPOSAL_ENDS: Final[dict[Any, str]] = {ProposalWithdrawn: "withdrawn", ProposalExpired: "expired"}
# What tells two entries that stand apart: the kind, whose, and of which id.
Key = tuple[str, str, str, str]


class DayBreaches:
    """Told of each record; `fields` once, behind the last."""

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._entries: dict[int, dict[str, Any]] = {}  # in their order
        self._entries_max = entries_max
        self._count = 0
        self._standing: dict[Key, dict[str, Any]] = {}
        self._counts: Counter[str] = Counter()
        self._left_out = 0
        self._latch_moves = 0
        self._latches: set[tuple[str, str, str, int]] = set()

    # -- records -----------------------------------------------------------------------------------

    def begin(self, state: GuardState) -> None:
        """Where a part of a log begins: what stands then has no record here, latches excepted."""
        for name in state.desks:
            desk = state.desks[name]
            if desk.is_halted:
                self._set("fees_owed", name, "", "", None, {})
            self._begin_state("desk", name, desk.is_stopped, desk.is_reducing)
        self._begin_state("firm", "", state.is_firm_stopped, state.is_firm_reducing)
        for symbol in sorted(state.stopped_symbols | state.reducing_symbols):
            is_reducing = symbol in state.reducing_symbols
            self._begin_state("symbol", symbol, symbol in state.stopped_symbols, is_reducing)
        if state.entries_halt is not None:
            self._set("disk_low", "", "", "", None, {})
        for proposal in state.people.pending.values():
            self._set("proposal", "", "", proposal.action_id, None, _proposed(proposal))
        for (what, desk_name), loosened in state.people.loosened.items():
            self._set("loosened", desk_name, "", what, None, {"until_ns": loosened.until_ns})
        for digest, override in state.people.overrides.items():
            told = _overridden(override.event)
            self._set("override", override.event.desk, "", digest, None, told)

    def _begin_state(self, scope: str, name: str, is_stopped: bool, is_reducing: bool) -> None:
        if is_stopped or is_reducing:
            desk, symbol = _place(scope, name)
            self._set("halted" if is_stopped else "reducing", desk, symbol, "", None, {})

    def observe(self, sequence: int, at_ns: int, decided: Replayed, state: GuardState) -> None:
        """A record that answers no request was applied."""
        event = decided.outcome
        at = (sequence, at_ns, event)
        if isinstance(event, TradingHalted | TradingReduced | TradingResumed | DeskResumed):
            self._take_state(at, event)
        elif isinstance(event, EntriesHalted):
            told = {"free_bytes": event.free_bytes, "reserve_bytes": event.reserve_bytes}
            self._set("disk_low", "", "", "", at, told)
        elif isinstance(event, EntriesResumed):
            self._end(("disk_low", "", "", ""), at, "room on the disk")
        elif type(event) in _AMENDED:
            self._take_amended(at, event)
        else:
            self._take_people(at, event)
        self._note_owing(at, state)
        self._note_latches(sequence, at_ns, decided, state)

    def observe_request(
        self, sequence: int, at_ns: int, decided: Replayed, state: GuardState, is_unusual: bool
    ) -> None:
        """One that does was; `is_unusual`: a fact with flags, or one that moved a debt."""
        if is_unusual:
            self._note_fact((sequence, at_ns, decided.outcome))
            self._note_owing((sequence, at_ns, decided.outcome), state)
        self._note_latches(sequence, at_ns, decided, state)
        used = state.people.used
        if used is not None and used[0] == sequence:
            key = ("override", used[1].desk, "", used[1].order_digest_hex)
            self._end(key, (sequence, at_ns, decided.outcome), "used")

    def _note_latches(
        self, sequence: int, at_ns: int, decided: Replayed, state: GuardState
    ) -> None:
        """What latches a record has set or lifted."""
        if state.latches.moves == self._latch_moves:
            return
        event = decided.outcome
        self._latch_moves, before = state.latches.moves, self._latches
        self._latches = set(state.latches.entries())
        at = (sequence, at_ns, event)
        for desk, symbol, kind, _ in sorted(before - self._latches):
            self._end((f"latch_{kind}", desk, symbol, ""), at, "lifted")
        for desk, symbol, kind, since in sorted(self._latches - before):
            told = _measured(kind, desk, symbol, event, state) if since == sequence else {}
            self._set(f"latch_{kind}", desk, symbol, "", at if since == sequence else since, told)

    def _note_fact(self, at: Any) -> None:
        """A fill or an execution may have flags that are a breach."""
        event = at[2]
        fact: Any
        breaches: tuple[str, ...]
        if isinstance(event, FillRecorded):
            word, fact, breaches = "fill", event.fill, FILL_BREACHES
        elif isinstance(event, ExecutionRecorded):
            word, fact, breaches = "execution", event.execution, EXECUTION_BREACHES
        else:
            return
        flags = event.answer.flags
        for flag in breaches:
            if flag in flags:
                told = {**_fact(fact), "flags": list(flags)}
                self._set(f"{word}_{flag}", fact.desk, "", str(at[0]), at, told)

    def _note_owing(self, at: Any, state: GuardState) -> None:
        """The record may have begun or ended that its desk owes fees."""
        event = at[2]
        name = getattr(getattr(event, "answer", event), "desk", "")
        desk, key = state.desks.get(name), ("fees_owed", name, "", "")
        if desk is None:
            return
        if desk.is_halted and key not in self._standing:
            self._set(*key, at, {"unpaid_fees_microcents": desk.unpaid_fees_microcents})
        elif not desk.is_halted and key in self._standing:
            self._end(key, at, "resumed" if isinstance(event, DeskResumed) else "paid")

    # -- what they say -----------------------------------------------------------------------------

    def _take_state(self, at: Any, event: Any) -> None:
        """What a person says of a scope takes the place of what was said before."""
        is_desk = isinstance(event, DeskResumed)
        desk, symbol = (event.desk, "") if is_desk else _place(event.scope, event.name)
        how = {TradingHalted: "halted", TradingReduced: "reducing"}.get(type(event), "resumed")
        for kind in STATES:
            self._end((kind, desk, symbol, ""), at, how)
        if how in STATES:
            self._set(how, desk, symbol, "", at, {})

    def _take_amended(self, at: Any, event: Any) -> None:
        """A person set a fill right: what it was a breach by is over."""
        for flag in FILL_BREACHES:
            key = (f"fill_{flag}", event.desk, "", str(event.fill_sequence))
            if not isinstance(event, FillAccepted) or flag == "uncharged":
                self._end(key, at, _AMENDED[type(event)])

    def _take_people(self, at: Any, event: Any) -> None:
        if isinstance(event, Proposed):
            self._set("proposal", "", "", event.action_id, at, _proposed(event))
        elif isinstance(event, ProposalWithdrawn | ProposalExpired):
            self._end(("proposal", "", "", event.proposal), at, _PROPOSAL_ENDS[type(event)])
        elif isinstance(event, OverrideExpired):
            key = next((k for k in self._standing if k[0] == "override"
                        and k[3] == event.order_digest_hex), None)  # fmt: skip
            if key is not None:
                self._end(key, at, "expired")
        elif isinstance(event, LooseningReverted):
            self._end(("loosened", event.desk, "", event.what), at, "reverted")
        if isinstance(event, OrderOverridden):
            told = _overridden(event)
            self._set("override", event.desk, "", event.order_digest_hex, at, told)
        approval = getattr(event, "approval", UNSET)
        if approval is not UNSET:
            self._end(("proposal", "", "", approval.proposal), at, "approved", approval)
        thing = thing_of(event)
        if thing is not None and thing[0] != "budget":
            self._end(("loosened", thing[1], "", thing[0]), at, "changed")
        if thing is not None and event.until_ns is not UNSET:
            self._set("loosened", thing[1], "", thing[0], at, {"until_ns": event.until_ns})

    # -- entries -----------------------------------------------------------------------------------

    def _set(
        self, kind: str, desk: str, symbol: str, name: str, at: Any, measured: dict[str, Any]
    ) -> None:
        """Something stands from a record on: (sequence, time, event), a sequence, or None."""
        key = (kind, desk, symbol, name)
        sequence, at_ns, event = at if isinstance(at, tuple) else (at, None, None)
        self._counts[kind] += 1
        entry = {
            "kind": kind,
            "desk": desk,
            "symbol": symbol,
            "sequence": sequence,
            "at_ns": at_ns,
            **_who(event),
            "measured": measured,
            "ended": None,
        }
        if len(self._entries) >= self._entries_max and not self._make_room():
            self._left_out += 1
            return
        self._entries[self._count] = entry
        self._count += 1
        self._standing[key] = entry

    def _make_room(self) -> bool:
        over = next((at for at, each in self._entries.items() if each["ended"] is not None), None)
        if over is None:
            return False
        del self._entries[over]
        self._left_out += 1
        return True

    def _end(self, key: Key, at: Any, how: str, by: Any = None) -> None:
        entry = self._standing.pop(key, None)
        if entry is not None:
            sequence, at_ns, event = at
            entry["ended"] = {"sequence": sequence, "at_ns": at_ns, "how": how, **_who(by or event)}

    def fields(self, state: GuardState, last_ns: int) -> dict[str, Any]:
        """All of it (`guard/audit/REPORT.md`)."""
        listed = list(self._entries.values())
        found, count = suspects(state, last_ns, SUSPECTS_MAX)
        return {
            "listed": listed,
            "left_out": self._left_out,
            "counts": dict(sorted(self._counts.items())),
            "standing": sum(entry["ended"] is None for entry in listed),
            "suspect_orders": found,
            "suspect_orders_left_out": count - len(found),
        }


def _place(scope: str, name: str) -> tuple[str, str]:
    """Desk and symbol of a scope that a person names."""
    return (name if scope == "desk" else "", name if scope == "symbol" else "")


def _who(event: Any) -> dict[str, str]:
    """Whose word it was, and why; of a request the client's."""
    if event is None:
        return {"by": "", "why": ""}
    return {"by": getattr(event, "by", getattr(event, "client", "")),
            "why": getattr(event, "why", "")}  # fmt: skip


def _proposed(event: Proposed) -> dict[str, Any]:
    return {"beyond": list(event.beyond), "person": event.person}


def _overridden(event: OrderOverridden) -> dict[str, Any]:
    return {"client_order_id": event.client_order_id, "checks": list(event.checks)}


def _fact(fact: Any) -> dict[str, Any]:
    """What a fill or an execution says of itself that people look for."""
    said: dict[str, Any] = msgspec.to_builtins(fact)
    names = ("client_order_id", "fill_id", "execution_id", "quantity", "price", "fee_microcents")
    return {name: said[name] for name in names if said.get(name) is not None}


def _measured(kind: str, desk: str, symbol: str, event: Any, state: GuardState) -> dict[str, Any]:
    """By what a latch was set."""
    if isinstance(event, LossBreached):
        lost, limit = event.loss_microcents, event.limit_microcents
        return {"lost_microcents": lost, "limit_microcents": limit}
    known = state.desks.get(desk)
    if kind == SURPLUS and known is not None:
        return {"lots": state.positions.surplus_of(known.share)}
    told: dict[str, Any] = {}
    if kind == "repeated_executions":
        found = effective_limits(state, desk, symbol).buckets
        told["rates"] = [
            {"max": bucket.max, "window_ms": bucket.window_ms}
            for bucket in found
            if bucket.kind == EXECUTIONS
        ]
    for name in ("fill", "execution"):
        fact = getattr(event, name, None)
        if fact is not None:
            told |= _fact(fact)
    return told
