"""One log, and a guard that is killed on it again and again under load.

Owns the client: it sends orders, fills and cancels, and after every restart whatever is unanswered,
in the order of its first sending. What must hold is the oracle's. A trial ends with a clean stop,
`verify`, `replay`, and the replayed ledger compared with the oracle's books.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from link import EndedError, Link, Victim
from oracle import Books, Oracle, must
from victim import NO_POINT

from daemon_support import KEY, Site, config_text, event_of
from guard.process.duties import TRIED_AGAIN
from guard.recovery.checkpoint_payload import state_digest_hex
from guard.recovery.recover import fold_log, recover_log
from guard.replay.replay import replay_log
from protocol_client import cancel, fill, order, status
from wal import ChainHasher

CENTS_PER_UNIT, MICROCENTS_PER_CENT = 100, 1_000_000
# One desk soon stands at its cap, so that the order of things shows in its refusals.
BUDGETS: dict[str, tuple[int, int | None]] = {
    "desk-alpha": (2_000_000, 1_500_000),
    "desk-beta": (900_000_000, None),
}
IN_FLIGHT_MESSAGES = 48
ARRAY_MAX = 8
NEW_REQUESTS_A_SESSION = 150  # then only old ones are sent again
MESSAGES_A_SESSION = 400  # then it is killed from outside: the place was not reached
STATUSES_A_MESSAGE = 256
RESENT_A_CHECK = 64
ROTATIONS = 0.01  # so many of the messages are followed by the order to begin a segment
CHECKPOINTS = 0.01  # so many by the order to take a checkpoint
# The one thing about checkpoints that a kill may leave for a start to say.
UNLISTED = "is not used: the manifest does not list it"
ROOT_MARK = "{root}"  # in settings: the directory of the trial


@dataclass(frozen=True, slots=True)
class Death:
    """What is to kill a session: a place, reached so often, or a moment.

    `is_armed`: from the process's start on, not only once the load begins. `after_s`: from then on
    too, by the clock and from outside.
    """

    point: str = NO_POINT
    number: int = 0
    is_armed: bool = False
    after_s: float | None = None


@dataclass
class Tally:
    """What a run has done."""

    kills_at_place: Counter[str] = field(default_factory=Counter)
    kills_by_hand: int = 0
    kills_before_ready: int = 0
    checks: int = 0
    logs: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    records: int = 0
    checkpoints: int = 0
    reached: Counter[str] = field(default_factory=Counter)

    @property
    def kills(self) -> int:
        return self.kills_by_hand + self.kills_at_place.total()


class Trial:
    """A fresh log in `root`. All randomness is `draw`'s."""

    def __init__(
        self,
        root: Path,
        draw: random.Random,
        tally: Tally,
        log_settings: str,
        duties_fail: float,
    ) -> None:
        desks = {
            name: (f"{budget}.00", "none" if cap is None else f"{cap}.00")
            for name, (budget, cap) in BUDGETS.items()
        }
        settings = log_settings.replace(ROOT_MARK, str(root))
        self.site = Site(root, config_text(desks=desks, log=settings))
        unit = CENTS_PER_UNIT * MICROCENTS_PER_CENT
        self.oracle = Oracle(
            {
                name: (budget * unit, None if cap is None else cap * unit)
                for name, (budget, cap) in BUDGETS.items()
            }
        )
        self._draw = draw
        self._tally = tally
        self._duties_fail = duties_fail
        self._numbers = itertools.count(1)

    def session(self, death: Death) -> bool:
        """Start, check, load until it is dead. Did it die at the chosen place?"""
        target = self._victim(death)
        timer = threading.Timer(death.after_s or 0.0, target.kill)
        is_timed = death.after_s is not None
        link: Link | None = None
        try:
            if is_timed and death.is_armed:
                timer.start()
            link = Link(target, target.wait_until_ready())
            self._check_alarms(target)
            self._check(link)
            target.arm()
            if is_timed and not death.is_armed:
                timer.start()
            self._load(link, target, None if is_timed else MESSAGES_A_SESSION)
            target.kill()
            while True:
                self._receive(link)
        except EndedError:
            timer.cancel()
            was_struck = target.reap()
            self._count(target, was_struck, is_ready=link is not None)
            return was_struck
        finally:
            timer.cancel()
            if link is not None:
                link.close()
            target.close()

    def finish(self) -> None:
        """A last start: everything is answered and right, the stop is clean, the log is whole."""
        target = self._victim(Death())
        try:
            link = Link(target, target.wait_until_ready())
            try:
                books = self._check(link)
            finally:
                link.close()
            code = target.stop()
            must(code == 0, "a clean stop", code, target.stderr_file.read_text())
            self._tally.reached.update(target.counts())
        finally:
            target.close()
        self._check_log(books)
        self._tally.logs += 1
        self._tally.repeats += self.oracle.repeats
        for name, answer in self.oracle.answers.items():
            self._tally.answered[f"{self.oracle.requests[name]['type']} {answer['type']}"] += 1

    def _victim(self, death: Death) -> Victim:
        return Victim(
            self.site,
            death.point,
            death.number,
            is_armed=death.is_armed,
            duties_fail=self._duties_fail,
        )

    def _check_alarms(self, target: Victim) -> None:
        """Nothing is spoilt here: a checkpoint that was published is of use."""
        alarms = [alarm for alarm in target.alarms() if not alarm.endswith(UNLISTED)]
        if self._duties_fail:
            alarms = [alarm for alarm in alarms if TRIED_AGAIN not in alarm]
        must(not alarms, "a start without alarms", alarms)

    def _count(self, target: Victim, was_struck: bool, *, is_ready: bool) -> None:
        if was_struck:
            self._tally.kills_at_place[target.point] += 1
        else:
            self._tally.kills_by_hand += 1
        self._tally.kills_before_ready += not is_ready
        self._tally.reached.update(target.counts())

    def _check(self, link: Link) -> Books:
        """Every answered order by its status, before and after the unanswered are sent again."""
        self._check_statuses(link, None)
        for request in self.oracle.unanswered():
            self._send(link, [request])
        known = [self.oracle.requests[name] for name in self.oracle.answers]
        for request in self._draw.sample(known, min(len(known), RESENT_A_CHECK)):
            self._send(link, [request])
        while link.under_way:
            self._receive(link)
        books = self.oracle.fold()
        self._check_statuses(link, books)
        self._tally.checks += 1
        return books

    def _check_statuses(self, link: Link, books: Books | None) -> None:
        orders = self.oracle.answered_orders()
        held = dict.fromkeys(BUDGETS, 0)
        for start in range(0, len(orders), STATUSES_A_MESSAGE):
            part = orders[start : start + STATUSES_A_MESSAGE]
            asked = [status(each["client_order_id"], each["desk"]) for each in part]
            link.send(asked, is_array=True)
            for request, (_, reply) in zip(part, link.receive(), strict=True):
                self.oracle.check_status(books, request, reply)
                held[request["desk"]] += reply["hold_microcents"]
        if books is not None:
            right = {name: account.reserved for name, account in books.desks.items()}
            must(held == right, "the holds by their statuses are those of the books", held, right)

    def _load(self, link: Link, target: Victim, messages_max: int | None) -> None:
        new = self._new_requests()
        if {"checkpoint", "manifest"} & set(target.point.split("-")):
            target.take_checkpoint()
        for count in itertools.count(1):
            if messages_max is not None and count > messages_max:
                return
            if len(link.under_way) >= IN_FLIGHT_MESSAGES:
                self._receive(link)
            size = self._draw.choice((1, 1, 1, self._draw.randint(1, ARRAY_MAX)))
            requests = list(itertools.islice(new, size)) or [self._old_request()]
            self._send(link, requests, is_array=size > 1)
            if self._draw.random() < ROTATIONS:
                target.rotate()
            if self._draw.random() < CHECKPOINTS:
                target.take_checkpoint()

    def _old_request(self) -> dict[str, Any]:
        known = self.oracle.requests
        if len(known) > NEW_REQUESTS_A_SESSION:
            # Among the latest: some are answered, some on their way.
            at = self._draw.randrange(len(known) - NEW_REQUESTS_A_SESSION, len(known))
            return next(itertools.islice(known.values(), at, None))
        return self._draw.choice(list(known.values()))

    def _new_requests(self) -> Iterator[dict[str, Any]]:
        """Orders, some filled in part, whole or beyond, some canceled, all in one line."""
        draw = self._draw
        made = 0
        while made < NEW_REQUESTS_A_SESSION:
            name, desk = f"T-{next(self._numbers)}", draw.choice(list(BUDGETS))
            risk_bps = 9_700 if draw.random() < 0.03 else 200
            quantity, price = draw.randint(1, 300), draw.randint(1, 20_000)
            wanted = order(name, desk=desk, quantity=quantity, price=price, risk_bps=risk_bps)
            follow = [
                fill(
                    name,
                    f"F-{number}",
                    desk=desk,
                    quantity=draw.randint(1, quantity),
                    fee_microcents=draw.randint(-9, 5_000),
                )
                for number in range(draw.choice((0, 0, 1, 2)))
            ]
            if draw.random() < 0.4:
                follow.append(cancel(name, desk))
            yield from (wanted, *follow)
            made += 1 + len(follow)

    def _send(self, link: Link, requests: list[dict[str, Any]], *, is_array: bool = False) -> None:
        for request in requests:
            self.oracle.sends(request)
        link.send(requests, is_array=is_array)

    def _receive(self, link: Link) -> None:
        for request, reply in link.receive():
            self.oracle.hears(request, reply)

    def _check_log(self, books: Books) -> None:
        verified, replayed = self.site.verify(), self.site.replay()
        must(verified["closed_cleanly"] is True, "a log that was closed", verified)
        must(verified["head_hash"] == replayed["head_hash"], "one head", verified, replayed)
        self._tally.records += replayed["records"]
        events = replayed["events"]
        decided = events.get("order", 0) + events.get("order_refused", 0)
        found = {"decided": decided, **{kind: events.get(kind, 0) for kind in ("fill", "release")}}
        right = self.oracle.recorded()
        must(found == right, "a record for each answer, and no other", found, right)
        report = replay_log(self.site.log, ChainHasher(KEY))
        ledger = report.engine.state.ledger
        for desk, account in books.desks.items():
            found_money = (
                ledger.initial_microcents(desk),
                ledger.remaining_microcents(desk),
                ledger.reserved_microcents(desk),
                ledger.committed_microcents(desk),
            )
            money = (account.initial, account.remaining, account.reserved, account.committed)
            must(found_money == money, "the ledger is the books'", desk, found_money, money)
        self._check_times()
        self._check_start()

    def _check_start(self) -> None:
        """A start from the newest checkpoint ends where the whole log does."""
        hasher = ChainHasher(KEY)
        recovered = recover_log(self.site.log, hasher)
        recovered.lock.release()
        self._tally.checkpoints += recovered.checkpoint is not None
        found = state_digest_hex(recovered.engine.state)
        right = state_digest_hex(fold_log(self.site.log, hasher)[0].state)
        must(found == right, "one state, from a checkpoint or from the log alone", found, right)

    def _check_times(self) -> None:
        times = [event_of(record)["received_at_ns"] for record in self.site.records()]
        must(times == sorted(times), "received times never run backwards")
