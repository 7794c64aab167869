"""Who may not do what, where the system says only that permission is denied.

Owns that sentence: the user, and the place that does not let it in, with mode and owner. Changes
nothing. How it fails: it says less.
"""

import os
import pwd
import stat
from pathlib import Path


def denial_words(error: BaseException) -> str:
    """A sentence to follow the error's own text; empty where no permission was denied."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, PermissionError):
        cause = cause.__cause__
    if cause is None or not isinstance(cause.filename, str):
        return ""
    try:
        place, status = _who_denies(Path(cause.filename).absolute())
    except OSError:  # it went away meanwhile
        return ""
    return (
        f". This runs as user {_name(os.geteuid())}, whom {place} does not let in: mode "
        f"{stat.S_IMODE(status.st_mode):04o}, owner {_name(status.st_uid)}"
    )


def _who_denies(path: Path) -> tuple[Path, os.stat_result]:
    """The first directory on the way that may not be searched; else the path, or where it would be.

    Raises OSError.
    """
    for place in reversed(path.parents):
        if not os.access(place, os.X_OK, effective_ids=True):
            return place, place.stat()
    refusing = path if os.path.lexists(path) else path.parent
    return refusing, refusing.stat()


def _name(user: int) -> str:
    try:
        return f"{pwd.getpwuid(user).pw_name} ({user})"
    except KeyError:
        return str(user)
