"""Random histories of replaces, facts and restarts, held against a plain account of them.

The account below knows the protocol page (5.2) and no code of the guard: of each order that a
client has at the venue it has who stands, who waits, and what was filled; what is held and what
works follow from these, whichever way they came about.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from form_support import played
from guard.protocol.messages import Admit, ErrorReply, Reduce, Reject
from guard.recovery.checkpoint_payload import decode_state, encode_state, state_digest_hex
from guard_support import LoggedEngine, balances, cancel, fill, order, status
from log_checks_support import checked
from position_support import position
from replace_support import DESK, rejected, replace, replaced

PRICES = (18_999, 19_000, 19_001)
MICROCENTS_PER_TICK = 1_000_000  # of a lot
BUDGET_LOTS = 120
IDS = 12


@dataclass
class Version:
    """One order of those that replace each other; `off`: lots that were taken off it."""

    name: str
    quantity: int
    price: int
    worth: int
    off: int = 0

    def left(self, filled: int) -> int:
        return max(0, self.quantity - self.off - filled)

    def holds(self, filled: int) -> int:
        """Rounded against the desk."""
        return -(-self.worth * self.left(filled) // self.quantity)


@dataclass
class Working:
    """What is one order at the venue."""

    stands: Version
    waits: Version | None = None
    filled: int = 0
    is_open: bool = True
    names: list[str] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)  # of a replace what the venue said

    def live(self) -> list[Version]:
        return [self.stands] if self.waits is None else [self.stands, self.waits]

    def left(self) -> int:
        return max(one.left(self.filled) for one in self.live()) if self.is_open else 0

    def holds(self) -> int:
        return max(one.holds(self.filled) for one in self.live()) if self.is_open else 0

    def close_if_done(self) -> None:
        self.is_open = self.is_open and self.left() > 0


class Account:
    """All of a desk's, and what it has bought."""

    def __init__(self) -> None:
        self.of: dict[str, Working] = {}
        self.refused: set[str] = set()
        self.bought = 0

    def all(self) -> list[Working]:
        return list({id(one): one for one in self.of.values()}.values())

    def held(self) -> int:
        return sum(one.holds() for one in self.all())

    def works(self) -> int:
        return sum(one.left() for one in self.all())

    def free(self, budget: int) -> int:
        return budget - self.held()


def worth(quantity: int, price: int) -> int:
    return quantity * price * MICROCENTS_PER_TICK


names = st.integers(0, IDS - 1).map(lambda number: f"N-{number}")
lots = st.integers(1, 60)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("order"), names, lots, st.sampled_from(PRICES)),
        st.tuples(st.just("replace"), names, names, lots, st.sampled_from(PRICES)),
        st.tuples(st.just("replace"), names, names, lots, st.sampled_from(PRICES)),
        st.tuples(st.just("fill"), names, lots),
        st.tuples(st.just("reduce"), names, lots),
        st.tuples(st.just("cancel"), names),
        st.tuples(st.just("replaced"), names),
        st.tuples(st.just("rejected"), names),
        st.tuples(st.just("restart")),
    ),
    max_size=40,
)


