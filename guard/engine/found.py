# cython: annotation_typing=False
"""A desk's standing, and what a request's names stand for while it is decided. Plain data; pure.

Owns both; they are parts of `guard.engine.state`. What an account is: `guard.engine.accounts`.
"""

from dataclasses import dataclass

from guard.engine.accounts import Account
from guard.engine.exposure import Proposal
from guard.engine.limits import Effective, Limits
from guard.engine.positions import Positions
from guard.engine.worth import Worth
from guard.protocol import slots
from guard.protocol.fields import TEXT_NAMES
from guard.protocol.instruments import Instrument
from guard.protocol.request import TEXTS, Request
from kernel import InvariantError, KernelModel
from kernel import little_endian as le
from kernel.ledger_lines import Tenant
from kernel.policy import PolicySnapshot

_DESK_AT, _SYMBOL_AT = TEXTS["desk"][0], TEXTS["symbol"][0]
_DESK, _SYMBOL = TEXT_NAMES.index("desk"), TEXT_NAMES.index("symbol")
# Names that are looked up as bytes; more desks and symbols than a guard has.
NAMES_KEPT_MAX = 16_384
NO_FEE_BOUND = -1


@dataclass  # no slots: the compiler knows them of itself, and does not take the word
class Desk:
    """A desk's standing beside its ledger line. A halt stops orders, never fills or cancels.

    `is_halted`: since rules version 3 no more than entries, as `is_reducing`.
    `fee_bound_bps` (NO_FEE_BOUND: none), `fee_minimum_microcents`: up to what a fee is charged.
    `returned_microcents`: of what was granted, the fees of busted and corrected fills.
    """

    name: str
    is_halted: bool = False  # since fees are owed
    unpaid_fees_microcents: int = 0
    is_stopped: bool = False  # by a person
    max_order_age_ms: int = 0  # none
    share: int = 0  # its number: `guard.engine.shares`
    fee_bound_bps: int = NO_FEE_BOUND
    fee_minimum_microcents: int = 0
    returned_microcents: int = 0
    limit_class: int = 0  # where its limits are found: `guard.engine.limits`
    is_reducing: bool = False  # by a person
    has_accounts: bool = False  # so that an order of it must name one

    def debt_paid_by(self, free_microcents: int) -> int:
        """What of its debt so much pays that is free."""
        return min(self.unpaid_fees_microcents, free_microcents)

    def collect(self, microcents: int) -> None:
        """Says that so much of its debt was paid. The halt ends when nothing is owed."""
        if microcents > self.unpaid_fees_microcents:
            raise InvariantError(
                f"{microcents} microcents are collected from {self.name}, which owes "
                f"{self.unpaid_fees_microcents}"
            )
        self.unpaid_fees_microcents -= microcents
        if self.unpaid_fees_microcents == 0:
            self.is_halted = False


class Found:
    """What a request's names stand for, and what its order is worth, while it is decided."""

    def __init__(self) -> None:
        self.desk: Desk | None = None
        self.worth: Worth | None = None
        self.line: Tenant | None = None
        self.account: Account | None = None  # the one that the order names
        self.limits: Effective | None = None
        self.proposal = Proposal()
        self.request = Request()  # a fill as it was recorded
        self.named = Request()  # of another order than the request's own, what it is called
        # The replace that was completed last, the row of the order that it names, and the record
        # that was next then.
        self.completed: Request | None = None
        self.completed_row = self.completed_sequence = 0
        # Does the order but reduce a position, what the kernel said notwithstanding, for what fee?
        self.is_exit = self.is_overruled = False
        self.overruled_fee_microcents = 0
        self.short_lots = 0  # how many it may sell short, where a limit asks
        self.overridden: frozenset[int] | None = None  # checks that do not count for it
        # What the order adds to lots and holds: of a replace less than it asks for. Of one also:
        # does it but lower risk, under which hold, of how much and with how many lots filled; how
        # many it leaves open, how many may be reduced, and what it is worth at most if it lowers
        # risk (`guard.engine.replacing`).
        self.asked_lots = self.asked_microcents = 0
        self.is_replace = self.is_lowering = False
        self.reservation_id = self.held_microcents = self.filled_lots = 0
        self.left_lots = self.reducible_lots = self.lowered_microcents = 0
        # The venues of a policy by number, and which policy's they are.
        self.venues: dict[int, KernelModel] = {}
        self.venues_of: PolicySnapshot | None = None
        # The names that were looked up last, and what they stand for.
        self._last = Request()
        self._last_desk: Desk | None = None
        self._last_worth: Worth | None = None
        # By their names as bytes: of those that were looked up.
        self._desks: dict[bytes, Desk] = {}
        self._worths: dict[bytes, Worth] = {}

    def desk_in(self, desks: dict[str, Desk], request: Request) -> Desk | None:
        """The request's desk, None where there is none of that name."""
        if self._last_desk is not None and slots.is_same_text(self._last, request, _DESK, _DESK_AT):
            return self._last_desk
        name = le.bytes_at(request.texts, _DESK_AT, request.desk_bytes)
        desk = self._desks.get(name)
        if desk is None:
            desk = desks.get(name.decode())
            if desk is not None and len(self._desks) < NAMES_KEPT_MAX:
                self._desks[name] = desk
        slots.copy_text(self._last, request, _DESK, _DESK_AT)
        self._last_desk = desk
        return desk

    def worth_in(
        self,
        instruments: dict[str, Instrument],
        positions: Positions,
        limits: Limits,
        request: Request,
    ) -> Worth | None:
        """What the lots of the request's symbol are worth, None where there is none."""
        if self._last_worth is not None and slots.is_same_text(
            self._last, request, _SYMBOL, _SYMBOL_AT
        ):
            return self._last_worth
        name = le.bytes_at(request.texts, _SYMBOL_AT, request.symbol_bytes)
        worth = self._worths.get(name)
        if worth is None:
            instrument = instruments.get(name.decode())
            if instrument is not None:
                worth = Worth(instrument, positions.number_of(instrument.symbol))
                worth.limit_class = limits.symbol_class(instrument.symbol)
                if len(self._worths) < NAMES_KEPT_MAX:
                    self._worths[name] = worth
        slots.copy_text(self._last, request, _SYMBOL, _SYMBOL_AT)
        self._last_worth = worth
        return worth

    def forget_symbol(self, symbol: str) -> None:
        """It may be worth something else now."""
        self._worths.pop(symbol.encode(), None)
        self._last_worth = None

    def forget_symbols(self) -> None:
        """They may have other numbers now, or other limits."""
        self._worths.clear()
        self._last_worth = None
