"""Other rules for a day that was: the TOML files of `replay --policy` and `--limits`.

Owns what such a file may hold, which is a part of a configuration, or a whole one, in the very
form of `guard.config.file`: `[policy]` for the one; `[limits]`, `[[desks]]`, and of `[settings]`
what concerns remembered orders, for the other. Sections of a configuration that the option does not
ask for are left aside, so that the file in use can be copied and changed; unknown ones are errors.

How it fails: `ConfigError` naming the place, before any record is read.
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from guard.config.errors import ConfigError
from guard.config.file import (
    CONFIG_BYTES_MAX,
    DeskSection,
    DeskTerms,
    PolicySection,
    desk_terms,
    policy_content,
)
from guard.config.limits import LimitsSection, tree_of
from guard.engine.apply_event import build_policy
from guard.engine.policy_content import PolicyContent
from guard.protocol.limits import LimitScope
from guard.protocol.ranges import (
    NANOSECONDS_PER_SECOND,
    Currency,
    RememberedOrdersMax,
    RememberedOrderWindowS,
)
from kernel import PolicyError
from wal import read_regular

_SECTIONS: Final = frozenset(
    ("endpoints", "log", "policy", "instruments", "desks", "settings", "limits", "clients")
)


class _Settings(Struct, forbid_unknown_fields=True, frozen=True):
    """As in a configuration, but what is not said stays as recorded."""

    currency: Currency | None = None
    remembered_orders_max: RememberedOrdersMax | None = None
    remembered_order_window_s: RememberedOrderWindowS | None = None
    refuse_unknown_venues: bool | None = None


class _Limits(Struct, frozen=True):
    desks: list[DeskSection] = []
    limits: LimitsSection | None = None
    settings: _Settings = _Settings()


class _Policy(Struct, frozen=True):
    policy: PolicySection


@dataclass(frozen=True, slots=True)
class Overrides:
    """What is to be otherwise; None and empty where it is to be as recorded.

    `desks` are the terms of these desks for the whole day. `limits`: the tree that is in force for
    the whole of it, in place of what the day had.
    """

    policy: PolicyContent | None = None
    policy_digest_hex: str = ""
    desks: dict[str, DeskTerms] = field(default_factory=dict)
    remembered_orders_max: int | None = None
    remembered_order_window_ns: int | None = None
    refuse_unknown_venues: bool | None = None
    currency: str | None = None
    limits: list[LimitScope] | None = None


def load_overrides(policy_file: Path | None, limits_file: Path | None) -> Overrides:
    """Reads and checks the files that are given. Raises ConfigError."""
    fields: dict[str, Any] = {}
    if policy_file is not None:
        fields |= _named(policy_file, _policy_fields)
    if limits_file is not None:
        fields |= _named(limits_file, _limits_fields)
    return Overrides(**fields)


def _named(path: Path, read: Any) -> dict[str, Any]:
    try:
        text = read_regular(path, CONFIG_BYTES_MAX, follows_links=True, takes_streams=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(text) > CONFIG_BYTES_MAX:
        raise ConfigError(
            f"{path}: at least {len(text)} bytes; allowed: at most {CONFIG_BYTES_MAX}"
        )
    try:
        sections = tomllib.loads(text.decode())
        unknown = sorted(sections.keys() - _SECTIONS)
        if unknown:
            allowed = ", ".join(sorted(_SECTIONS))
            raise ConfigError(f"{unknown[0]}: is not known; allowed: {allowed}")
        fields: dict[str, Any] = read(sections)
    except (ValueError, RecursionError) as error:  # an integer of 5,000 digits is a ValueError
        raise ConfigError(f"{path}: {error}") from error
    return fields


def _policy_fields(sections: dict[str, Any]) -> dict[str, Any]:
    content = policy_content(msgspec.convert(sections, _Policy).policy)
    try:
        digest_hex = build_policy(content).digest.hex()
    except PolicyError as error:
        raise ConfigError(f"policy: {error}") from error
    return {"policy": content, "policy_digest_hex": digest_hex}


def _limits_fields(sections: dict[str, Any]) -> dict[str, Any]:
    if not sections.keys() & {"desks", "settings", "limits"}:
        raise ConfigError("holds no limits; allowed: [limits], [[desks]], [settings]")
    limits = msgspec.convert(sections, _Limits)
    window_s = limits.settings.remembered_order_window_s
    return {
        "desks": desk_terms(limits.desks),
        "remembered_orders_max": limits.settings.remembered_orders_max,
        "remembered_order_window_ns": None
        if window_s is None
        else window_s * NANOSECONDS_PER_SECOND,
        "refuse_unknown_venues": limits.settings.refuse_unknown_venues,
        "currency": limits.settings.currency,
        "limits": None if limits.limits is None else tree_of(limits.limits),
    }
