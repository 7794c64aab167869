"""The slices' rules, one by one; `tests/test_slices_sim.py` has them with all that goes wrong."""

import msgspec
import pytest

from guard.cluster.slices import (
    AMOUNT_MAX,
    Ask,
    GiveBack,
    Granted,
    Holder,
    Refused,
    SliceError,
    SliceGranted,
    SliceReturned,
    Table,
    TakenBack,
)

BUDGET = "budget/desk-alpha"
CONTACT_NS_MAX = 3_000


@pytest.fixture
def table() -> Table:
    table = Table()
    table.set_total(BUDGET, 100)
    for name in ("a", "b"):
        table.open_epoch(name, 1)
    return table


@pytest.fixture
def holder() -> Holder:
    return Holder("a", 1, CONTACT_NS_MAX)


def free(table: Table) -> tuple[int, int]:
    resource = table.resources[BUDGET]
    return resource.free, resource.total


def grant(table: Table, holder: Holder, amount: int, now_ns: int = 1) -> SliceGranted:
    """A grant, as it should go; its record, applied and durable."""
    record = holder.take(table.answer(holder.ask(BUDGET, amount, now_ns)))
    assert record is not None
    holder.apply(record)
    holder.durable(record)
    return record


def test_a_grant_and_its_return(table: Table, holder: Holder) -> None:
    assert grant(table, holder, 60) == SliceGranted(BUDGET, 1, 60)
    assert free(table) == (40, 100)
    record = holder.give_back(BUDGET, 25, used=30)
    assert record == SliceReturned(BUDGET, 1, 25)
    holder.apply(record)
    assert holder.holding(BUDGET).in_force == 35
    assert holder.untold(BUDGET, 2) is None  # a crash could take it back still
    assert free(table) == (40, 100)
    holder.durable(record)
    told = holder.untold(BUDGET, 2)
    assert told == GiveBack("a", 1, BUDGET, 1, 25, 2)
    assert holder.take(table.answer(told)) is None
    assert free(table) == (65, 100)
    assert holder.untold(BUDGET, 3) is None
    assert holder.may_give_back(BUDGET)


def test_what_is_told_twice_moves_once(table: Table, holder: Holder) -> None:
    asked = holder.ask(BUDGET, 60, 1)
    first, second = table.answer(asked), table.answer(asked)
    assert first == second == Granted(asked, 60, 0)
    record = holder.take(first)
    assert record is not None
    holder.apply(record)
    assert holder.take(second) is None
    holder.durable(record)
    back = holder.give_back(BUDGET, 60, used=0)
    holder.apply(back)
    holder.durable(back)
    told = holder.untold(BUDGET, 2)
    assert told is not None
    assert table.answer(told) == table.answer(told) == TakenBack(told, 0)
    assert free(table) == (100, 100)


def test_a_successor_is_given_what_its_log_lacks(table: Table, holder: Holder) -> None:
    table.answer(holder.ask(BUDGET, 60, 1))  # and the answer is lost, with the holder
    table.open_epoch("a", 2)
    successor = Holder("a", 2, CONTACT_NS_MAX)
    successor.recovered()
    answer = table.answer(successor.ask(BUDGET, 0, 1))
    assert successor.take(answer) == SliceGranted(BUDGET, 1, 60)
    assert free(table) == (40, 100)


def test_a_successor_tells_the_last_return_again(table: Table, holder: Holder) -> None:
    granted = grant(table, holder, 60)
    table.open_epoch("a", 2)
    successor = Holder("a", 2, CONTACT_NS_MAX)
    for record in (granted, SliceReturned(BUDGET, 1, 60)):
        successor.apply(record)
    successor.recovered()
    assert not successor.may_give_back(BUDGET)
    told = successor.untold(BUDGET, 9)
    assert told is not None
    table.answer(told)
    assert free(table) == (100, 100)


def test_an_older_epoch_is_refused(table: Table, holder: Holder) -> None:
    grant(table, holder, 60)
    table.open_epoch("a", 2)
    answer = table.answer(holder.ask(BUDGET, 10, 2))
    assert isinstance(answer, Refused)
    assert (answer.code, answer.why) == ("fenced", "epoch 1; in force is 2")
    assert holder.take(answer) is None
    assert holder.is_reducing(2)
    with pytest.raises(SliceError, match="epoch: 2 is not allowed; allowed: above 2"):
        table.open_epoch("a", 2)


def test_no_more_is_given_than_is_free(table: Table, holder: Holder) -> None:
    other = Holder("b", 1, CONTACT_NS_MAX)
    grant(table, other, 70)
    assert grant(table, holder, 60).amount == 30
    asked = holder.ask(BUDGET, 1, 2)
    assert table.answer(asked) == Granted(asked, 0, 0)
    assert holder.take(table.answer(asked)) is None
    answer = table.answer(other.ask(BUDGET, 0, 2))
    assert answer == Granted(answer.asked, 0, 20)  # beyond its half; a wish
    assert other.take(answer) is None
    assert other.wanted_back == {BUDGET: 20}


