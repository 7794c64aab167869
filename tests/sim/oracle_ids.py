"""What the oracle remembers of orders and fills, whose it is, and when it is forgotten.

Plain dictionaries, like the rest of it (`sim.oracle`), worked out from the protocol page.
"""

from typing import Any

from sim.facts import Facts

Reply = dict[str, Any]
Key = tuple[str, str]

SHARES_SINCE = 2  # of the rules: each desk has a share of the ids, what expires goes in steps
FORGET_STEPS = 32


class OracleIds:
    """The part of the oracle that remembers."""

    terms: dict[str, tuple[int, int | None]]
    window_ns: int
    ids_max: int
    rules_version: int
    next_sequence: int
    orders: dict[Key, Reply]
    orphans: dict[tuple[str, str, str], Reply]
    queues: dict[int, list[Key]]
    forgotten_close_ns: int
    facts: Facts
    _settle_locates: Any

    # Whose the ids are, and what is forgotten behind a record.

    def _share_of(self, desk: str | None) -> int:
        return 1 + list(self.terms).index(desk) if desk in self.terms else 0

    def _count(self, share: int) -> int:
        return sum(self._share_of(desk) == share for desk, _ in self.orders)

    def _fullness(self, desk: str, now_ns: int, is_exit: bool = False) -> Reply | None:
        """What a refusal for want of room says; None where there is room."""
        if self.rules_version < SHARES_SINCE:
            live = [o for o in self.orders.values() if not self._is_expired(o, now_ns)]
            is_full = len(live) >= self.ids_max
            return {"asked": 1, "limit": self.ids_max, "used": self.ids_max} if is_full else None
        share, desk_count = self._share_of(desk), len(self.terms)
        limit = max(1, self.ids_max // 64)
        if share:
            minimum = self.ids_max // (2 * desk_count) if desk_count > 1 else self.ids_max
            others = [n for n in range(1, desk_count + 1) if n != share]
            used = sum(max(0, self._count(number) - minimum) for number in others)
            left = self.ids_max - minimum * desk_count - used
            limit = minimum + max(0, -(-left // 2))
            limit += max(1, minimum // 8) if is_exit else 0
        count = self._count(share)
        first = self.orders[self.queues[share][0]] if self.queues[share] else None
        if count < limit or (first is not None and self._is_expired(first, now_ns)):
            return None
        return {"asked": 1, "limit": limit, "used": count}

    def _share_out(self, now_ns: int) -> None:
        """The rules with shares begin: what was forgotten before, nobody knows any more."""
        self.orders = {k: o for k, o in self.orders.items() if not self._is_expired(o, now_ns)}
        self.orphans = {k: o for k, o in self.orphans.items() if o["expires_ns"] > now_ns}
        closed = [(o["close_number"], k) for k, o in self.orders.items() if o["expires_ns"]]
        for _, key in sorted(closed):
            self.queues[self._share_of(key[0])].append(key)
            self.orders[key]["closed_ns"] = self.orders[key]["content"]["sent_at_ns"] or 0
        self.forgotten_close_ns = now_ns

    def _forget(self, key: Key) -> None:
        """An order with its fills, if it is there: one that has expired."""
        order = self.orders.pop(key, None)
        if order is not None and self.rules_version >= SHARES_SINCE:
            self.queues[self._share_of(key[0])].remove(key)
            self.forgotten_close_ns = max(self.forgotten_close_ns, order["closed_ns"])

    def _sweep(self, desk: str | None, sequence: int, now_ns: int) -> None:
        """Behind a record: of its own desk, of the one whose turn it is, and of the orphans."""
        self._settle_locates()
        if self.rules_version < SHARES_SINCE:
            return
        turn = sequence % (len(self.terms) + 1)
        own = turn if desk is None else self._share_of(desk)
        for share in dict.fromkeys((own, turn)):
            for _ in range(FORGET_STEPS):
                key = next(iter(self.queues[share]), None)
                if key is None or not self._is_expired(self.orders[key], now_ns):
                    break
                fills = self.orders[key]["fills"]
                if fills:
                    fills.popitem()
                else:
                    self._forget(key)
        for _ in range(FORGET_STEPS):
            identity = next(iter(self.orphans), None)
            if identity is None or self.orphans[identity]["expires_ns"] > now_ns:
                break
            del self.orphans[identity]

    @staticmethod
    def _is_expired(order: Reply, now_ns: int) -> bool:
        return order["expires_ns"] is not None and order["expires_ns"] <= now_ns

    def _find(self, request: Reply, now_ns: int) -> Reply | None:
        """Of orders that replace each other the first one, whichever is named."""
        order = self.orders.get((request["desk"], request["client_order_id"]))
        if order is None or self._is_expired(order, now_ns):
            return None
        first: Reply = order.get("chain", {}).get("first", order)
        return first

    def _recorded_fill(self, request: Reply, now_ns: int) -> Reply | None:
        order = self._find(request, now_ns)
        if order is None and self.rules_version >= SHARES_SINCE:
            # Its fills are known until they are swept out.
            order = self.orders.get((request["desk"], request["client_order_id"]))
        if order is not None and request["fill_id"] in order["fills"]:
            found: Reply = order["fills"][request["fill_id"]]
            return found
        identity = (request["desk"], request["client_order_id"], request["fill_id"])
        early = self.facts.fill_of(identity, now_ns)
        if early is not None:
            return early
        orphan = self.orphans.get(identity)
        if orphan is None or orphan["expires_ns"] <= now_ns:
            return None
        record: Reply = orphan["record"]
        return record

    def _remember_orphan(self, content: Reply, record: Reply, now_ns: int) -> None:
        identity = (content["desk"], content["client_order_id"], content["fill_id"])
        while identity in self.orphans:  # it has expired, and so have those before it
            del self.orphans[next(iter(self.orphans))]
        self.orphans[identity] = {"record": record, "expires_ns": now_ns + self.window_ns}
        if len(self.orphans) > self.ids_max:
            del self.orphans[next(iter(self.orphans))]

    def _close(self, order: Reply, state: str, now_ns: int) -> None:
        """With the first of those that replace each other those close that stand or wait."""
        chain, latest_ns = order.get("chain"), max(now_ns, order["content"]["sent_at_ns"] or 0)
        if chain is None or chain["first"] is not order:
            self._end(order, state, latest_ns)
            return
        lives = [one for one in (chain["stands"], chain["waits"]) if one is not None]
        latest_ns = max(latest_ns, *(one["content"]["sent_at_ns"] or 0 for one in lives))
        for one in (*(one for one in lives if one is not order), order):
            self._end(one, state, latest_ns)

    def _end(self, order: Reply, state: str, latest_ns: int) -> None:
        order["state"] = state
        # Ids are forgotten in the order in which they were closed: all, or those of a share.
        desk = order["content"]["desk"]
        share = self._share_of(desk)
        is_split = self.rules_version >= SHARES_SINCE
        earlier = [
            o["expires_ns"] or 0
            for (of, _), o in self.orders.items()
            if not is_split or self._share_of(of) == share
        ]
        order["expires_ns"] = max(latest_ns + self.window_ns + 1, *earlier, 0)
        order["closed_ns"], order["close_number"] = latest_ns, self.next_sequence
        if is_split:
            self.queues[share].append((desk, order["content"]["client_order_id"]))
