"""Which installation this process is: version, commit, forms of its parts, where it stands.

Owns what a process says of itself (`stats`, the bench's report, a refusal); it says what runs, and
not what was built. The commit is written down when a wheel or an sdist is built from a checkout
(`setup.py`); an installation without it does not know its commit.
"""

import os
from functools import cache
from pathlib import Path
from typing import Final

import guard

PACKAGES: Final = Path(os.path.abspath(guard.__file__)).parent.parent
COMMIT_FILE: Final = PACKAGES / "guard" / "data" / "commit"
# The parts that come in two forms, as `stats` names them; they come in the same one (`forms`).
PARTS: Final = ("kernel", "log", "order_path")


def _read_commit() -> str:
    try:
        return COMMIT_FILE.read_text().strip()
    except FileNotFoundError:
        return ""


# That this was built from, `+` behind it where files had changes; "" where it is not known. Read
# with the code that it is of: the files may be exchanged while this process runs.
COMMIT: Final = _read_commit()


@cache
def build() -> dict[str, str]:
    """The version, the commit where it is known, and the form of each part."""
    known = {"commit": COMMIT} if COMMIT else {}
    return {"version": guard.__version__, **known, **dict.fromkeys(PARTS, guard.GUARD_FORM)}


def interpreted_note() -> str | None:
    """For the operator: which parts run slower than they could, and why; None if none does."""
    slower = [part.replace("_", " ") for part in PARTS if build()[part] != "compiled"]
    if not slower:
        return None
    why = (
        "PRETRADE_GUARD_PURE=1 asks for it"
        if os.environ.get("PRETRADE_GUARD_PURE") == "1"
        else f"in {PACKAGES} it was not built, or not whole"
    )
    return f"interpreted: {', '.join(slower)} ({why}); the same answers, slower"


def identity() -> str:
    """What two processes of one installation have in common, in words; quickly found out."""
    known = f" (commit {COMMIT})" if COMMIT else ""
    return f"{guard.__version__}{known}, {guard.GUARD_FORM}, in {PACKAGES}"


def described(of: dict[str, str]) -> str:
    """A build in words: `0.1.0, commit 0123456789ab, all compiled`."""
    forms = {part: of.get(part, "of unknown form") for part in PARTS}
    kinds = set(forms.values())
    told = (
        f"all {kinds.pop()}"
        if len(kinds) == 1
        else ", ".join(f"{part.replace('_', ' ')} {form}" for part, form in forms.items())
    )
    commit_known = f", commit {of['commit']}" if "commit" in of else ""
    return f"{of.get('version', 'an unknown version')}{commit_known}, {told}"
