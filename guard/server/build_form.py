"""Which form of this package's compiled modules runs; see `kernel.choose_form`.

The package imports it, before any of its modules can be.
"""

from guard import GUARD_FORM
from kernel import choose_form

COMPILED_MODULES = ("zmtp", "connection", "listener")
SERVER_FORM = choose_form("guard.server", COMPILED_MODULES, GUARD_FORM)
