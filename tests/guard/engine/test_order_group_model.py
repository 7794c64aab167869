"""Random orders together, held against the same orders one after another on a copy of the state.

They are admitted if, and only if, each would be admitted in its turn; and then the state is what it
would be, and each order's answer, but for the numbers of records.
"""

import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from guard.engine.engine import Engine
from guard.protocol.messages import Admit, Order, Reject
from guard.recovery.checkpoint_payload import decode_state, encode_state, state_digest_hex
from guard_limits_support import limited
from guard_support import LoggedEngine, cancel, describe, fill, fold, order, status
from log_checks_support import checked
from order_group_support import together

# Each of these is met now and then.
TEXT = """quantity_max = 90
value_max = "none"
price_collar_bps = 2000
reference_age_max_ms = "none"
revalue_bps = 50
[limits.desk.desk-alpha]
duplicate_window_ms = 2000
open_orders_max = 6
exposure_gross_max = "60000.00"
exposure_net_max = "40000.00"
rates = [
    { kind = "orders", max = 6, window_ms = 5000 },
    { kind = "notional", max = "70000.00", window_ms = 20000 },
]
self_match = "flag"
[limits.desk.desk-alpha.symbol.AAPL]
position_long_max = 150
position_short_max = 120
self_match = "refuse"
"""
MARKS = {"AAPL": (19_000, 1), "BTC-USD": (6_000_000, 1)}
STEP_NS = 400_000_000

ids = st.integers(0, 400)
orders = st.lists(
    st.tuples(
        ids,
        st.sampled_from(["AAPL"] * 28 + ["BTC-USD"] * 10 + ["NONE"]),
        st.sampled_from(["buy", "buy", "sell"]),
        st.sampled_from([1, 2, 5, 10, 15, 20, 25, 30, 40, 60, 90] * 3 + [91]),
        st.integers(-300, 300),  # from the mark
        st.sampled_from([10] * 28 + [20, 77]),
        st.sampled_from([200] * 35 + [9_700]),
    ),
    min_size=2,
    max_size=7,
)
steps = st.lists(
    st.one_of(
        orders,
        orders,
        st.tuples(st.just("fill"), st.integers(0, 9), st.integers(1, 60)),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("mark"), st.integers(17_000, 21_000)),
    ),
    min_size=3,
    max_size=14,
)


def asked_for(tuples: list[tuple[Any, ...]]) -> list[Order]:
    """The orders, each under another id."""
    found: dict[str, Order] = {}
    for number, symbol, side, quantity, away, venue, risk_bps in tuples:
        price = 19_000 if symbol != "BTC-USD" else 6_000_000
        price += 400 if side == "sell" else 0
        found[f"N-{number}"] = order(
            f"N-{number}", symbol=symbol, side=side, quantity=quantity, venue=venue,
            price=price + away, risk_bps=risk_bps,
        )  # fmt: skip
    return list(found.values())


def a_copy(engine: LoggedEngine) -> LoggedEngine:
    """The same state, as a checkpoint gives it, without the records."""
    copied = limited(TEXT, dict(engine.marks))
    state = decode_state(io.BytesIO(b"".join(encode_state(engine.state))).read)
    copied.engine, copied.now_ns, copied.is_checked = Engine(state), engine.now_ns, False
    return copied


def but_for_records(state: Any) -> dict[str, Any]:
    """All of a state that does not say which record it is from."""
    told = describe(state)
    for name in ("next_sequence", "orders"):
        del told[name]
    return told


def in_turn(copied: LoggedEngine, asked: list[Order]) -> list[Any]:
    """What they are answered one after another, up to the first that is not admitted."""
    answers: list[Any] = []
    for each in asked:
        answers.append(copied.submit(each))
        if not isinstance(answers[-1], Admit) or answers[-1].repeat:
            break
    return answers


def alike(answer: Any) -> Any:
    return structs.replace(answer, wal_sequence=0)


def play(engine: LoggedEngine, asked: list[Order]) -> None:
    copied = a_copy(engine)
    known = [each for each in asked if copied.submit(status(each.client_order_id)).answer]
    answers = in_turn(copied, asked)
    told = together(engine, *asked)
    if told.repeat:
        assert len(known) == len(asked)
        return
    if known:
        assert told.refused_index == asked.index(known[0])
        assert told.answers[told.refused_index].reason == "client_order_id_reused"
        return
    is_admitted = all(isinstance(answer, Admit) for answer in answers)
    assert (told.refused_index is None) == is_admitted
    if is_admitted:
        assert [alike(each) for each in told.answers] == [alike(each) for each in answers]
        assert but_for_records(engine.state) == but_for_records(copied.state)
        return
    assert told.refused_index == len(answers) - 1
    refused = told.answers[told.refused_index]
    assert isinstance(refused, Reject)
    assert alike(refused) == alike(answers[-1])
    others = [each for each in told.answers if each is not refused]
    assert all(each.reason == "all_or_none_refused" for each in others)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps)
def test_together_is_as_one_after_another_or_not_at_all(plan: list[Any]) -> None:
    engine = limited(TEXT, dict(MARKS))
    engine.is_checked = False
    names = ["N-0"]
    for number, step in enumerate(plan):
        engine.now_ns += STEP_NS
        if isinstance(step, list):
            asked = asked_for(step)
            play(engine, asked)
            names += [each.client_order_id for each in asked]
        elif step[0] == "fill":
            name = names[-1 - step[1] % len(names)]
            engine.submit(fill(f"F-{number}", step[2], 0, client_order_id=name))
        elif step[0] == "cancel":
            engine.submit(cancel(names[-1 - step[1] % len(names)]))
        else:
            engine.marks["AAPL"] = (step[1], 1)
    assert state_digest_hex(fold(engine.records).state) == state_digest_hex(engine.state)
    with TemporaryDirectory() as directory:
        checked(engine, Path(directory))
