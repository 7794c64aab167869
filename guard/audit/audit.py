"""An audit: what one replay is watched for, and the document that comes out of it.

Owns which observers watch (the day always; one order's explanation and another day's rules where
asked for) and how their findings become one document. Pure.

How it fails: `UnknownOrderError` and `AmbiguousOrderError` once the log is read; `ConfigError` from
overrides that cannot be of this log.
"""

from collections.abc import Callable
from typing import Any

from guard.audit.collector import DayCollector
from guard.audit.explain import OrderExplainer
from guard.audit.overrides import Overrides
from guard.audit.report import day_fields, replay_fields
from guard.audit.whatif import WhatIf
from guard.engine.engine import Engine
from guard.engine.state import GuardState
from guard.replay.place import Place
from guard.replay.redecide import Replayed
from guard.replay.replay import Observer, ReplayReport


class UnknownOrderError(ValueError):
    """The log holds nothing under the client order id that was asked for."""


class AmbiguousOrderError(ValueError):
    """Several desks used the client order id, and none was named."""


class Audit:
    """Give `observe` to `guard.replay.replay_log`, then ask for the `document`.

    Or give it `observe_day` of the part of the log that is meant and `observe_asked` of all of it:
    an order is looked for in the whole log, and other rules are lived from its first record on.
    Other rules take a second reading: `live_again`, between the two.
    """

    def __init__(
        self,
        client_order_id: str | None = None,
        desk: str | None = None,
        overrides: Overrides | None = None,
        begin: Callable[[], Engine] | None = None,
    ) -> None:
        """`begin` gives an engine that is where the log begins, if not at its first record."""
        self._day = DayCollector()
        self._explainer = None if client_order_id is None else OrderExplainer(client_order_id, desk)
        self._what_if = None if overrides is None else WhatIf(overrides, begin)

    def observe(self, place: Place, decided: Replayed, state: GuardState) -> None:
        """Takes in one record that was decided again and found the same."""
        self._day.observe(place, decided, state)
        self.observe_asked(place, decided, state)

    @property
    def observe_day(self) -> Observer:
        """Takes in a record for what is reported of the day."""
        return self._day.observe

    @property
    def is_asked(self) -> bool:
        """Whether `observe_asked` is to be told at all."""
        return self._explainer is not None or self._what_if is not None

    def observe_asked(self, place: Place, decided: Replayed, state: GuardState) -> None:
        """Takes in a record for the order and the rules that were asked about."""
        if self._explainer is not None:
            self._explainer.observe(place, decided, state)
        if self._what_if is not None:
            self._what_if.first(place, decided, state)

    def live_again(self, replay: Callable[[Observer], object]) -> None:
        """Reads the log once more, by `replay`, for the other rules, if there are any.

        `replay` is to replay the very records that were observed. Raises ConfigError.
        """
        if self._what_if is not None:
            self._what_if.lives.finish()
            replay(self._what_if.observe)
            self._what_if.finish()

    def document(self, report: ReplayReport) -> dict[str, Any]:
        """The whole report (`guard/audit/REPORT.md`). Raises the two errors of the module."""
        document = replay_fields(report) | day_fields(self._day, report.engine.state)
        if self._explainer is not None:
            begins_after = document["begins_after_sequence"]
            document["explanations"] = _explanations(self._explainer, begins_after)
            document["explanations_left_out"] = self._explainer.left_out
        if self._what_if is not None:
            document["what_if"] = self._what_if.fields()
        return document


def _explanations(explainer: OrderExplainer, begins_after: int) -> list[dict[str, Any]]:
    """The accounts. Of an order up to record `begins_after`, which is archived, there is none."""
    desks = explainer.desks()
    archived = f"what stands before record {begins_after + 1} is archived"
    if not desks:
        where = "" if explainer.desk is None else f" of desk {explainer.desk!r}"
        raise UnknownOrderError(
            f"the log holds no client order id {explainer.client_order_id!r}{where}"
            + (f"; {archived}" if begins_after else "")
        )
    for explanation in explainer.explanations:
        if begins_after and explanation["sequence"] is None:
            told = f"no record of it here, only what was reported of it: {archived}"
            explanation["summary"] = told
            explanation["sentence"] = f"N{told[1:]}."
    if len(desks) > 1:
        listed = ", ".join(
            desk if sequence is None else f"{desk} (record {sequence})"
            for desk, sequence in sorted(desks.items())
        )
        raise AmbiguousOrderError(
            f"client order id {explainer.client_order_id!r} stands under several desks, "
            f"name one with --desk: {listed}"
        )
    return explainer.explanations
