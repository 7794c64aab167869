"""A report with everything in it, texts that a page must not run included."""

from typing import Any

from audit_support import audited
from guard.audit.audit import Audit
from guard.audit.overrides import Overrides
from guard.config.file import DeskTerms
from guard.engine.events import DeskResumed
from guard_support import LoggedEngine, actor, order

HOSTILE = "</script><script>document.documentElement.dataset.hacked=1</script>"


HOSTILE_ID = "<img/src=x/onerror=document.title='hacked'>&amp;"


def everything() -> dict[str, Any]:
    """A day with hostile text wherever a log may hold text, an order explained, and other rules."""
    day = LoggedEngine()
    day.admit(order("A-1"))
    day.reject(order(HOSTILE_ID[:64], venue=99, allow_substitute=False))
    day.log(actor(by=HOSTILE, why="\x1b[2J\u202e<b>").event(DeskResumed, desk="desk-alpha"))
    overrides = Overrides(desks={"desk-alpha": DeskTerms("desk-alpha", 1, None)})
    return audited(day.records, Audit(HOSTILE_ID[:64], overrides=overrides))
