"""A duty that fails: what is tolerated, and when it is told."""

import pytest

from guard.process.duties import REST_NS, Duty
from kernel import InvariantError
from wal import WalError, WalPoisoned

SECOND_NS = 1_000_000_000
POISONED = WalPoisoned("write", 1, 1, 0, 1, 0, "No space left on device")


class Telling:
    """A duty that does as the test says, and what is said of it."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.lines: list[str] = []
        self.duty = Duty("the anchor", self.do)

    def do(self) -> None:
        if self.error is not None:
            raise self.error

    def at(self, seconds: float, error: Exception | None = None) -> list[str]:
        """The lines of one beat at that time."""
        self.error, self.lines = error, []
        now_ns = int(seconds * SECOND_NS)
        went_well = self.duty.perform(now_ns, self.lines.append, self.lines.append)
        assert went_well is (error is None)
        return self.lines


FAILS = ["the anchor fails; orders go on, it is tried again at each beat: its disk is full"]
ERROR = WalError("its disk is full")


def test_it_is_told_once_and_when_it_works_again() -> None:
    telling = Telling()
    assert telling.at(0) == []
    assert telling.at(1, ERROR) == FAILS
    assert telling.at(2, ERROR) == telling.at(900, OSError("another")) == []
    assert telling.at(901) == ["the anchor works again; it had failed 3 times in 900.0 s"]
    assert telling.at(902) == []
    assert telling.at(903, ERROR) == FAILS
    assert telling.at(903.25) == ["the anchor works again; it had failed once in 0.2 s"]


def test_one_that_comes_and_goes_is_told_once_a_minute() -> None:
    telling = Telling()
    lines = [
        line for beat in range(0, 120, 2) for line in telling.at(beat, ERROR) + telling.at(beat + 1)
    ]
    assert len(lines) == 4
    assert REST_NS == 60 * SECOND_NS


def test_one_that_goes_on_failing_is_told_when_its_rest_is_over() -> None:
    telling = Telling()
    telling.at(0, ERROR)
    telling.at(1)
    assert telling.at(2, ERROR) == telling.at(59, ERROR) == []
    assert telling.at(60, ERROR) == FAILS
    assert telling.at(61) == ["the anchor works again; it had failed 3 times in 59.0 s"]


@pytest.mark.parametrize(
    "error", [OSError(5, "x"), WalError("x"), MemoryError(), RuntimeError("no thread")]
)
def test_what_the_environment_refuses_is_tolerated(error: Exception) -> None:
    assert len(Telling().at(0, error)) == 1


@pytest.mark.parametrize(
    "error", [POISONED, InvariantError("x"), ValueError("x"), KeyError("x"), AssertionError()]
)
def test_a_bug_and_the_log_s_own_error_are_not(error: Exception) -> None:
    with pytest.raises(type(error)):
        Telling().at(0, error)


def test_a_duty_may_tolerate_less() -> None:
    telling = Telling()
    telling.duty = Duty("the log's directory", telling.do, tolerated=(OSError,))
    telling.at(0, OSError("x"))
    with pytest.raises(WalError):
        telling.at(1, ERROR)
