"""Records of early facts, debts and amendments that no guard writes: refused, whoever has the key.

A start and a replay refuse each; what only a decision tells, a replay alone.
"""

from pathlib import Path
from typing import NamedTuple

import pytest

from guard.recovery.recover import NotOurLogError, fold_log
from guard.replay.replay import ReplayMismatch, replay_log
from guard_day_support import facts_day
from guard_support import KEY, describe, fold, write_log
from wal import ChainHasher, WalDamage

DAY = facts_day()
HASHER = ChainHasher(KEY)


class Forged(NamedTuple):
    """In record `at` `old` becomes `new`, once; `words`: of the complaint."""

    at: int
    old: str
    new: str
    words: str

    def records(self) -> list[bytes]:
        data = DAY.records[self.at - 1]
        changed = data.replace(self.old.encode(), self.new.encode(), 1)
        assert changed != data
        return [*DAY.records[: self.at - 1], changed, *DAY.records[self.at :]]


COLLECTED, FEE = "collected_microcents", "fee_microcents"
REFUSED = [
    Forged(8, '["unknown","uncharged"]', '["unknown","busted"]', "answer.flags: 'busted'"),
    Forged(9, f'"unpaid_{FEE}":0', f'"unpaid_{FEE}":5', "0 of a fee that is not charged"),
    Forged(8, '"repeat":false', f'"repeat":false,"{COLLECTED}":1', "which owes 0"),
    Forged(8, '"repeat":false', f'"repeat":false,"{COLLECTED}":0', "none: nothing is owed"),
    Forged(10, '["early"]', '["late"]', "answer.flags: 'late' is not allowed"),
    Forged(10, '["early"]', "[]", "answer.flags: '' is not allowed"),
    Forged(10, '"released_microcents":0', '"released_microcents":1', "cancels early what cannot"),
    Forged(10, ',"flags":["early"]', "", "releases an order that is not open"),
    Forged(12, '"fill_id":"F-1"', '"fill_id":"F-2"', "(answer.fill_id|where the early fill)"),
    Forged(17, f'"{COLLECTED}":50000000', f'"{COLLECTED}":100000001', "answers Overrun"),
    Forged(17, f'"{COLLECTED}":50000000', f'"{COLLECTED}":-1', "to the debt, 100000000"),
    Forged(18, f'"{COLLECTED}":6', f'"{COLLECTED}":5', "5 is not allowed; allowed: 6"),
    Forged(18, f',"{COLLECTED}":6', "", f"{COLLECTED}: .* is not allowed; allowed: 6"),
    Forged(18, f'"{COLLECTED}":6', f'"{COLLECTED}":0', f"{COLLECTED}: 0 is not allowed"),
    Forged(19, '"fee_bound_bps":10000', '"fee_bound_bps":10001', "fee_bound_bps: 10001 is not"),
    Forged(19, '"desk":"desk-beta"', '"desk":"nobody"', "desk nobody was never opened"),
    Forged(20, f'"{COLLECTED}":49999994', f'"{COLLECTED}":49999995', "which owes 49999994"),
    Forged(22, f'"{FEE}":9000000000', f'"{FEE}":9000000001', f"{FEE}: 9000000001 is not allowed"),
    Forged(22, '"fill_sequence":21', '"fill_sequence":20', "fill_sequence: 20 is not allowed"),
    Forged(22, '"fill_id":"F-3"', '"fill_id":"F-1"', "its fee was charged when it was recorded"),
    Forged(22, '"fill_id":"F-3"', '"fill_id":"F-4"', "no such fill is known"),
    Forged(22, '"fill_id":"F-3"', '"fill_id":"F 3"', "fill_id: 'F 3' is not allowed"),
    Forged(23, '"quantity":11', '"quantity":0', "quantity: 0 is not allowed; allowed: int >= 1"),
    Forged(23, '"returned_microcents":4', '"returned_microcents":5', "returned_microcents: 5 is"),
    Forged(23, f'"{FEE}":8999999996', f'"{FEE}":9000000000', "returned_microcents: 4 is not"),
    Forged(24, '"returned_microcents":7', f'"returned_microcents":7,"{COLLECTED}":1', COLLECTED),
    Forged(24, '"fill_id":"F-1"', '"fill_id":"F-3"', "fill_sequence: 12 is not allowed"),
]  # fmt: skip
# What a start takes as it is said, and a replay decides otherwise.
DECIDED = [
    Forged(8, '["unknown","uncharged"]', '["unknown"]', "differs from byte"),
    Forged(12, '["early"]', "[]", "differs from byte"),
    Forged(17, f'"{COLLECTED}":50000000', f'"{COLLECTED}":49999999', "differs from byte"),
    Forged(21, '["uncharged"]', "[]", "differs from byte"),
]


def name_of(forged: Forged) -> str:
    return f"{forged.at} {forged.new}"


@pytest.mark.parametrize("forged", REFUSED, ids=name_of)
def test_a_start_and_a_replay_refuse_it(forged: Forged, tmp_path: Path) -> None:
    write_log(tmp_path, forged.records())
    words = f"record {forged.at}: .*{forged.words}"
    with pytest.raises(NotOurLogError, match=words):
        fold_log(tmp_path, HASHER)
    with pytest.raises(ReplayMismatch, match=f"record {forged.at}"):
        replay_log(tmp_path, HASHER)


@pytest.mark.parametrize("forged", DECIDED, ids=name_of)
def test_a_replay_decides_otherwise(forged: Forged, tmp_path: Path) -> None:
    write_log(tmp_path, forged.records()[: forged.at])
    with pytest.raises(WalDamage, match=f"record {forged.at}: .*{forged.words}"):
        replay_log(tmp_path, HASHER)
    assert fold_log(tmp_path, HASHER)[0].state.next_sequence == forged.at + 1


def test_the_day_itself_is_taken(tmp_path: Path) -> None:
    write_log(tmp_path, DAY.records)
    engine = replay_log(tmp_path, HASHER).engine
    assert describe(engine.state) == describe(DAY.state) == describe(fold(DAY.records).state)
