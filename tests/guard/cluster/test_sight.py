"""How far behind a standby says that it is, in invented time."""

from guard.cluster.epochs import LogRow
from guard.cluster.sight import LOOKS_MAX, Sight
from guard.protocol.value_types import Behind
from wal import Head

S = 1_000_000_000


def row(sequence: int, beat: int, epoch: int = 1, serves_at: str = "") -> LogRow:
    head = Head(sequence, "h")
    return LogRow(epoch, "holder", head, head, beat, serves_at)


def test_before_a_second_sign_of_life_it_is_as_old_as_its_last_record() -> None:
    sight = Sight(10 * S)
    sight.fold(4, -60 * S)
    assert sight.behind(11 * S) == Behind(0, 71 * S)
    sight.fold(5, 4 * S)
    assert sight.behind(11 * S) == Behind(0, 7 * S)
    sight.look(11 * S, row(5, beat=7))
    sight.look(12 * S, row(5, beat=7))
    assert not sight.is_known
    assert sight.behind(13 * S) == Behind(0, 9 * S), "an old primary shows that for ever"


def test_a_new_sign_of_life_vouches_for_the_look_before() -> None:
    sight = Sight(0)
    sight.look(1 * S, row(5, beat=7))
    sight.look(2 * S, row(5, beat=7))
    sight.look(3 * S, row(5, beat=8))
    assert sight.behind(3 * S) == Behind(5, 3 * S), "record 5 is not folded"
    sight.fold(4, 0)
    assert sight.behind(3 * S) == Behind(1, 3 * S)
    assert not sight.is_known
    sight.fold(5, 0)
    assert sight.is_known
    assert sight.behind(3 * S) == Behind(0, 1 * S)
    sight.look(4 * S, row(9, beat=9, serves_at="tcp://a:1"))
    assert sight.behind(5 * S) == Behind(4, 3 * S)
    sight.fold(9, 0)
    assert sight.behind(5 * S) == Behind(0, 2 * S)
    assert sight.serves_at == "tcp://a:1"


def test_an_end_that_is_cut_is_caught_up_with_anew() -> None:
    sight = Sight(0)
    sight.fold(5, 0)
    sight.look(1 * S, row(5, beat=7))
    sight.look(2 * S, row(5, beat=8))
    assert sight.is_known
    sight.fold(3, 0)
    assert not sight.is_known
    sight.look(3 * S, row(6, beat=9))
    assert not sight.is_known
    sight.fold(6, 0)
    assert sight.is_known


def test_another_epoch_is_a_sign_of_life() -> None:
    sight = Sight(0)
    sight.fold(5, 0)
    sight.look(1 * S, row(5, beat=7))
    sight.look(2 * S, row(5, beat=7, epoch=2))
    assert sight.behind(2 * S) == Behind(0, 1 * S)


def test_another_node_s_row_says_nothing_of_the_looks_before() -> None:
    """What it shows may be older than what the last node showed."""
    sight = Sight(0)
    sight.fold(5, 0)
    sight.look(1 * S, row(5, beat=7))
    sight.lose()
    sight.look(5 * S, row(3, beat=3))
    assert sight.behind(6 * S) == Behind(0, 6 * S)
    sight.look(7 * S, row(3, beat=4))
    assert sight.behind(7 * S) == Behind(0, 2 * S)


def test_looks_that_are_not_caught_up_with_are_bounded() -> None:
    sight = Sight(0)
    for number in range(3 * LOOKS_MAX):
        sight.look(number * S, row(number, beat=number))
    last = 3 * LOOKS_MAX - 1
    assert sight.behind(last * S) == Behind(last, last * S)
    sight.fold(10, 0)
    assert sight.behind(last * S) == Behind(last - 10, (last - 9) * S)
    sight.fold(last, 0)
    assert sight.behind(last * S) == Behind(0, 1 * S)
