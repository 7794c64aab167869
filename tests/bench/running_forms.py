"""Prints, as JSON, the forms that the packages which it imports run in: of any commit's packages.

For `compare_commits.py`, which starts it as it starts the daemons: a daemon of an older commit does
not say so itself. What a commit does not have is left out.
"""

import importlib
import json

# The part, as `stats` names it, and where its form stands.
PLACES = {
    "kernel": ("kernel", "KERNEL_FORM"),
    "log": ("wal", "WAL_FORM"),
    "order_path": ("guard", "GUARD_FORM"),
    "socket": ("guard.gateway", "ROUTER_FORM"),  # until it became a part of the order path
}


def form_of(module: str, name: str) -> str | None:
    """The form; None where the commit has no such part."""
    try:
        return getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError:
        return None


if __name__ == "__main__":
    found = {part: form_of(*place) for part, place in PLACES.items()}
    print(json.dumps({part: form for part, form in found.items() if form is not None}))
