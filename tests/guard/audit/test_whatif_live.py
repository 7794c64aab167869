"""What-if beside days played live on recorded flow: close, between the extremes, the same again.

A part of the recording under few rules; `tests/bench/check_whatif.py` takes all of it.
"""

import tempfile
from itertools import islice
from pathlib import Path

import pytest

from audit_support import HASHER
from guard.audit.lives import LifeBook
from guard.config.file import Config
from guard.demo.flow import Step, read_steps
from guard.replay.replay import replay_log
from guard_support import write_log
from whatif_support import compare, demo_config, limits_config, play, what_if

STEPS_TAKEN = 9_000
CAPS = {"desk-alpha": "250000.00", "desk-beta": "200000.00", "desk-delta": "150000.00"}
HIGHER = {"desk-alpha": "500000.00", "desk-beta": "400000.00", "desk-delta": "300000.00"}
LOWER = {"desk-alpha": "200000.00", "desk-beta": "150000.00", "desk-delta": "100000.00"}
RISK = ("hard_risk_limit_bps = 9_000", "hard_risk_limit_bps = 400")


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    return list(islice(read_steps(), STEPS_TAKEN))


@pytest.mark.slow
@pytest.mark.parametrize("tells_refused", [False, True])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (limits_config(CAPS), limits_config(HIGHER)),
        (limits_config(CAPS), limits_config(LOWER)),
        (limits_config(CAPS), limits_config(CAPS, {"desk-gamma": "300000.00"})),
        (limits_config(CAPS), demo_config(RISK)),
    ],
    ids=["caps raised", "caps lowered", "a budget lowered", "a risk limit lowered"],
)
def test_close_to_the_day_played_live(
    steps: list[Step], before: Config, after: Config, tells_refused: bool
) -> None:
    found = compare(steps, before, after, tells_refused=tells_refused)
    assert found.live != found.recorded
    assert found.is_close, found
    assert found.is_bounded, found


@pytest.mark.slow
def test_the_same_log_gives_the_same_estimate(steps: list[Step]) -> None:
    day = play(steps[:3_000], limits_config(LOWER))
    first = what_if(day, limits_config(HIGHER))
    assert first["assumed"]["newly_admitted"] > 0
    assert what_if(day, limits_config(HIGHER)) == first


@pytest.mark.slow
def test_few_orders_are_kept(steps: list[Step]) -> None:
    day = play(steps[:3_000], limits_config(LOWER))
    book = LifeBook(lives_max=64, tried_max=16)
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        write_log(log, day.records)
        replay_log(log, HASHER, observe=book.observe)
    book.finish()
    assert len(book._closed) <= 64
    assert len(book._tried) <= 16
