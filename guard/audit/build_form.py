"""Which form of this package's compiled modules runs; see `kernel.choose_form`.

The package imports it, before any of its modules can be.
"""

from guard import GUARD_FORM
from kernel import choose_form

COMPILED_MODULES = ("decision_rows", "exposure", "day_counts", "day_requests")
AUDIT_FORM = choose_form("guard.audit", COMPILED_MODULES, GUARD_FORM)
