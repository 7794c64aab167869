"""The report as JSON: what it holds is what its page says that it holds."""

from importlib import resources
from typing import Any

from audit_support import audited
from guard.audit.audit import Audit
from guard.audit.overrides import Overrides
from guard.config.file import DeskTerms
from guard_day_support import trading_day

# Their keys are not the report's: names, reasons and fields of the day.
OPEN = {"by_desk", "by_symbol", "by_venue", "events", "reasons", "by_reason", "administrative"}
OPEN |= {"venues_stopped_by_gate", "fill_flags", "content", "explanations", "examples"}
OPEN |= {"measured", "counts"}


def keys_of(value: Any) -> set[str]:
    """The keys of a document, but for those inside what is open or goes by desk."""
    if isinstance(value, list):
        return {key for item in value for key in keys_of(item)}
    if not isinstance(value, dict):
        return set()
    found = set(value)
    for key, inner in value.items():
        if key == "desks" and isinstance(inner, dict):
            inner = list(inner.values())
        if key not in OPEN:
            found |= keys_of(inner)
    return found


def test_every_key_is_described() -> None:
    overrides = Overrides(desks={"desk-beta": DeskTerms("desk-beta", 1, None)})
    document = audited(trading_day().records, Audit("A-2", overrides=overrides))
    text = (resources.files("guard.audit") / "REPORT.md").read_text("utf-8")
    named = keys_of(document)
    # Of a figure before and after, and of batches, the page names one form.
    named = {key.removesuffix("_before").removesuffix("_after") for key in named}
    named = {key.removesuffix("_low").removesuffix("_high") for key in named}
    named = {key.replace("_records", "_ns") for key in named}
    assert {"policies_left_out", "held_peak_sequence", "what_if"} <= named
    assert {key for key in named if f"`{key}" not in text} == set()
