"""Configuration against the log: what a fresh log begins with, and what has changed since.

Owns the translation of a checked configuration into administrative events, and the comparison with
the state that the log folds into. Configuration never silently changes what the log says: every
difference is listed, and becomes an event only when the operator said so. Pure.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from msgspec import UNSET

from guard import __version__
from guard.config.accounts import account_differences, account_event
from guard.config.approvals import is_in_force, terms_event
from guard.config.file import Config, DeskTerms
from guard.config.last_read import Said
from guard.config.limits import tree_differences
from guard.config.policy_difference import epochs_problem, policy_differences
from guard.engine.actor import Actor
from guard.engine.building import build_policy
from guard.engine.events import (
    LOG_FORMAT_VERSION,
    RULES_VERSION,
    BudgetLowered,
    DeskCapped,
    DeskFeeBounded,
    DeskOpened,
    DeskOrderAgeLimited,
    DeskResumed,
    DeskToppedUp,
    InstrumentDefined,
    LimitsSet,
    LogOpened,
    Outcome,
    PolicyActivated,
    RulesActivated,
    SettingsActivated,
)
from guard.engine.found import NO_FEE_BOUND, Desk
from guard.engine.people import base_of, beyond_ceiling
from guard.engine.state import GuardState
from guard.protocol.instruments import Instrument, money_text
from guard.protocol.limits import LimitScope, digest_hex
from guard.protocol.ranges import NANOSECONDS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the configuration and the log disagree.

    `event` is what `--apply-config` logs; None where no event can make it so. `place`: of the value
    in the file, as `guard.config.last_read` has it; none where that does not say who has changed.
    """

    text: str
    event: Outcome | None
    place: str = ""


def opening_events(
    config: Config, actor: Actor, log_id: str, key_id: str, key_number: int = 0
) -> Iterator[Outcome]:
    """The first records of a log, in order."""
    yield actor.event(
        LogOpened,
        log_id=log_id,
        format_version=LOG_FORMAT_VERSION,
        rules_version=RULES_VERSION,
        software_version=__version__,
        key_id=key_id,
        epoch=1,
        opening_records=3
        + len(config.instruments)
        + len(config.desks)
        + len(config.accounts)
        + bool(config.limits)
        + (config.approvals is not None),
        key_number=key_number or UNSET,
    )
    yield _settings_event(config, actor)
    yield _policy_event(config, actor)
    for instrument in config.instruments.values():
        yield _instrument_event(instrument, actor)
    for terms in config.desks.values():
        yield _desk_event(terms, actor)
    for account in config.accounts.values():
        yield account_event(account, actor)
    if config.limits:
        yield limits_event(config.limits, actor)
    if config.approvals is not None:
        yield terms_event(config.approvals, actor)


def rules_events(state: GuardState, actor: Actor) -> list[Outcome]:
    """What a session logs first of all where its software has newer rules than the log names."""
    if state.rules_version >= RULES_VERSION:
        return []
    return [
        actor.event(
            RulesActivated,
            rules_version=RULES_VERSION,
            previous_rules_version=state.rules_version,
        )
    ]


def find_differences(state: GuardState, config: Config, actor: Actor) -> list[Difference]:
    """Where the configuration says something else than the log, in the log's order of events."""
    differences: list[Difference] = []
    settings = _settings_event(config, actor)
    for name, recorded, configured in (
        ("currency", state.currency, settings.currency),
        ("remembered_orders_max", state.remembered_orders_max, settings.remembered_orders_max),
        (
            "remembered_order_window_ns",
            state.remembered_order_window_ns,
            settings.remembered_order_window_ns,
        ),
        (
            "refuse_unknown_venues",
            state.refuses_unknown_venues,
            config.settings.refuse_unknown_venues,
        ),
    ):
        if configured != recorded:
            key, said, says = _setting_shown(name, recorded, configured)
            text = f"settings.{key}: the log says {said}, the configuration {says}"
            # No currency at all: the first start was cut off before it could say one.
            may_change = name != "currency" or not recorded
            event = settings if may_change else None
            differences.append(Difference(text, event, f"settings.{key}"))
    differences += _policy_differences(state, config, actor)
    differences += _instrument_differences(state, config, actor)
    for terms in config.desks.values():
        differences += _desk_differences(state, terms, actor)
    for desk in state.desks:
        if desk not in config.desks:
            text = f"desks.{desk}: the log has opened it, the configuration lacks it"
            differences.append(Difference(text, None, f"desks.{desk}"))
    for account in account_differences(state, config.accounts, actor):
        differences.append(Difference(*account))
    tree = base_of(state, "limits", "")
    if config.limits != tree:
        set_event = limits_event(config.limits, actor)
        words_of = tree_differences(tree, config.limits) or ["limits: set, or not"]
        for words in words_of:
            differences.append(
                Difference(f"{words} (the log, the configuration)", set_event, "limits")
            )
    differences += _approval_differences(state, config, actor)
    return [_within(state, one) for one in differences]


