"""The lives of a day's orders, from its log: what a what-if assumes of orders that had none. Pure.

Owns the first of the two readings that a what-if takes: an observer of replay that takes down what
became of each admitted order, and which order may have replaced which refused one. Then it says of
an order that the day refused what its life would have been: until its replacement came, or that of
the admitted order most like it.

Whether replacements tell more than likeness, and whether orders of the same desk or of any, is
tried out on the log itself: one in sixteen admitted orders is taken for refused, and what is
guessed of it held against what became of it. What comes closest on the whole is used.

Bounded: beyond `LIVES_MAX` closed orders every second one goes, again and again, by a mix of their
sequences; the open ones are as many as the guard's own state has. The same log gives the same.
"""

import itertools
from typing import Final, NamedTuple

from guard.audit.like_orders import NOT_CLOSED, NS_PER_MS, Life, LikeOrders, Stratum, scaled_log2
from guard.audit.replacements import Kind, Replacements
from guard.engine.events import HoldFreed
from guard.engine.remembered_rows import ended_by
from guard.engine.request_events import CanceledAllRecorded
from guard.engine.state import GuardState
from guard.protocol.all_or_none_messages import ORDERS_MAX
from guard.protocol.fields import REFUSED, UNKNOWN
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.request import Request
from guard.replay.place import Place
from guard.replay.redecide import Replayed

# Some 60 MB of closed orders, and 30 MB of refused ones that were replaced.
LIVES_MAX: Final = 131_072
REPLACED_MAX: Final = 262_144
FILLS_MAX: Final = 64  # of an order; it lives on without more
TRIED_MAX: Final = 1_024
TRIED_OF: Final = 16
# Where an order like another, or the one that replaces it, is looked for.
SAME_DESK, ANY_DESK, NEVER = "same_desk", "any_desk", "never"
DESKS: Final = (SAME_DESK, ANY_DESK)
# Who waited longer was hardly replaced: the sizes are the same by chance.
WAITS_MAX_NS: Final = (3 * 10**9, 30 * 10**9, 300 * 10**9, 2**63)

_REFUSED_ORDER, _FILLED, _RELEASED = (
    int(OutcomeKind.REFUSED), int(OutcomeKind.FILLED), int(OutcomeKind.RELEASED)
)  # fmt: skip
_ADMITTED: Final = int(OutcomeKind.ADMITTED)
_MILLION: Final = 1_000_000
_MIX: Final = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: neighbours land far apart


class Guess(NamedTuple):
    """How an order's end is guessed: replaced by an order of which desk, if in so many ns; else as
    an order like it of which desk."""

    like_of: str
    replaced_by: str
    wait_max_ns: int


GUESSES: Final = tuple(
    Guess(like_of, replaced_by, wait_max_ns)
    for like_of in DESKS
    for replaced_by, wait_max_ns in ((NEVER, 0), *itertools.product(DESKS, WAITS_MAX_NS))
)


class AssumedLife(NamedTuple):
    """What is assumed of an order, in ns since it is admitted.

    `closed_after_ns`: NOT_CLOSED where it stays open. `source`: `replaced`, `like` or `none`.
    """

    closed_after_ns: int
    fills: list[tuple[int, int, int]]
    source: str


def mixed(sequence: int) -> int:
    """The sequence as 32 bits of which each depends on all of its own."""
    return (sequence * _MIX >> 32) & 0xFFFF_FFFF


def key_of(sequence: int, place: int) -> int:
    """An order, by its record and its place among those that this has, as one integer."""
    return sequence * ORDERS_MAX + place


def stratum_of(request: Request) -> Stratum:
    """What must be the same in two orders that are alike."""
    return (
        request.desk, request.symbol, request.side, request.order_type, request.time_in_force
    )  # fmt: skip


class Market:
    """By symbol the price, in ticks, that was paid last; of none yet the last one asked."""

    def __init__(self) -> None:
        self._paid: dict[str, int] = {}
        self._asked: dict[str, int] = {}

    def away_millionths(self, request: Request) -> int:
        """How far the order's price is from the market's. It then is the last one asked."""
        symbol, price = request.symbol, request.price
        market = self._paid.get(symbol) or self._asked.get(symbol) or price
        self._asked[symbol] = price
        return (price - market) * _MILLION // market if market else 0

    def note_fill(self, request: Request, state: GuardState) -> None:
        """Takes down the price of a fill of an order that is remembered."""
        row = state.orders.find(request, request.received_at_ns) if request.price else -1
        if row >= 0:
            state.orders.read(row)
            self._paid[state.orders.known.symbol] = request.price


