"""Fills and executions in any order, twice, differing and late, against a plain count of trades."""

import io
import random

import pytest

from execution_support import COPIED, LOTS, PRICE, execution
from guard.engine.engine import Engine
from guard.engine.positions import BUY, SELL
from guard.protocol.messages import Executed, Filled
from guard.recovery.checkpoint_payload import decode_state, encode_state
from guard_limits_support import T0, limited
from guard_support import LoggedEngine, balances, cancel, describe, fill, fold, order
from position_support import position

STEPS = 40
SIDES = {"A-1": "buy", "A-2": "sell", "A-3": "buy"}


class Trades:
    """What the page says, counted trade by trade; of the guard it knows nothing."""

    def __init__(self) -> None:
        self.fills: dict[tuple[str, str], int] = {}
        self.executions: dict[tuple[str, str], int] = {}
        self.filled = dict.fromkeys(SIDES, 0)
        self.is_open = dict.fromkeys(SIDES, True)
        self.is_latched = False

    def fill(self, name: str, trade: str, lots: int) -> bool:
        """A fill; was it known, with the same content or another?"""
        key = name, trade
        if key in self.fills:
            return False
        self.fills[key] = lots
        if key in self.executions:
            self.is_latched |= self.executions[key] != lots
        else:
            self._fill_up(name, lots)
        return True

    def execution(self, name: str, trade: str, lots: int) -> bool:
        """The same of an execution."""
        key = name, trade
        if key in self.executions:
            return False
        self.executions[key] = lots
        more = lots
        if key in self.fills:
            self.is_latched |= self.fills[key] != lots
            more = max(0, lots - self.fills[key])
        self._fill_up(name, more)
        return True

    def _fill_up(self, name: str, lots: int) -> None:
        self.filled[name] += lots
        if self.filled[name] >= LOTS:
            self.is_open[name] = False

    def position(self) -> int:
        counted = {**self.fills, **self.executions}  # the execution counts where both are there
        return sum(
            lots * (1 if SIDES[name] == "buy" else -1) for (name, _), lots in counted.items()
        )

    def working(self, side: str) -> int:
        return sum(
            max(0, LOTS - self.filled[name])
            for name, of in SIDES.items()
            if of == side and self.is_open[name]
        )

    def held(self, side_notional: int) -> int:
        return sum(
            side_notional - side_notional * self.filled[name] // LOTS
            for name in SIDES
            if self.is_open[name]
        )


def _restored(engine: LoggedEngine) -> None:
    """The guard goes on from a checkpoint."""
    data = b"".join(encode_state(engine.state))
    state = decode_state(io.BytesIO(data).read)
    assert describe(state) == describe(engine.state)
    engine.engine = Engine(state)


def _play(engine: LoggedEngine, trades: Trades, dice: random.Random) -> None:
    name = dice.choice(list(SIDES))
    trade = f"{name}-{dice.randrange(6)}"  # an execution's identity is of its desk, not its order
    lots = dice.choice((10, 10, 10, 25))
    what = dice.randrange(20)
    if what == 0 and trades.is_open[name]:
        engine.submit(cancel(name))
        trades.is_open[name] = False
    elif what == 1:
        _restored(engine)
    elif what < 11:
        said = dice.choice((None, PRICE))
        reply = engine.submit(fill(trade, lots, 0, client_order_id=name, price=said))
        if isinstance(reply, Filled) and not reply.repeat:
            assert trades.fill(name, trade, lots)
        else:
            assert (name, trade) in trades.fills
    else:
        request = execution(trade, lots, client_order_id=name, side=SIDES[name])
        reply = engine.submit(request)
        if isinstance(reply, Executed) and not reply.repeat:
            assert trades.execution(name, trade, lots)
        else:
            assert (name, trade) in trades.executions


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("is_copied", [False, True])
def test_any_order_of_events_counts_each_trade_once(seed: int, is_copied: bool) -> None:
    dice = random.Random(seed)
    engine = limited(COPIED) if is_copied else LoggedEngine()
    engine.is_checked = False
    trades = Trades()
    notional = 0
    for name, side in SIDES.items():
        notional = engine.admit(order(name, side=side), T0).notional_microcents
    for _ in range(STEPS):
        _play(engine, trades, dice)
        got = position(engine)
        assert got[0] == trades.position()
        assert got[2:4] == (trades.working("buy"), trades.working("sell"))
        assert balances(engine.state)[1] == trades.held(notional)
        assert engine.state.has_latches == trades.is_latched
        kept = engine.state.positions
        assert kept.reducible(0, SELL) <= max(0, got[0])
        assert kept.reducible(0, BUY) <= max(0, -got[0])
    assert describe(fold(engine.records).state) == describe(engine.state)