def _within(state: GuardState, one: Difference) -> Difference:
    """What a file alone cannot loosen, no event of its makes so."""
    if one.event is None or not (beyond := beyond_ceiling(state, one.event)):
        return one
    text = f"{one.text}; {', '.join(beyond)} is beyond the ceiling: it takes two people, by `admin`"
    return replace(one, text=text, event=None)


def _approval_differences(state: GuardState, config: Config, actor: Actor) -> Iterator[Difference]:
    recorded, configured = state.people.terms, config.approvals
    if configured is None:
        if recorded is not None:
            text = "approvals: the log has them, the configuration lacks them"
            yield Difference(text, None, "approvals")
    elif recorded is None or not is_in_force(configured, recorded):
        said = "lacks them" if recorded is None else "says others than the configuration"
        yield Difference(f"approvals: the log {said}", terms_event(configured, actor), "approvals")


def split_kept(
    differences: list[Difference], said: Said, before: Said | None
) -> tuple[list[Difference], list[Difference]]:
    """Those in which the file has changed, which says `said` now, since it said `before`; those in
    which the log alone has, by an operator's action: there the log's stays in force. `before`: None
    where it is not known, and all count as the file's."""

    def is_kept(one: Difference) -> bool:
        if before is None or not one.place:
            return False
        return said.get(one.place) == before.get(one.place)

    return [one for one in differences if not is_kept(one)], [*filter(is_kept, differences)]


def events_of(differences: Iterable[Difference]) -> list[Outcome]:
    """What makes them so, each event once."""
    events = {id(one.event): one.event for one in differences if one.event is not None}
    return list(events.values())


def limits_event(tree: list[LimitScope], actor: Actor) -> Outcome:
    """The event that sets these limits, normalized."""
    return actor.event(LimitsSet, limits=tree, limits_digest_hex=digest_hex(tree))


def resume_event(desk: str, actor: Actor) -> Outcome:
    """The event that lets a halted desk enter orders again."""
    return actor.event(DeskResumed, desk=desk)


def _settings_event(config: Config, actor: Actor) -> SettingsActivated:
    settings = config.settings
    return actor.event(
        SettingsActivated,
        currency=settings.currency,
        remembered_orders_max=settings.remembered_orders_max,
        remembered_order_window_ns=settings.remembered_order_window_s * NANOSECONDS_PER_SECOND,
        refuses_unknown_venues=settings.refuse_unknown_venues or UNSET,
    )


def _policy_event(config: Config, actor: Actor) -> PolicyActivated:
    return actor.event(
        PolicyActivated, policy=config.policy, policy_digest_hex=config.policy_digest_hex
    )


def _instrument_event(instrument: Instrument, actor: Actor) -> InstrumentDefined:
    return actor.event(
        InstrumentDefined,
        symbol=instrument.symbol,
        tick_size=instrument.tick_size,
        lot_size=instrument.lot_size,
        multiplier=instrument.multiplier,
    )


def _desk_event(terms: DeskTerms, actor: Actor) -> DeskOpened:
    bound = terms.fee_bound_bps
    return actor.event(
        DeskOpened,
        desk=terms.desk,
        budget_microcents=terms.budget_microcents,
        max_reserved_microcents=terms.max_reserved_microcents,
        max_order_age_ms=UNSET if terms.max_order_age_ms is None else terms.max_order_age_ms,
        fee_bound_bps=UNSET if bound is None else bound,
        fee_minimum_microcents=UNSET if bound is None else terms.fee_minimum_microcents,
    )


def _setting_shown(name: str, recorded: object, configured: object) -> tuple[str, object, object]:
    """As the configuration writes it, which has its times in seconds."""
    if not name.endswith("_ns") or not isinstance(recorded, int):
        return name, recorded, configured
    assert isinstance(configured, int)
    said, rest = divmod(recorded, NANOSECONDS_PER_SECOND)
    return (
        f"{name.removesuffix('_ns')}_s",
        f"{recorded} ns" if rest else said,
        configured // NANOSECONDS_PER_SECOND,
    )


def _policy_differences(state: GuardState, config: Config, actor: Actor) -> Iterator[Difference]:
    """One for each key, all with the event of the whole policy."""
    if config.policy_digest_hex == state.policy_digest_hex:
        return
    base = base_of(state, "policy", "")
    if base is not None and config.policy_digest_hex == build_policy(base).digest.hex():
        return  # another one is in force but for a time
    content, event = config.policy, None
    problem = epochs_problem(state.policy, content, "the one in the log")
    if problem is not None:
        yield Difference(problem, None, "policy")
    else:
        event = _policy_event(config, actor)
    for text in policy_differences(state.policy, content, config.settings.currency):
        yield Difference(text, event, "policy")


