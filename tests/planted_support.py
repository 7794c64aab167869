"""A bug planted in the source as it runs: found as a day is played, and as it is replayed."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from guard import GUARD_FORM
from guard.replay.replay import replay_log
from guard_support import KEY, write_log
from wal import ChainHasher

interpreted = pytest.mark.skipif(
    GUARD_FORM == "compiled", reason="what is compiled calls itself, whatever stands in its place"
)


def check_found(
    bug: tuple[Any, str, Any],
    played: Callable[[], list[bytes]],
    records: list[bytes],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    ends: tuple[type[Exception], ...],
) -> pytest.ExceptionInfo[Exception]:
    """With the bug the day is not `records`; or `ends` end it, whatever these are. What its replay
    raises then, which it must.
    """
    hasher = ChainHasher(KEY)
    write_log(place, records)
    assert replay_log(place, hasher).engine.next_sequence == len(records) + 1
    monkeypatch.setattr(*bug)
    with suppress(*ends):  # nothing goes on: found, too
        assert played() != records, "played with it, the day is the same"
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whoever calls says which
        replay_log(place, hasher)
    return caught
