"""Which form of this package's compiled module runs; see `kernel.choose_form`.

Must be imported before the module is: who imports it imports this first.
"""

from kernel import KERNEL_FORM, choose_form
from wal import WAL_FORM

COMPILED_MODULES = ("decision_rows",)
AUDIT_FORM = choose_form(
    "guard.audit", COMPILED_MODULES, KERNEL_FORM if WAL_FORM == "compiled" else WAL_FORM
)