def _instrument_differences(
    state: GuardState, config: Config, actor: Actor
) -> Iterator[Difference]:
    for symbol, instrument in config.instruments.items():
        recorded = state.instruments.get(symbol)
        if recorded != instrument:
            said = "lacks it" if recorded is None else f"says {_sizes(recorded)}"
            text = (
                f"instruments.{symbol}: the log {said}, the configuration says {_sizes(instrument)}"
            )
            yield Difference(text, _instrument_event(instrument, actor), f"instruments.{symbol}")
    for symbol in state.instruments:
        if symbol not in config.instruments:
            text = f"instruments.{symbol}: the log defines it, the configuration lacks it"
            yield Difference(text, None, f"instruments.{symbol}")


def _sizes(instrument: Instrument) -> str:
    return (
        f"tick {instrument.tick_size}, lot {instrument.lot_size}, "
        f"multiplier {instrument.multiplier}"
    )


def _desk_differences(state: GuardState, terms: DeskTerms, actor: Actor) -> Iterator[Difference]:
    desk = terms.desk
    if desk not in state.desks:
        text = f"desks.{desk}: the log lacks it, the configuration opens it"
        yield Difference(text, _desk_event(terms, actor), f"desks.{desk}")
        return
    # What busted fills gave back was granted by no configuration, nor what was but for a time.
    lent = base_of(state, "budget", desk)
    granted = (state.ledger.initial_microcents(desk) or 0) - state.desks[desk].returned_microcents
    granted -= lent
    if terms.budget_microcents != granted:
        place = f"desks.{desk}.budget_microcents"
        text = (
            f"desks.{desk}.budget: the log has granted {money_text(granted)}, the configuration "
            f"says {money_text(terms.budget_microcents)}"
        )
        more = terms.budget_microcents - granted
        if more > 0:
            free = state.ledger.remaining_microcents(desk) or 0
            collected = state.desks[desk].debt_paid_by(free + more)
            event = actor.event(
                DeskToppedUp,
                desk=desk,
                amount_microcents=more,
                collected_microcents=collected or UNSET,
            )
            yield Difference(text, event, place)
        elif -more <= (free := (state.ledger.remaining_microcents(desk) or 0) - lent):
            lowered = actor.event(BudgetLowered, desk=desk, amount_microcents=-more)
            yield Difference(text, lowered, place)
        else:
            said = f"{text} (only {money_text(free)} is neither held nor spent)"
            yield Difference(said, None, place)
    cap = base_of(state, "cap", desk) or None
    if terms.max_reserved_microcents != cap:
        text = (
            f"desks.{desk}.exposure_cap: the log says {_cap(cap)}, the configuration "
            f"{_cap(terms.max_reserved_microcents)}"
        )
        capped = actor.event(
            DeskCapped, desk=desk, max_reserved_microcents=terms.max_reserved_microcents
        )
        yield Difference(text, capped, f"desks.{desk}.max_reserved_microcents")
    age_max_ms = state.desks[desk].max_order_age_ms or None
    if terms.max_order_age_ms != age_max_ms:
        text = (
            f"desks.{desk}.max_order_age_ms: the log says {_age(age_max_ms)}, the configuration "
            f"{_age(terms.max_order_age_ms)}"
        )
        limited = actor.event(
            DeskOrderAgeLimited, desk=desk, max_order_age_ms=terms.max_order_age_ms
        )
        yield Difference(text, limited, f"desks.{desk}.max_order_age_ms")
    yield from _fee_bound_difference(state.desks[desk], terms, actor)


def _fee_bound_difference(desk: Desk, terms: DeskTerms, actor: Actor) -> Iterator[Difference]:
    recorded = None
    if desk.fee_bound_bps != NO_FEE_BOUND:
        recorded = (desk.fee_bound_bps, desk.fee_minimum_microcents)
    configured = None
    if terms.fee_bound_bps is not None:
        configured = (terms.fee_bound_bps, terms.fee_minimum_microcents)
    if recorded != configured:
        text = (
            f"desks.{desk.name}.fee_bound: the log says {_fee_bound(recorded)}, the configuration "
            f"{_fee_bound(configured)}"
        )
        bps, minimum_microcents = configured or (None, None)
        event = actor.event(
            DeskFeeBounded,
            desk=desk.name,
            fee_bound_bps=bps,
            fee_minimum_microcents=minimum_microcents,
        )
        yield Difference(text, event, f"desks.{desk.name}.fee_bound_bps")


def _age(milliseconds: int | None) -> str:
    return "none" if milliseconds is None else str(milliseconds)


def _fee_bound(bound: tuple[int, int] | None) -> str:
    return "none" if bound is None else f"{bound[0]} bps and {money_text(bound[1])}"


def _cap(microcents: int | None) -> str:
    return "none" if microcents is None else money_text(microcents)
