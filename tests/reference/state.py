"""The state that the log folds into. Plain data; pure.

Owns what there is to know: identity and settings of the log, policy, instruments, desks, ledger,
and the orders remembered. It changes only in `reference.apply`;
the two modules that decide read it.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from guard.engine.accounts import Accounts
from guard.engine.executions import Executions
from guard.engine.facts import KeptFacts
from guard.engine.latches import Latches
from guard.engine.limits import Limits
from guard.engine.locates import Locates
from guard.engine.people_kept import People
from guard.engine.positions import Positions
from guard.engine.prices import Prices
from guard.protocol.instruments import Instrument
from guard.protocol.ranges import TIME_NS_MAX
from kernel.ledger import BudgetEngine
from kernel.policy import PolicySnapshot
from reference.orders import RememberedOrders


@dataclass  # no slots: the compiler knows them of itself, and does not take the word
class Desk:
    """A desk's standing beside its ledger line. A halt stops entries, never fills or cancels."""

    name: str
    is_halted: bool = False
    unpaid_fees_microcents: int = 0
    is_stopped: bool = False
    max_order_age_ms: int = 0  # this one and the next: of rules that this engine does not have
    share: int = 0
    fee_bound_bps: int = -1
    fee_minimum_microcents: int = 0
    returned_microcents: int = 0
    is_reducing: bool = False


class EntriesHalt(NamedTuple):
    """Why no desk may enter orders, and the sizes that say so, in bytes."""

    reason: str
    free_bytes: int
    reserve_bytes: int


@dataclass  # no slots: the compiler knows them of itself, and does not take the word
class GuardState:
    """Everything. A fresh one is what an empty log folds into: it can decide nothing yet."""

    log_id: str = ""
    key_id: str = ""
    epoch: int = 0
    rules_version: int = 0
    next_sequence: int = 1
    last_received_at_ns: int = 0
    is_closed_cleanly: bool = False
    entries_halt: EntriesHalt | None = None
    currency: str = ""
    remembered_orders_max: int = 0
    remembered_order_window_ns: int = 0
    refuses_unknown_venues: bool = False
    policy: PolicySnapshot | None = None
    policy_digest_hex: str = ""
    instruments: dict[str, Instrument] = field(default_factory=dict)
    desks: dict[str, Desk] = field(default_factory=dict)
    ledger: BudgetEngine = field(default_factory=BudgetEngine)
    orders: RememberedOrders = field(default_factory=RememberedOrders)
    is_firm_stopped: bool = False
    stopped_symbols: set[str] = field(default_factory=set)
    actions: dict[str, tuple[int, str]] = field(default_factory=dict)
    facts: KeptFacts = field(default_factory=KeptFacts)
    positions: Positions = field(default_factory=Positions)  # of rules that it does not have
    limits: Limits = field(default_factory=Limits)  # of rules that this engine does not have
    executions: Executions = field(default_factory=Executions)
    latches: Latches = field(default_factory=Latches)
    people: People = field(default_factory=People)
    prices: Prices = field(default_factory=Prices)
    locates: Locates = field(default_factory=Locates)
    accounts: Accounts = field(default_factory=Accounts)
    stopped_names: frozenset[tuple[str, str]] = frozenset()
    reducing_names: frozenset[tuple[str, str]] = frozenset()
    elapsed_ns: int = 0
    is_firm_reducing: bool = False
    reducing_symbols: frozenset[str] = frozenset()

    def forget_expired(self, now_ns: int) -> None:
        """Forgets what may be forgotten by `now_ns`."""
        self.orders.forget_expired(now_ns)
        for key in self.facts.forget_expired(now_ns):
            self.orders.forget_early_fill(key)

    def advance(self, sequence: int, received_at_ns: int) -> None:
        """Says that record `sequence`, received then, is part of the state from now on."""
        self.next_sequence = sequence + 1
        if received_at_ns > self.last_received_at_ns:
            self.last_received_at_ns = received_at_ns
        self.is_closed_cleanly = False

    def expires_at_ns(self, closed_at_ns: int, sent_at_ns: int) -> int:
        """From when on an order closed then may be forgotten; `sent_at_ns`: 0 where not said."""
        # At the window's last nanosecond an order is not stale yet, so its id is still remembered.
        expires_at_ns = max(closed_at_ns, sent_at_ns) + self.remembered_order_window_ns + 1
        return min(expires_at_ns, TIME_NS_MAX)

    def orphan_expires_at_ns(self, received_at_ns: int) -> int:
        """From when on a fill of no order of ours may be forgotten that is received then."""
        return min(received_at_ns + self.remembered_order_window_ns, TIME_NS_MAX)
