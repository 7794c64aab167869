"""A trading day in small: a log with every event and many reasons."""

from guard.config.activation import resume_event
from guard.engine.actor import Actor
from guard.engine.events import (
    RULES_VERSION,
    CheckpointTaken,
    CutNoted,
    DeskCapped,
    DeskFeeBounded,
    DeskOpened,
    DeskToppedUp,
    EntriesHalted,
    EntriesResumed,
    FillAccepted,
    FillBusted,
    FillCorrected,
    InstrumentDefined,
    Outcome,
    SessionClosed,
    SessionStarted,
    SettingsActivated,
)
from guard_support import (
    ALPHA_BUDGET,
    SECOND_NS,
    T0,
    U32_MAX,
    LoggedEngine,
    actor,
    cancel,
    dev_config,
    fill,
    order,
)

CUT = CutNoted("00000001.jsonl", 4_096, 30, 512, "a hole", "00000001.jsonl.cut-4096")


def administrative_events(who: Actor | None = None) -> list[Outcome]:
    """Every administrative event that may follow a log's first records."""
    who = who or actor()
    return [
        who.event(SessionClosed),
        who.event(
            SessionStarted,
            epoch=2,
            software_version="9.9.9",
            recovered_sequence=29,
            recovered_hash="ab" * 32,
            after_clean_stop=True,
            cuts=[CUT],
        ),
        who.event(
            SettingsActivated,
            currency="USD",
            remembered_orders_max=1_000,
            remembered_order_window_ns=3_600 * SECOND_NS,
        ),
        who.event(
            InstrumentDefined, symbol="ETH", tick_size="0.5", lot_size="0.001", multiplier="10"
        ),
        who.event(
            DeskOpened, desk="desk-gamma", budget_microcents=10**15, max_reserved_microcents=None
        ),
        who.event(DeskToppedUp, desk="desk-beta", amount_microcents=5),
        who.event(DeskCapped, desk="desk-beta", max_reserved_microcents=10**13),
        who.event(DeskCapped, desk="desk-alpha", max_reserved_microcents=None),
        resume_event("desk-alpha", who),
    ]


def checkpoint_taken(who: Actor, sequence: int = 38) -> Outcome:
    """A checkpoint of the state after an earlier record, as it is logged."""
    return who.event(
        CheckpointTaken,
        checkpoint_sequence=sequence,
        checkpoint_hash="12" * 32,
        state_digest_hex="34" * 32,
        file_name=f"checkpoint-{sequence:020d}.ckpt",
        payload_bytes=2_951_114,
    )


def facts_day(*, as_given: bool = False) -> LoggedEngine:
    """A day under the second rules: facts that came early, debts, what was said of fills.

    `as_given`: as `LoggedEngine` says.
    """
    terms = '"1500000.00"\nfee_bound_bps = 100\nfee_minimum = "1.00"'
    day = LoggedEngine(
        dev_config(('"1500000.00"', terms), ('"500000.00"', '"100.00"')),
        as_given=as_given,
        rules_version=2,
    )
    beta = "desk-beta"
    day.submit(fill("F-1", quantity=10, fee=7))
    day.submit(fill("F-2", quantity=10, fee=10**15))
    day.submit(cancel("A-2"))
    day.admit(order("A-1"), T0 + 1)
    day.reject(order("A-2"))
    day.admit(order("B-1", desk=beta, quantity=200, price=50))
    day.submit(fill("F-1", client_order_id="B-1", desk=beta, quantity=1, fee=150_000_000))
    day.submit(fill("F-2", client_order_id="B-1", desk=beta, quantity=1, fee=0))
    who = actor(T0 + 2)
    alpha_order = {"desk": "desk-alpha", "client_order_id": "A-1"}
    topped_up = {"desk": beta, "amount_microcents": 6, "collected_microcents": 6}
    day.log(who.event(DeskToppedUp, **topped_up))
    day.log(
        who.event(
            DeskFeeBounded, desk=beta, fee_bound_bps=10_000, fee_minimum_microcents=100_000_000
        )
    )
    day.submit(cancel("B-1", beta), T0 + 3)
    day.submit(fill("F-3", quantity=10, fee=9_000_000_000))
    accepted = {"fill_id": "F-3", "fill_sequence": 21, "fee_microcents": 9_000_000_000}
    day.log(who.event(FillAccepted, **alpha_order, **accepted, unpaid_fee_microcents=0))
    corrected = {"fill_id": "F-3", "fill_sequence": 21, "quantity": 11, "price": 19_001}
    moved = {"charged_microcents": 0, "unpaid_fee_microcents": 0, "returned_microcents": 4}
    day.log(
        who.event(FillCorrected, **alpha_order, **corrected, fee_microcents=8_999_999_996, **moved)
    )
    day.log(
        who.event(FillBusted, **alpha_order, fill_id="F-1", fill_sequence=12, returned_microcents=7)
    )
    day.submit(cancel("Z-1"))
    day.submit(fill("F-9", client_order_id="Z-2", quantity=3, fee=1))
    day.log(who.event(DeskFeeBounded, desk=beta, fee_bound_bps=None, fee_minimum_microcents=None))
    return day


def trading_day(*, as_given: bool = False, rules_version: int = RULES_VERSION) -> LoggedEngine:
    """The log of that day: 40-odd records. `as_given`, `rules_version`: as `LoggedEngine` says."""
    day = LoggedEngine(as_given=as_given, rules_version=rules_version)
    day.admit(order("A-1"))
    day.admit(order("A-2", venue=20, sent_at_ns=T0 - 1, time_in_force="ioc"))
    day.reject(order("A-3", risk_bps=9_600))
    day.reject(order("A-4", venue=30, allow_substitute=False))
    day.reject(order("A-5", desk="nobody"))
    day.reject(order("A-6", quantity=U32_MAX + 1))
    day.reject(order("A-7", quantity=U32_MAX, price=2**62))
    day.reject(order("A-1", side="sell"), T0 + 1)
    day.reject(order("A-8", sent_at_ns=1))
    day.reject(order("A-9", quantity=150_000_001, price=1))
    day.submit(fill("F-1", price=19_001, executed_at_ns=T0))
    day.submit(fill("F-2", quantity=7, fee=-3))
    day.submit(fill("F-1", client_order_id="A-2", quantity=100))
    day.submit(fill("F-2", client_order_id="A-2", quantity=1))
    day.submit(fill("F-1", client_order_id="X-1", quantity=1))
    day.submit(fill("F-1", client_order_id="A-3", quantity=1))
    day.submit(cancel("A-1"), T0 + 2)
    day.admit(order("B-1", desk="desk-beta", symbol="BTC-USD", quantity=10**8, price=10**5))
    day.submit(fill("F-9", client_order_id="A-1", quantity=1, fee=2 * ALPHA_BUDGET))
    day.reject(order("A-10"))
    for event in administrative_events(actor(T0 + 3)):
        day.log(event)
    day.admit(order("A-11", desk="desk-gamma", symbol="ETH", quantity=3, price=7), T0 + 4)
    who = actor(T0 + 5)
    day.log(who.event(EntriesHalted, reason="disk_low", free_bytes=7, reserve_bytes=8))
    day.reject(order("A-12"), T0 + 6)
    day.log(who.event(EntriesResumed, free_bytes=10))
    who = actor(T0 + 7)
    day.log(checkpoint_taken(who))
    day.log(
        who.event(
            SessionStarted,
            epoch=3,
            software_version="9.9.9",
            recovered_sequence=41,
            recovered_hash="cd" * 32,
            after_clean_stop=False,
            cuts=[],
            checkpoint_sequence=38,
        )
    )
    return day