def test_a_total_comes_down_as_slices_return(table: Table, holder: Holder) -> None:
    grant(table, holder, 60)
    table.set_total(BUDGET, 50)
    assert free(table) == (0, 60)
    record = holder.give_back(BUDGET, 30, used=0)
    holder.apply(record)
    holder.durable(record)
    told = holder.untold(BUDGET, 2)
    assert told is not None
    table.answer(told)
    assert free(table) == (20, 50)
    table.set_total(BUDGET, 80)
    assert free(table) == (50, 80)
    with pytest.raises(SliceError, match="total: -1 is not allowed; allowed: 0 to "):
        table.set_total(BUDGET, -1)


def test_not_more_is_returned_than_is_free(table: Table, holder: Holder) -> None:
    grant(table, holder, 60)
    for amount in (0, 31):
        with pytest.raises(SliceError, match=f"amount: {amount} is not allowed; allowed: 1 to 30"):
            holder.give_back(BUDGET, amount, used=30)
    holder.apply(holder.give_back(BUDGET, 10, used=30))
    with pytest.raises(SliceError, match="return 1 of budget/desk-alpha is under way"):
        holder.give_back(BUDGET, 10, used=30)


def test_the_next_grant_waits_for_the_record_of_the_last(table: Table, holder: Holder) -> None:
    record = holder.take(table.answer(holder.ask(BUDGET, 10, 1)))
    assert record is not None
    holder.apply(record)
    assert holder.ask(BUDGET, 10, 2).number == 1
    holder.durable(record)
    assert holder.ask(BUDGET, 10, 3).number == 2


def test_silence_is_counted_from_the_question(table: Table, holder: Holder) -> None:
    assert holder.is_reducing(0)
    answer = table.answer(holder.ask(BUDGET, 0, 1_000))
    holder.take(answer)  # at whatever time it comes
    assert not holder.is_reducing(1_000 + CONTACT_NS_MAX - 1)
    assert holder.is_reducing(1_000 + CONTACT_NS_MAX)
    holder.take(table.answer(holder.ask(BUDGET, 0, 500)))  # older: tells nothing new
    assert holder.is_reducing(1_000 + CONTACT_NS_MAX)


def test_an_answer_to_another_counts_for_nothing(table: Table, holder: Holder) -> None:
    other = Holder("b", 1, CONTACT_NS_MAX)
    assert holder.take(table.answer(other.ask(BUDGET, 10, 1))) is None
    successor = Holder("a", 2, CONTACT_NS_MAX)
    assert successor.take(table.answer(holder.ask(BUDGET, 10, 1))) is None
    assert holder.is_reducing(1)
    assert successor.is_reducing(1)


def test_a_log_that_lost_records_is_found_out(table: Table, holder: Holder) -> None:
    for _ in range(2):
        grant(table, holder, 10)
    restored = Holder("a", 1, CONTACT_NS_MAX)  # of an older copy of the log
    answer = table.answer(restored.ask(BUDGET, 0, 1))
    assert isinstance(answer, Refused)
    assert (answer.code, answer.why) == ("holder_behind", "number 1; the table's last is 2")
    restored.take(answer)
    assert restored.broken == answer
    assert restored.is_reducing(1)
    # The same to one whose log has gone on since: a question that came late.
    holder.take(answer)
    assert holder.broken is None


def test_a_table_that_lost_rows_is_found_out(table: Table, holder: Holder) -> None:
    for _ in range(2):
        grant(table, holder, 10)
    answer = msgspec.structs.replace(holder.ask(BUDGET, 5, 1), number=9)
    refused = table.answer(answer)
    assert isinstance(refused, Refused)
    assert (refused.code, refused.why) == ("table_behind", "number 9; the table's last is 2")


def test_another_amount_under_a_number_is_a_conflict(table: Table, holder: Holder) -> None:
    grant(table, holder, 60)
    told = GiveBack("a", 1, BUDGET, 1, 20, 1)
    assert table.answer(told) == TakenBack(told, 0)
    for other in (GiveBack("a", 1, BUDGET, 1, 21, 1), GiveBack("a", 1, BUDGET, 2, 41, 1)):
        answer = table.answer(other)
        assert isinstance(answer, Refused)
        assert answer.code == "conflict"
    assert free(table) == (60, 100)


def test_who_and_what_is_not_known(table: Table, holder: Holder) -> None:
    answer = table.answer(Ask("nobody", 1, BUDGET, 1, 1, 1))
    assert isinstance(answer, Refused)
    assert answer.code == "unknown_holder"
    answer = table.answer(holder.ask("budget/none", 1, 1))
    assert isinstance(answer, Refused)
    assert answer.code == "unknown_resource"
    holder.take(answer)
    assert holder.broken is None


def test_records_that_do_not_follow_are_refused(holder: Holder) -> None:
    for record, why in (
        (SliceGranted(BUDGET, 2, 1), "number: 2 is not allowed; allowed: 1"),
        (SliceGranted(BUDGET, 1, 0), f"amount: 0 is not allowed; allowed: 1 to {AMOUNT_MAX}"),
        (SliceReturned(BUDGET, 1, 1), "amount: 1 is not allowed; allowed: 1 to 0"),
    ):
        with pytest.raises(SliceError, match=why):
            holder.apply(record)
    holder.apply(SliceGranted(BUDGET, 1, AMOUNT_MAX))
    with pytest.raises(SliceError, match="amount: 1 is not allowed; allowed: 0 to 0"):
        holder.ask(BUDGET, 1, 1)
