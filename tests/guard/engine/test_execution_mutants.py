"""Planted bugs of drop copies, latches and rates of facts: each is found by a test of theirs."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from execution_support import plain
from guard.engine import execution, fact_rates
from guard.engine.executions import Executions, Unreported
from guard.engine.latches import Latches
from guard.engine.repeated import Repeated
from kernel import InvariantError

Test = Callable[[], Any]


def _tests_of(name: str) -> Any:
    """The module of tests of that name beside this one."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


executions, rates = _tests_of("test_execution"), _tests_of("test_fact_rates")
REAL_ASSESS = execution.assess
REAL_NOTE = Repeated.note


def _differs_never(*of: Any) -> Any:
    return REAL_ASSESS(*of)._replace(differs=False)


def _other_never(*of: Any) -> Any:
    return REAL_ASSESS(*of)._replace(is_other=False)


def _fill_unseen(*of: Any) -> Any:
    trade = REAL_ASSESS(*of)
    return trade._replace(counted=None, has_fill=False, more=of[2].quantity)


def _identity_without_venue(request: Any) -> bytes:
    return f"{request.desk}\0\0{request.fill_id}".encode()


def _note_forgetting(self: Repeated, key: Any, elapsed_ns: int) -> None:
    self.begin_anew(key)
    REAL_NOTE(self, key, elapsed_ns)


BUGS: dict[str, tuple[Any, str, Any, Test]] = {
    "a fill behind its execution counts again": (
        execution, "reported_before", lambda *_: None,
        lambda: executions.test_whichever_comes_first_the_trade_counts_once(plain, None),
    ),
    "an execution behind its fill counts again": (
        execution, "assess", _fill_unseen,
        lambda: executions.test_whichever_comes_first_the_trade_counts_once(plain, None),
    ),
    "a difference is none": (
        execution, "assess", _differs_never,
        lambda: executions.test_where_they_differ_the_execution_counts_and_the_desk_is_latched(
            plain, "price"
        ),
    ),
    "a fill's own difference is none": (
        execution, "differs_from", lambda *_: False,
        lambda: executions.test_a_fill_that_differs_from_its_execution_before_it({"quantity": 41}),
    ),
    "a fill of another side than its execution's is no difference": (
        execution, "Unreported", lambda *of: Unreported(*of[:4]),
        lambda: executions.test_another_symbol_than_the_orders("NONE"),
    ),
    "what another symbol traded is confirmed": (
        execution, "assess", _other_never,
        lambda: executions.test_another_symbol_than_the_orders("BTC-USD"),
    ),
    "what no drop copy confirmed may be reduced": (
        execution, "note_unconfirmed", lambda *_: None,
        executions.test_only_confirmed_lots_entitle_to_reduce,
    ),
    "venues share one space of ids": (
        execution, "identity", _identity_without_venue,
        lambda: executions.test_one_identity_has_one_content({"quantity": 39}, "quantity"),
    ),
    "checkpoints keep nothing of drop copies": (
        Executions, "dump", lambda _: iter(()), executions.test_what_is_kept_goes_with_its_order,
    ),
    "what is kept is never dropped": (
        execution, "is_order_remembered", lambda *_: True,
        executions.test_what_is_kept_goes_with_its_order,
    ),
    "no latch bars anything": (
        Latches, "has", lambda *_: False,
        rates.test_at_the_number_nothing_latches_and_one_more_does,
    ),
    "repeated executions are forgotten": (
        Repeated, "note", _note_forgetting,
        rates.test_at_the_number_nothing_latches_and_one_more_does,
    ),
    "a window is closed at both ends": (
        Repeated, "used",
        lambda self, key, at_ns, window_ms: sum(
            each >= at_ns - window_ms * 1_000_000 for each in self._times.get(key, ())
        ),
        rates.test_what_leaves_the_window_counts_no_more,
    ),
    "a lifted latch is set again at once": (
        Repeated, "begin_anew", lambda *_: None, rates.test_a_lifted_latch_begins_to_count_anew,
    ),
    "cancels are not counted": (
        fact_rates, "note_cancel", lambda *_: None,
        rates.test_a_cancel_beyond_its_rate_is_flagged_and_frees,
    ),
    "cancels are not flagged": (
        fact_rates, "cancel_flags", lambda *_: 0,
        rates.test_a_cancel_beyond_its_rate_is_flagged_and_frees,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, attribute, bug, test = BUGS[name]
    monkeypatch.setattr(place, attribute, bug)
    with pytest.raises((AssertionError, InvariantError, KeyError)):
        test()
