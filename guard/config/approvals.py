"""The file's `[approvals]`: what takes two people, and up to where one may go. Pure.

Owns the shape of the section (`configs/production.toml` explains every key) and its checks, and the
rule that whoever is to be two people must be told apart: by their keys, or by the system's word for
who is at the other end of a unix socket. Where that cannot be, the section is refused: a rule that
nobody can hold is worse than none.

How it fails: ValueError, which names the place, the value and what is allowed.
"""

from collections.abc import Collection, Mapping
from typing import Annotated, Final

from msgspec import Meta, Struct, structs

from guard.config.clients import ClientTerms
from guard.config.endpoint import NO_ENDPOINT
from guard.config.limits import NOBODY, LimitsSection, check_names, tree_of
from guard.engine.actor import Actor
from guard.engine.people_events import ApprovalsSet, DeskCeiling
from guard.protocol.instruments import parse_money_microcents
from guard.protocol.limits import LimitScope

MS_PER_S: Final = 1_000
SECONDS_MAX: Final = 31_536_000  # a year
Seconds = Annotated[int, Meta(ge=1, le=SECONDS_MAX)]


class CeilingSection(Struct, forbid_unknown_fields=True, frozen=True):
    """Of a desk: money, as text; left out: no room for one person."""

    budget: str | None = None
    exposure_cap: str | None = None


class ApprovalsSection(Struct, forbid_unknown_fields=True, frozen=True):
    """`[approvals]`. `ceiling`: as `[limits]`; `desk`: of budgets and caps, by desk.

    `proposal_s`: how long a proposal is open. `loosening_max_s`: how long a loosening holds.
    """

    proposal_s: Seconds = 900
    loosening_max_s: Seconds = 86_400
    ceiling: LimitsSection = LimitsSection()
    desk: dict[str, CeilingSection] = {}


class ApprovalTerms(Struct, frozen=True):
    """The section, checked: the fields of `ApprovalsSet` that it says."""

    proposal_ms: int
    loosening_ms_max: int
    ceiling: list[LimitScope]
    desks: list[DeskCeiling]


def approval_terms(
    section: ApprovalsSection,
    known_desks: Collection[str],
    symbols: Collection[str],
    accounts: Mapping[str, str] = NOBODY,
) -> ApprovalTerms:
    """The section as the log records it. Raises ValueError naming the place."""
    desks = []
    for name in sorted(section.desk):
        if name not in known_desks:
            raise ValueError(f"approvals.desk.{name}: there is no desk {name!r}")
        one = section.desk[name]
        place = f"approvals.desk.{name}"
        desks.append(
            DeskCeiling(
                name,
                _money(one.budget, f"{place}.budget"),
                _money(one.exposure_cap, f"{place}.exposure_cap"),
            )
        )
    try:
        ceiling = tree_of(section.ceiling)
        check_names(ceiling, known_desks, symbols, accounts)
    except ValueError as error:
        raise ValueError(f"approvals.ceiling: {error}") from error
    return ApprovalTerms(
        section.proposal_s * MS_PER_S, section.loosening_max_s * MS_PER_S, ceiling, desks
    )


def terms_event(terms: ApprovalTerms, actor: Actor) -> ApprovalsSet:
    """The event that puts them in force."""
    return actor.event(ApprovalsSet, **structs.asdict(terms))


def is_in_force(terms: ApprovalTerms, recorded: ApprovalsSet) -> bool:
    """Does the log say the same?"""
    return all(getattr(recorded, name) == getattr(terms, name) for name in terms.__struct_fields__)


def _money(text: str | None, place: str) -> int | None:
    return None if text is None else parse_money_microcents(text, place)


def check_people(clients: Collection[ClientTerms] | None, admin: str) -> None:
    """Raises ValueError where no two people could be told apart, or reached."""
    if admin == NO_ENDPOINT:
        raise ValueError(
            'approvals: allowed with an admin endpoint; endpoints.admin is "none", where nobody '
            "proposes or approves"
        )
    operate, approve = (
        {each.person for each in clients or () if role in each.roles}
        for role in ("operate", "approve")
    )
    if any(approve - {person} for person in operate):
        return
    raise ValueError(
        "approvals: allowed where [clients] name two persons, one with the role `operate` and "
        f"another one with `approve`; `operate` has {_names(operate)}, `approve` "
        f"{_names(approve)}: nobody could approve what the other proposes"
    )


def _names(people: set[str]) -> str:
    return ", ".join(sorted(people)) or "nobody"