class LifeBook:
    """See the module. Give `observe` to a replay of the log, then ask for lives."""

    def __init__(self, lives_max: int = LIVES_MAX, tried_max: int = TRIED_MAX) -> None:
        self._lives_max, self._tried_max = lives_max, tried_max
        self._open: dict[tuple[str, str], Life] = {}
        self._closed: list[Life] = []
        self._kept_mask = 0
        self._tried: list[Life] = []
        self._tried_mask = TRIED_OF - 1
        self._market = Market()
        self._replacements = {how: Replacements() for how in DESKS}
        self._trials = {how: Replacements() for how in DESKS}
        self._replaced: dict[str, dict[int, int]] = {SAME_DESK: {}, ANY_DESK: {}}
        self._end_ns = 0
        self._like: LikeOrders | None = None
        self.guess = GUESSES[0]
        # Desks that report what becomes of orders which the guard refused: nothing is to be
        # guessed of the fills of such ones.
        self.reporting_desks: set[str] = set()

    def observe(self, place: Place, decided: Replayed, state: GuardState) -> None:
        """Takes in a record."""
        request, answer = decided.request, decided.answer
        if request is None or answer is None:
            self._end_ns = max(self._end_ns, decided.received_at_ns)
            if isinstance(decided.outcome, HoldFreed):
                # A person ended it: that tells nothing of how orders like it end.
                self._open.pop((decided.outcome.desk, decided.outcome.client_order_id), None)
            elif isinstance(decided.outcome, CanceledAllRecorded):
                for desk, client_order_id, _ in ended_by(state.orders, place.sequence):
                    self._open.pop((desk, client_order_id), None)
            return
        self._end_ns = max(self._end_ns, request.received_at_ns)
        if answer.kind <= _REFUSED_ORDER:
            self._order(place.sequence, request, answer, decided.place)
        elif answer.kind == _FILLED:
            self._fill(request, answer, state)
        elif answer.kind == _RELEASED:
            self._cancel(request)

    def _order(self, sequence: int, request: Request, answer: Outcome, place: int) -> None:
        at_ns = request.received_at_ns
        stratum, quantity = stratum_of(request), request.quantity
        away = self._market.away_millionths(request)
        life = None
        if answer.kind == _ADMITTED:
            life = Life(stratum, sequence, at_ns, quantity, away)
            self._open[stratum[0], request.client_order_id] = life
            if mixed(sequence) & self._tried_mask == 0:
                life.replaced_after_ns = {}
        for how in DESKS:
            kind = _kind_of(how, life, stratum, quantity)
            arrived = self._replacements[how].arrived(kind, at_ns)
            replaced = self._replaced[how]
            if arrived is not None and len(replaced) < REPLACED_MAX:
                replaced[arrived[1]] = max(0, at_ns - arrived[0])
            tried = self._trials[how].arrived(kind, at_ns)
            if tried is not None and isinstance(tried[1], Life):
                assert tried[1].replaced_after_ns is not None
                tried[1].replaced_after_ns[how] = max(0, at_ns - tried[0])
            if life is None:
                self._replacements[how].wait(kind, at_ns, key_of(sequence, place))
                self._trials[how].wait(kind, at_ns, key_of(sequence, place))
            elif life.replaced_after_ns is not None:
                self._trials[how].wait(kind, at_ns, life)

    def _fill(self, request: Request, answer: Outcome, state: GuardState) -> None:
        self._market.note_fill(request, state)
        if answer.flags & (UNKNOWN | REFUSED) == UNKNOWN | REFUSED:
            self.reporting_desks.add(request.desk)
            return
        key = (request.desk, request.client_order_id)
        life = self._open.get(key)
        if life is None:
            return
        # Where a clock that was ahead was set back, no time may have passed.
        after_ns = max(0, request.received_at_ns - life.admitted_ns)
        if len(life.fills) < FILLS_MAX:
            life.fills.append((after_ns, request.quantity, request.fee_microcents))
        if answer.open_quantity == 0:
            del self._open[key]
            self._close(life, after_ns)

    def _cancel(self, request: Request) -> None:
        life = self._open.pop((request.desk, request.client_order_id), None)
        if life is None:
            return  # one from before the log's beginning
        at_ns = request.received_at_ns
        life.is_canceled = True
        for how in DESKS:
            kind = _kind_of(how, life, life.stratum, life.quantity)
            self._replacements[how].canceled(kind, at_ns)
            if life.replaced_after_ns is None:
                self._trials[how].canceled(kind, at_ns)
        self._close(life, max(0, at_ns - life.admitted_ns))

    def _close(self, life: Life, after_ns: int) -> None:
        life.closed_after_ns = after_ns
        if life.replaced_after_ns is not None and life.is_canceled:
            self._tried.append(life)
            if len(self._tried) > self._tried_max:
                self._tried_mask = self._tried_mask * 2 + 1
                self._tried = [
                    each for each in self._tried if mixed(each.sequence) & self._tried_mask == 0
                ]
        self._keep(life)

    def _keep(self, life: Life) -> None:
        # The bits above those that say which are tried out.
        if mixed(life.sequence) >> 16 & self._kept_mask:
            return
        self._closed.append(life)
        if len(self._closed) > self._lives_max:
            self._kept_mask = self._kept_mask * 2 + 1
            self._closed = [
                each for each in self._closed if mixed(each.sequence) >> 16 & self._kept_mask == 0
            ]

    def finish(self) -> None:
        """The log is at its end: what is still open is known to be, and the trial is judged."""
        for life in self._open.values():
            self._keep(life)
        self._open = {}
        self._closed.sort(key=lambda life: life.sequence)
        self._like = LikeOrders(self._closed)
        losses = dict.fromkeys(GUESSES, 0)
        for life in self._tried:
            assert life.replaced_after_ns is not None
            like_ns = {like_of: self._like_ns(life, like_of) for like_of in DESKS}
            for guess in GUESSES:
                guessed_ns = life.replaced_after_ns.get(guess.replaced_by, guess.wait_max_ns + 1)
                if guessed_ns > guess.wait_max_ns:
                    guessed_ns = like_ns[guess.like_of]
                losses[guess] += abs(_scaled(guessed_ns) - _scaled(life.closed_after_ns))
        self.guess = min(GUESSES, key=lambda guess: losses[guess])

    def _like_ns(self, life: Life, like_of: str) -> int:
        """How long the other order most like it lived, in ns; one without end, to the log's."""
        assert self._like is not None
        like = self._like.likest(
            life.stratum,
            life.admitted_ns,
            life.quantity,
            life.away_millionths,
            of_any_desk=like_of == ANY_DESK,
            but=life,
        )
        if like is None or like.closed_after_ns == NOT_CLOSED:
            return max(0, self._end_ns - life.admitted_ns)
        return like.closed_after_ns

    def life_of(
        self, sequence: int, request: Request, away_millionths: int, place: int = 0
    ) -> AssumedLife:
        """What is assumed of the order at that place of those that the day's record refused."""
        assert self._like is not None, "the log was not read to its end"
        guess = self.guess
        after_ns = self._replaced.get(guess.replaced_by, {}).get(key_of(sequence, place))
        if after_ns is not None and after_ns <= guess.wait_max_ns:
            return AssumedLife(after_ns, [], "replaced")
        stratum = stratum_of(request)
        like = self._like.likest(
            stratum,
            request.received_at_ns,
            request.quantity,
            away_millionths,
            of_any_desk=guess.like_of == ANY_DESK,
        )
        if like is None:
            return AssumedLife(NOT_CLOSED, [], "none")
        fills = [] if stratum[0] in self.reporting_desks else _scaled_fills(like, request.quantity)
        return AssumedLife(like.closed_after_ns, fills, "like")


def _kind_of(how: str, life: Life | None, stratum: Stratum, quantity: int) -> Kind:
    return stratum[0] if how == SAME_DESK else "", stratum[1], stratum[2], quantity


def _scaled(life_ns: int) -> int:
    """Lives compare by how often the one goes into the other; below 0.1 s they are all short."""
    return scaled_log2(max(life_ns, 0) // NS_PER_MS + 100)


def _scaled_fills(like: Life, quantity: int) -> list[tuple[int, int, int]]:
    """The fills of an order that is so much larger or smaller, with fees in proportion."""
    fills = []
    for after_ns, lots, fee_microcents in like.fills:
        scaled = lots * quantity // like.quantity
        if scaled:
            fills.append((after_ns, scaled, fee_microcents * scaled // lots))
    return fills
