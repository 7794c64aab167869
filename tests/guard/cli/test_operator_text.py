"""What the replies of the admin endpoint look like to a person, line by line."""

from guard.admin import messages as said
from guard.cli.operator_text import text_of

UNIT = 10**8  # microcents


def desk(name: str, *prices: int | None, state: str = "active", why: tuple[str, ...] = ()) -> str:
    line = said.DeskLine(name, 9 * UNIT, UNIT, 2 * UNIT, 6 * UNIT, None, 0, state, list(why), 0)
    if prices:
        line.exposure_gross_microcents, line.day_profit_microcents = prices
    return text_of(said.DesksReply([line], None, 7)).splitlines()[1]


def test_desks_say_exposure_and_profit_where_they_are_kept() -> None:
    assert desk("d").split() == ["d", "9.00", "1.00", "2.00", "6.00", "active"]
    known = desk("d", 5 * UNIT, -UNIT).split()
    assert known == ["d", "9.00", "1.00", "2.00", "6.00", "5.00", "-1.00", "active"]


def test_a_desk_is_reducing_for_each_reason_once() -> None:
    line = desk("d", state="reducing", why=("loss", "loss", "fees owed"))
    assert line.endswith("reducing: loss, fees owed")


def test_positions_say_what_they_would_make_where_there_is_a_price() -> None:
    lines = [
        said.PositionLine("d", symbol, 3, 3, 0, 0, 0, 0, 3, 0, UNIT, 0, 0, price, made)
        for symbol, price, made in (("A", 5, 2 * UNIT), ("B", None, None))
    ]
    text = text_of(said.PositionsReply(lines, 1, None, 7)).splitlines()
    assert text[0].split()[-1] == "unrealised"
    assert [line.split()[-1] for line in text[1:]] == ["2.00", "-"]
    bare = text_of(said.PositionsReply(lines[1:], 1, None, 7)).splitlines()
    assert bare[0].split()[-1] == "realised"
