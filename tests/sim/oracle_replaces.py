"""The oracle's part about replaces: orders that are one at the venue, whichever of them is named.

Plain dictionaries, like the rest of it (`sim.oracle`), worked out from the protocol page, 5.2. What
was filled, held and reported of such orders stands with the first of them, which has a `chain`: the
first, the one that stands, the one that waits; and how many lots were ever admitted of it.
"""

from typing import Any

from sim.facts import pay
from sim.oracle_positions import SINCE_VERSION, Positions, left_of, lots_of
from sim.request_defaults import REPLACE_DEFAULTS
from sim.tables import DISK_FULL, GATES, WORTH, Reply, admitted, again, content_of

Key = tuple[str, str]


class OracleReplaces:
    """See the module."""

    rules_version: int
    refused: tuple[str, ...]
    next_sequence: int
    orders: dict[Key, Reply]
    desks: dict[str, Any]
    adopted: dict[tuple[int, str], Reply]
    overruled: dict[tuple[int, str], Reply]
    positions: Positions
    facts: Any
    risk_max_bps: int
    confidence_min_bps: int
    _barred: Any
    _misnamed: Any
    _beyond: Any
    _close: Any
    _forget: Any
    _fullness: Any
    _is_expired: Any
    _log: Any
    _meeting: Any
    _note: Any
    _raised: Any
    _record: Any
    _reject: Any
    _said: Any
    _stale: Any
    _sweep: Any
    _value: Any

    def _own(self, desk: str, name: str, now_ns: int) -> Reply | None:
        """The very order of that name."""
        order = self.orders.get((desk, name))
        return None if order is None or self._is_expired(order, now_ns) else order

    def _replace(self, request: Reply, now_ns: int, wall_ns: int) -> Reply:
        said_of = content_of(request, REPLACE_DEFAULTS)
        field = "original_client_order_id"
        if self.rules_version < SINCE_VERSION:
            return {"type": "error", "code": "unknown_order", "field": field}
        own = self._own(request["desk"], request["client_order_id"], now_ns)
        if own is not None and own.get("replace") == said_of:
            return again(own["answer"])
        named = self._own(request["desk"], request[field], now_ns)
        if named is None or named["state"] == "refused":
            code = "unknown_order" if named is None else "order_refused"
            return {"type": "error", "code": code, "field": field}
        first = named.get("chain", {}).get("first", named)
        chain = first.get("chain") or {"stands": first, "waits": None}
        stands = chain["stands"]
        content = {
            **stands["content"],
            **{name: value for name, value in said_of.items() if name != field},
            "venue": stands["answer"]["venue"],
        }
        if own is not None:
            return self._reuse(own, said_of, content, request, now_ns, wall_ns)
        code = {"canceled": "order_canceled", "filled": "order_filled"}.get(first["state"])
        if code is None and chain["waits"] is not None:
            code = "replace_pending"
        elif code is None and stands is not named:
            code = "order_replaced"
        if code is not None:
            return {"type": "error", "code": code, "field": field}
        if "order" in self.refused:
            return dict(DISK_FULL)
        return self._take_replace(first, stands, said_of, content, request, now_ns, wall_ns)

    def _reuse(
        self, own: Reply, said_of: Reply, content: Reply, request: Reply, now_ns: int, wall_ns: int
    ) -> Reply:
        if "order" in self.refused:
            return dict(DISK_FULL)
        known = own.get("replace")
        field = "original_client_order_id"
        if known is not None:
            field = next(name for name in said_of if known[name] != said_of[name])
        detail = {"original_wal_sequence": own["answer"]["wal_sequence"]}
        answer = self._reject(content, "order", "client_order_id_reused", detail)
        answer["field"] = field
        said = self._said({**content, **request}, wall_ns)
        sequence = self._record("replace", {**request, "said": said}, wall_ns, now_ns)
        self._sweep(request["desk"], sequence, now_ns)
        self._note(content, said, 0, False)
        return dict(answer)

    def _take_replace(
        self,
        first: Reply,
        stands: Reply,
        said_of: Reply,
        content: Reply,
        request: Reply,
        now_ns: int,
        wall_ns: int,
    ) -> Reply:
        said = self._said({**content, **request}, wall_ns)
        answer, more = self._judge_replace(first, stands, content, said, now_ns, wall_ns)
        key = (content["desk"], content["client_order_id"])
        is_remembered = answer["type"] == "admit" or answer["reason"] not in (
            "stale_order", "idempotency_window_full",
        )  # fmt: skip
        if is_remembered:
            self._forget(key)
        sequence = self._record("replace", {**request, "said": said}, wall_ns, now_ns)
        self._note(content, said, 0, False)
        if not is_remembered:
            self._sweep(content["desk"], sequence, now_ns)
            return dict(answer)
        answer["received_at_ns"] = now_ns
        order = {
            "content": content,
            "answer": answer,
            "replace": said_of,
            "state": "refused",
            "hold": 0,
            "filled": 0,
            "fills": {},
            "released": None,
            "expires_ns": None,
        }
        self.orders[key] = order
        if answer["type"] == "reject":
            self._close(order, "refused", now_ns)
            self._sweep(content["desk"], sequence, now_ns)
            return dict(answer)
        order["meeting"] = self._meeting(content)
        answer.update(self.adopted.get((sequence, key[1]), {}))
        if first.get("chain") is None:
            lots = lots_of(first)
            first["chain"] = {"first": first, "stands": first, "waits": None, "ever": lots}
        left = left_of(first)
        chain = order["chain"] = first["chain"]
        order["state"], chain["waits"] = "member", order
        chain["ever"] = max(chain["ever"], content["quantity"])
        self._move_hold(first, more)
        if "reducing" not in answer:
            self._raised(said, content["desk"], more)
        self.positions.work(content, left_of(first) - left)
        self.facts.meet(*key)
        self._sweep(content["desk"], sequence, now_ns)
        return dict(answer)

    def _move_hold(self, first: Reply, more: int) -> None:
        """So much more is held for the first order and those in its place; less, below zero."""
        desk = self.desks[first["content"]["desk"]]
        desk["remaining"] -= more
        desk["reserved"] += more
        first["hold"] += more

    def _judge_replace(
        self, first: Reply, stands: Reply, content: Reply, said: Reply, now_ns: int, wall_ns: int
    ) -> tuple[Reply, int]:
        """The answer, and what more is held."""
        desk, quantity = self.desks[content["desk"]], content["quantity"]
        left, left_then = left_of(first), max(0, quantity - first["filled"])
        is_exit_order = "reducing" in first["answer"]
        lowers = left_then <= left and _is_no_easier(stands["content"], content)
        is_exit = is_exit_order and left_then <= self.positions.reducible(content, left)
        stale = self._stale(content, now_ns, wall_ns)
        if stale is not None:
            return self._reject(content, "order", "stale_order", stale), 0
        full = self._fullness(content["desk"], now_ns, is_exit or lowers)
        if full is not None:
            return self._reject(content, "order", "idempotency_window_full", full), 0
        if quantity >= 2**32:
            detail = {"asked": quantity, "limit": 2**32 - 1, "used": 0}
            return self._reject(content, "order", "quantity_out_of_range", detail), 0
        misnamed = None if lowers else self._misnamed(content)
        if misnamed is not None:
            return self._reject(content, "order", misnamed, {}), 0
        canceled = self.facts.cancel_of(content, now_ns)
        if canceled is not None:
            detail = {"original_wal_sequence": canceled["wal_sequence"]}
            return self._reject(content, "order", "canceled_before_arrival", detail), 0
        notional = self._value(content, said, is_exit)
        if lowers:
            own = stands["answer"]["notional_microcents"]
            share = own * quantity // stands["content"]["quantity"]
            notional = min(notional, max(1, share))
        held = _held(notional, quantity, left_then)
        more = max(0, held - first["hold"])
        told = {"venue": stands["answer"]["venue"], "substituted": False}
        if None in told.values():
            del told["venue"]
        refusal = None if lowers else self._barred(content, is_exit)
        if refusal is None and not lowers:
            added = (left_then - left if left_then > left else 0, more)
            beyond = is_exit_order and not is_exit
            reducible = self.positions.reducible(content, left)
            exit_detail = {"asked": left_then, "limit": reducible, "used": 0} if beyond else None
            asked = {**content, "original_client_order_id": ""}
            refusal = self._beyond(asked, said, notional, is_exit, added, exit_detail)
            if refusal is None and beyond:
                refusal = "exit_beyond_position", exit_detail
        if refusal is not None:
            return self._reject(content, "order", *refusal), 0
        for name, reason, limit, is_over in (
            ("risk_bps", "risk_hard_limit", self.risk_max_bps, 1),
            ("confidence_bps", "confidence_hard_limit", self.confidence_min_bps, -1),
        ):
            if (content[name] - limit) * is_over > 0 and (is_exit or lowers):
                told.setdefault("reason", reason)
            elif (content[name] - limit) * is_over > 0:
                detail = {"asked": content[name], "limit": limit, **dict.fromkeys(GATES, 0)}
                return self._reject(content, "kernel", reason, detail), 0
        self.overruled.setdefault((self.next_sequence, content["client_order_id"]), told)
        if is_exit_order:
            return {**admitted(content, self.next_sequence, 0, 0), "reducing": True}, 0
        if more and not lowers:
            if desk["cap"] is not None and desk["reserved"] + more > desk["cap"]:
                detail = {"asked": more, "limit": desk["cap"], "used": desk["reserved"]}
                return self._reject(content, "ledger", "exposure_limit_exceeded", detail), 0
            if more > desk["remaining"]:
                used = desk["initial"] - desk["remaining"]
                detail = {"asked": more, "limit": desk["initial"], "used": used}
                return self._reject(content, "ledger", "insufficient", detail), 0
        hold = first["answer"]["reservation_id"]
        return admitted(content, self.next_sequence, hold, notional), more

    # What the venue says.

    def _replaced(self, request: Reply, now_ns: int, wall_ns: int) -> Reply:
        return self._settle("replaced", request, now_ns, wall_ns)

    def _replace_rejected(self, request: Reply, now_ns: int, wall_ns: int) -> Reply:
        return self._settle("replace_rejected", request, now_ns, wall_ns)

    def _settled(self, request: Reply, now_ns: int) -> Reply | None:
        """What was answered to that word on that replace."""
        own = self._own(request["desk"], request["client_order_id"], now_ns)
        said: Reply | None = None if own is None else own.get("settled")
        return said if said is not None and said["word"] == request["type"] else None

    def _settle(self, word: str, request: Reply, now_ns: int, wall_ns: int) -> Reply:
        own = self._own(request["desk"], request["client_order_id"], now_ns)
        field = "client_order_id"
        if own is None or self.rules_version < SINCE_VERSION:
            return {"type": "error", "code": "unknown_order", "field": field}
        first = own.get("chain", {}).get("first", own)
        if own["state"] == "refused" or first is own:
            code = "order_refused" if own["state"] == "refused" else "no_replace"
            return {"type": "error", "code": code, "field": field}
        said = own.get("settled")
        if said is not None and said["word"] != word:
            return {"type": "error", "code": "replace_settled", "field": field}
        if said is not None:
            answer = again(said["answer"])
            if said["until_ns"] <= now_ns:
                answer.pop("collected_microcents", None)
            return answer
        if word in self.refused:
            return dict(DISK_FULL)
        sequence = self._record(word, request, wall_ns, now_ns)
        chain, is_open, left = first["chain"], first["state"] == "open", left_of(first)
        ended = chain["stands"] if word == "replaced" else own
        chain["stands"] = own if word == "replaced" else chain["stands"]
        chain["waits"] = None
        stands, left_then, hold = chain["stands"], left_of(first) if is_open else 0, 0
        if is_open:
            notional = stands["answer"]["notional_microcents"]
            hold = _held(notional, stands["content"]["quantity"], left_then)
            self.positions.work(first["content"], left_then - left)
        freed = first["hold"] - hold
        self._move_hold(first, -freed)
        desk = self.desks[request["desk"]]
        collected = min(desk["unpaid"], desk["remaining"]) if is_open else 0
        pay(desk, collected)
        answer = {
            "type": "replace_settled",
            "desk": request["desk"],
            "client_order_id": request["client_order_id"],
            "wal_sequence": sequence,
            "open_quantity": left_then,
            "hold_microcents": hold,
            "released_microcents": freed,
            "flags": [] if is_open else ["late"],
            "repeat": False,
            **({"collected_microcents": collected} if collected else {}),
        }
        until_ns = now_ns + self.facts.window_ns + 1
        own["settled"] = {"word": word, "answer": answer, "until_ns": until_ns}
        if is_open and ended is not first:
            self._close(ended, "replaced", now_ns)
        if is_open and not left_then:
            self._close(first, "filled", now_ns)
        self._sweep(request["desk"], sequence, now_ns)
        return dict(answer)


def said_of_chain(first: Reply) -> Reply:
    """What a status says of it."""
    chain = first.get("chain")
    if chain is None:
        return {}
    found = {"standing_wal_sequence": chain["stands"]["answer"]["wal_sequence"]}
    if chain["waits"] is not None:
        found["pending_wal_sequence"] = chain["waits"]["answer"]["wal_sequence"]
    return found


def _is_no_easier(content: Reply, asked: Reply) -> bool:
    if any(content[name] != asked[name] for name in ("order_type", "time_in_force")):
        return False
    easier = asked["price"] - content["price"]
    if content["side"] == "sell":
        easier = -easier
    return bool(content["order_type"] == "market" or easier <= 0)


def _held(notional: int, quantity: int, left: int) -> int:
    return notional - notional * (quantity - left) // quantity if left else 0


__all__ = ["WORTH", "OracleReplaces", "said_of_chain"]