class Play:
    """The guard beside the account."""

    def __init__(self) -> None:
        self.engine = LoggedEngine()
        self.engine.is_checked = False
        self.account = Account()
        self.count = 0
        # So much budget that money refuses now and then.
        line = self.engine.state.ledger.line(DESK)
        assert line is not None
        self.budget = worth(BUDGET_LOTS, PRICES[1])
        blocker = (min(line.cap, line.remaining) - self.budget) // worth(1, PRICES[1])
        self.engine.admit(order("blocker", quantity=blocker))
        self.blocked = balances(self.engine.state)[1]
        self.cap = min(line.cap, line.initial) - self.blocked
        self.blocked_lots = blocker

    def step(self, what: str, *args: object) -> None:
        self.count += 1
        getattr(self, what)(*args)
        self.check()

    def order(self, name: str, quantity: int, price: int) -> None:
        account = self.account
        answer = self.engine.submit(order(name, quantity=quantity, price=price))
        if name in account.of or name in account.refused:
            return
        if worth(quantity, price) > account.free(self.cap):
            assert isinstance(answer, Reject)
            account.refused.add(name)
            return
        assert isinstance(answer, Admit)
        one = Version(name, quantity, price, worth(quantity, price))
        account.of[name] = Working(one, names=[name])

    def replace(self, name: str, original: str, quantity: int, price: int) -> None:
        account = self.account
        answer = self.engine.submit(replace(name, original, quantity=quantity, price=price))
        if name in account.of or name in account.refused:
            return  # its first answer again, or another order's id
        working = account.of.get(original)
        if working is None or not working.is_open or working.waits is not None:
            assert isinstance(answer, ErrorReply)
            return
        if working.stands.name != original:
            assert answer.code == "order_replaced"
            return
        old, new = working.stands, Version(name, quantity, price, worth(quantity, price))
        lowers = new.left(working.filled) <= old.left(working.filled) and price <= old.price
        if lowers:
            new.worth = min(new.worth, max(1, old.worth * quantity // old.quantity))
        more = max(0, new.holds(working.filled) - working.holds())
        if not lowers and more > account.free(self.cap):
            assert isinstance(answer, Reject), answer
            account.refused.add(name)
            return
        assert isinstance(answer, Admit), answer
        assert more == 0 or not lowers
        working.waits = new
        working.names.append(name)
        account.of[name] = working

    def fill(self, name: str, quantity: int) -> None:
        working = self.account.of.get(name)
        if working is None:
            return
        told = self.engine.submit(fill(f"F-{self.count}", quantity, 0, client_order_id=name))
        before = working.holds()
        working.filled += quantity
        self.account.bought += quantity
        working.close_if_done()
        assert (told.open_quantity, told.hold_microcents) == (working.left(), working.holds())
        assert told.released_microcents == before - working.holds()
        again = self.engine.submit(
            fill(f"F-{self.count}", quantity, 0, client_order_id=working.names[0])
        )
        assert again.repeat

    def reduce(self, name: str, quantity: int) -> None:
        working = self.account.of.get(name)
        if working is None:
            return
        told = self.engine.submit(Reduce(DESK, name, f"R-{self.count}", quantity))
        one = next((one for one in working.live() if one.name == name), None)
        if one is not None and working.is_open:
            one.off += min(quantity, one.left(working.filled))
            working.close_if_done()
        assert (told.open_quantity, told.hold_microcents) == (working.left(), working.holds())

    def cancel(self, name: str) -> None:
        working = self.account.of.get(name)
        if working is None:
            return
        told = self.engine.submit(cancel(name))
        if working.is_open:
            assert told.released_microcents == working.holds()
            working.is_open = False

    def replaced(self, name: str) -> None:
        self._settle(name, "replaced")

    def rejected(self, name: str) -> None:
        self._settle(name, "rejected")

    def _settle(self, name: str, word: str) -> None:
        request = replaced(name) if word == "replaced" else rejected(name)
        answer = self.engine.submit(request)
        working = self.account.of.get(name)
        if working is None or working.names[0] == name:
            assert isinstance(answer, ErrorReply)
            return
        said = working.said.get(name)
        if said is not None:
            assert answer.repeat if said == word else answer.code == "replace_settled"
            return
        working.said[name] = word
        assert working.waits is not None
        if word == "replaced":
            working.stands = working.waits
        working.waits = None
        assert answer.flags == ([] if working.is_open else ["late"])
        working.close_if_done()
        assert (answer.open_quantity, answer.hold_microcents) == (working.left(), working.holds())

    def restart(self) -> None:
        """What a checkpoint holds goes on, in the place of the state."""
        engine = self.engine
        wanted = state_digest_hex(engine.state)
        engine.restart()
        data = b"".join(encode_state(engine.state))
        engine.engine.state = decode_state(io.BytesIO(data).read)
        assert wanted != state_digest_hex(engine.state)  # a session more

    def check(self) -> None:
        account, state = self.account, self.engine.state
        assert balances(state)[1] - self.blocked == account.held()
        bought, _, works, _, *_ = position(self.engine)
        assert (bought, works - self.blocked_lots) == (account.bought, account.works())
        open_count = state.orders.shares.of(state.desks[DESK].share).open_count
        assert open_count == 1 + sum(one.is_open for one in account.all())
        for name, working in account.of.items():
            told = self.engine.submit(status(name))
            assert told.state == ("open" if working.is_open else "closed")
            assert (told.open_quantity, told.hold_microcents) == (working.left(), working.holds())
            assert told.filled_quantity == working.filled


@given(steps)
@settings(max_examples=played(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_held_and_works_is_what_the_account_says(played: list[tuple[object, ...]]) -> None:
    play = Play()
    for what, *args in played:
        play.step(str(what), *args)
    with TemporaryDirectory() as directory:
        checked(play.engine, Path(directory))
