"""What a measured daemon runs: asked of the daemon itself, compared, shown with the figures.

Owns which builds may stand beside each other. A figure of a form that was not the one looked at, or
two of different forms side by side, are worse than none: `BenchError`.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from guard import GUARD_FORM
from guard.bench.conditions import UNKNOWN, checkout_commit
from guard.bench.frames import LinkError
from guard.bench.site import BenchError
from guard.bench.syncs import read_stats
from guard.process import installation

Build = dict[str, str]

# As the report names the forms of a daemon's parts.
_SHOWN: Final = dict(
    zip(
        ("kernel_form", "log_form", "guard_form"),
        installation.PARTS,
        strict=True,
    )
)


def ask_build(endpoint: str, *, is_own: bool) -> Build:
    """What the daemon there says that it is; empty of one that is too old to say so.

    `is_own`: it must be this very installation. Raises BenchError.
    """
    try:
        reply = read_stats(endpoint)
    except (LinkError, OSError) as error:
        said = f"{type(error).__name__}: {error}"
        raise BenchError(f"{endpoint} cannot be asked what it is: {said}") from error
    told = {} if reply is None else reply.build
    mine = installation.build()
    if is_own and told != mine:
        raise BenchError(
            f"the daemon is {installation.described(told)}; what started it is "
            f"{installation.described(mine)}: an installation measures itself"
        )
    return told


def only_build(builds: Iterable[Build]) -> Build:
    """That of all the daemons of a session. Raises BenchError where they differ."""
    every = list(builds)
    if not every:
        return {}
    for build in every[1:]:
        if build != every[0]:
            raise BenchError(
                "the daemons of one session differ: "
                f"{installation.described(every[0])}; {installation.described(build)}"
            )
    return every[0]


def check_comparable(forms: Mapping[str, Build]) -> None:
    """By name the forms of what is to be compared. Raises BenchError where two differ.

    A part that one of them does not have, or does not tell, is no difference.
    """
    names = list(forms)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            for part in installation.PARTS:
                pair = (forms[one].get(part), forms[other].get(part))
                if None not in pair and pair[0] != pair[1]:
                    raise BenchError(
                        f"different forms are not compared: {part.replace('_', ' ')} of {one} is "
                        f"{pair[0]}, of {other} {pair[1]}"
                    )


def check_peers_comparable() -> None:
    """The peers are compiled, and so must this be. Raises BenchError."""
    forms = {part: installation.build()[part] for part in installation.PARTS}
    slower = [name.replace("_", " ") for name, form in forms.items() if form != "compiled"]
    if GUARD_FORM != "compiled":
        slower.append("replay")
    if slower:
        raise BenchError(
            "different forms are not compared: the peers are compiled; interpreted here: "
            f"{', '.join(slower)}, in {installation.PACKAGES}"
        )


def as_conditions(build: Build, *, is_own: bool) -> dict[str, str]:
    """As the report shows it. The commit of an own one may be known from its checkout."""
    commit = build.get("commit") or (checkout_commit() if is_own else UNKNOWN)
    forms = {shown: build.get(part, UNKNOWN) for shown, part in _SHOWN.items()}
    return {"pretrade_guard": build.get("version", UNKNOWN), "commit": commit, **forms}
