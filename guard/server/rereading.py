"""The configuration file, read again while the service runs (SIGHUP): all of its changes, or none.

Owns what of a changed file may take effect without a restart, and what is said of it. The file is
checked as at a start (`guard.config.file`), in a thread, since nobody knows how long its disk
takes; what differs from the log becomes the events that a start would log
(`guard.config.activation`), staged in one turn between two requests.

A value that the file says as it did when it was last read, and the log otherwise, an operator's
action has changed: the log's stays, and that is told. Where both have changed, nobody can know
which is wanted.

The file of the doors' key is looked at, too: what the next start would refuse is an alarm now.

How it fails: a file that cannot be read or used, a key that needs a restart, a difference that no
event can make so, a value that both have changed: an alarm names them, and nothing has changed. A
crash between two of the records leaves the first of them; the next start lists the rest.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from guard.config.activation import Difference, events_of, find_differences, split_kept
from guard.config.errors import ConfigError
from guard.config.file import Config, load_config
from guard.config.keys import load_curve_key
from guard.config.last_read import Said, said_by, write_last
from guard.engine.actor import Actor
from guard.engine.events import OperatorActed
from guard.engine.state import GuardState
from guard.process.line_forms import told
from guard.process.operator_lines import alarm, say
from guard.server.clients import Clients
from guard.server.pipeline import Pipeline
from guard.server.service import RunOptions, Service
from wal import Head

WHY: Final = "SIGHUP: the configuration file was read again"
# Beyond, the file is the place to look.
LINES_MAX: Final = 100
# Memory for as many as this is taken at a start, where it holds up no order.
_SETTINGS_AT_A_START: Final = ("remembered_orders_max",)


_one_note_at_a_time: Final = threading.Lock()


class _Found(NamedTuple):
    """A file that was read, what it says, and what the one before said.

    `unusable_key`: why the next start could not use the doors' key, if so.
    """

    config: Config
    said: Said
    before: Said
    unusable_key: str | None


def _unusable(curve_key_file: Path | None) -> str | None:
    try:
        if curve_key_file is not None:
            load_curve_key(curve_key_file)
    except ConfigError as error:
        return str(error)
    return None


class Rereading:
    """One at a time; asked for while one is under way, another follows. The loop's thread alone."""

    def __init__(
        self,
        config_file: Path | None,
        config: Config,
        log_directory: Path,
        state: GuardState,
        pipeline: Pipeline,
        *,
        actor: Callable[[str], Actor],
        say: Callable[[str], None],
        alarm: Callable[[str], None],
        clients: Clients | None = None,
        curve_key_file: Path | None = None,
    ) -> None:
        """`config`: as the file was last read. `actor`: of (why)."""
        self._curve_key_file = curve_key_file
        self._file = config_file
        self._config = config
        self._log_directory = log_directory
        self._state = state
        self._pipeline = pipeline
        self._actor = actor
        self._clients = clients
        self._say = say
        self._alarm = alarm
        self._loop = asyncio.get_running_loop()
        self._is_reading = False
        self._is_asked_again = False

    @property
    def config(self) -> Config:
        """As the file was last read."""
        return self._config

    def ask(self) -> None:
        """Reads the file and does what it says, as soon as it is read."""
        if self._file is None:
            self._say(told("configuration_read", "SIGHUP: there is no file; nothing is done"))
        elif self._is_reading:
            self._is_asked_again = True
        else:
            self._is_reading = True
            # Of its own, and not waited for at the end: its disk may never answer.
            thread = threading.Thread(target=self._read, name="configuration", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                self._is_reading = False
                self._refuse([f"no thread can be had to read it: {error}"])

    def _read(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        assert self._file is not None
        found: _Found | Exception
        try:
            config = load_config(self._file)
            # Worked out here, where it holds up no order: a file may name thousands of desks.
            found = _Found(
                config, said_by(config), said_by(self._config), _unusable(self._curve_key_file)
            )
        except (ConfigError, MemoryError) as error:
            found = error
        try:
            self._loop.call_soon_threadsafe(self._take, found)
        except RuntimeError:
            return  # the loop is closed: the service has ended

    def _take(self, found: "_Found | Exception") -> None:
        self._is_reading = False
        if self._pipeline.is_stopping:
            return
        if isinstance(found, _Found):
            self._apply(*found)
        else:
            self._refuse([str(found) or type(found).__name__])
        if self._is_asked_again:
            self._is_asked_again = False
            self.ask()

    def _refuse(self, reasons: list[str]) -> None:
        for reason in _at_most(reasons):
            text = f"SIGHUP: the configuration is not taken, nothing has changed: {reason}"
            self._alarm(told("configuration_refused", text, reason=reason))

    def _apply(self, config: Config, said: Said, before: Said, unusable_key: str | None) -> None:
        if unusable_key is not None:
            text = f"SIGHUP: the key in use stays; the next start refuses its file: {unusable_key}"
            self._alarm(told("curve_key_unusable", text, reason=unusable_key))
        actor = self._actor(WHY)
        found = find_differences(self._state, config, actor)
        changed, kept = split_kept(found, said, before)
        reasons = [*fixed_differences(self._config, config)]
        reasons += _begun_differences(self._config, config)
        if changed:
            reasons += self._conflicts(changed, actor)
        if reasons:
            self._refuse(reasons)
            return
        for text in _at_most([difference.text for difference in kept]):
            words = f"SIGHUP: kept as the log has it, by an operator's action: {text}"
            self._say(told("configuration_kept", words, difference=text))
        for text in _at_most([difference.text for difference in changed]):
            self._say(told("configuration_taken", f"SIGHUP: taken: {text}", difference=text))
        events = events_of(changed)
        for event in events:
            self._pipeline.record(event)
        self._config = config
        records_of_clients = self._replace_clients(config)
        self._pipeline.when_durable(partial(self._note, said))
        count = len(events) + records_of_clients
        many = "1 record" if count == 1 else f"{count} records"
        records = f"{many}, logged" if count else "no record"
        text = f"SIGHUP: the configuration was read again: {records}"
        self._say(told("configuration_read", text, records=count))

    def _replace_clients(self, config: Config) -> int:
        """Who was revoked is out at once; what has changed is a record. How many records."""
        if self._clients is None:
            return 0
        changes = self._clients.replace(config.clients or ())
        for text in _at_most(changes):
            self._say(told("clients_changed", f"SIGHUP: taken: {text}", difference=text))
        if not changes:
            return 0
        listed = "; ".join(_at_most(changes))
        self._pipeline.record(
            self._actor(f"{WHY}: {listed}").event(OperatorActed, action="clients")
        )
        return 1

    def _conflicts(self, changed: list[Difference], actor: Actor) -> Iterator[str]:
        """What of the file's changes cannot be done, in words."""
        behind = {one.place for one in find_differences(self._state, self._config, actor)}
        for one in changed:
            if one.event is None:
                yield f"{one.text}: no event can make it so"
            elif one.place and one.place in behind:
                yield (
                    f"{one.text}: an operator's action has changed it, too, since the file was "
                    "last read; say in the file what the log says, and change it by `admin`"
                )

    def _note(self, said: Said, head: Head) -> None:
        """In a thread: orders do not wait for its syncs, nor for a disk that hangs."""
        place = (self._log_directory, self._state.log_id, head, said, self._alarm)
        try:
            threading.Thread(target=_write_note, args=place, name="note", daemon=True).start()
        except RuntimeError as error:
            self._alarm(told("configuration_not_noted", f"it cannot be noted: {error}"))


def make_rereading(service: Service, pipeline: Pipeline) -> Rereading:
    """Of a service whose start has just read its file."""
    options, writer = service.options, service.writer

    def actor(why: str) -> Actor:
        made = service.actor(writer.staged_count, why)
        pipeline.catch_up(made.received_at_ns)
        return made

    return Rereading(
        options.config_file,
        options.config,
        options.log_directory,
        service.engine.state,
        pipeline,
        actor=actor,
        say=say,
        alarm=alarm,
        clients=service.clients,
        curve_key_file=options.curve_key_file,
    )


def note_configuration(options: RunOptions, log_id: str, head: Head) -> None:
    """Notes what a start has read, once all that came of it is on disk."""
    _write_note(options.log_directory, log_id, head, said_by(options.config), alarm)


def _write_note(
    directory: Path, log_id: str, head: Head, said: Said, alarm: Callable[[str], None]
) -> None:
    try:
        with _one_note_at_a_time:
            write_last(directory, log_id, head.sequence, said)
    except OSError as error:
        text = f"what the configuration said cannot be noted beside the log: {error}"
        alarm(told("configuration_not_noted", text))


def fixed_differences(before: Config, after: Config) -> Iterator[str]:
    """What takes a restart, key by key."""
    for section, said, says in (
        ("endpoints", before.endpoints, after.endpoints),
        ("log", before.log, after.log),
        ("settings", before.settings, after.settings),
    ):
        for key in said.__struct_fields__:
            old, new = getattr(said, key), getattr(says, key)
            is_fixed = section != "settings" or key in _SETTINGS_AT_A_START
            if is_fixed and old != new:
                yield f"{section}.{key}: it is {old!r}, the file says {new!r}: it takes a restart"


def _begun_differences(before: Config, after: Config) -> Iterator[str]:
    """What of the clients takes a restart: that there are any, and that any of them operates."""
    if (before.clients is None) != (after.clients is None):
        yield "clients: whether there are any takes a restart"
    was, is_now = (any(each.roles for each in config.clients or ()) for config in (before, after))
    if was != is_now:
        yield "clients: whether any of them has a role takes a restart"
    elif before.approvals is not None:
        for who in sorted(_roles_of(after) - _roles_of(before)):
            yield (
                f"clients.{who[0]}: it gets the role {who[3]!r}, where some things take two "
                "people: it takes a restart"
            )


def _roles_of(config: Config) -> set[tuple[str, str, str, str]]:
    """Who may do what at the admin endpoint, and as whom."""
    return {
        (each.name, each.person, repr(each.public_key or each.user), role)
        for each in config.clients or ()
        for role in each.roles
    }


def _at_most(texts: list[str]) -> list[str]:
    if len(texts) <= LINES_MAX:
        return texts
    return [*texts[:LINES_MAX], f"and {len(texts) - LINES_MAX} more"]
