"""One seed, one history: clients, network, guard, disk and the crashes between any two steps.

`sim.seeds` plays it. Nothing but the seed decides what happens: no clock is read, no thread runs,
no path or process id gets into the trace.

How a history goes: the guard starts; the oracle is told how many records it has found; then every
state is asked for, and everything that must be a repeat is sent again. After that clients send, the
network delays, doubles, drops and reorders, the disk takes batches, and at a place drawn beforehand
something goes wrong. The process is gone then, and perhaps the machine's power. At the end it stops
in good order and its log is verified, folded and replayed.
"""

import contextlib
import random
from pathlib import Path
from typing import Any

import msgspec

from guard.engine.events import RULES_VERSION, LimitsSet
from guard.record.codec import DIALECT
from guard.recovery.losses import KnownLoss
from guard.recovery.recover import recover_log
from guard.recovery.start_options import OptionNeededError
from guard.server.pipeline import ON_LOOP_SYNC_NS_MAX
from guard_support import dev_config
from sim.checkpoints import Checkpoints
from sim.clients import Clients, Request
from sim.disk import CrashError, Disk, Fault, ViolationError
from sim.drop_copies import DropCopies
from sim.operating import Operating
from sim.operators import Operators
from sim.oracle import Oracle
from sim.oracle_limits import LIMITS_SET, LIMITS_SINCE, TREES, limits_text
from sim.oracle_positions import SINCE_VERSION as POSITIONS_SINCE
from sim.server import FREE_BYTES, HASHER, RESERVE_BYTES, Server, SimGateway
from sim.world_checks import WorldChecks
from wal import Anchor, WalDamage, WalPoisoned, failpoint, verify_chain

SECOND_NS = 1_000_000_000
T0_NS = 1_700_000_000 * SECOND_NS
WINDOW_S = 600
LIVES_MAX = 7
STEPS_MAX = 45  # of one life, in case that nothing goes wrong
BALANCES = {
    "desk-alpha": (200_000_000_000_000, 150_000_000_000_000),
    "desk-beta": (50_000_000_000_000, None),
}
# How often each kind of fault is drawn, and the place at which it happens at the latest.
FAULTS = {
    "crash": (10, 160),
    "short": (4, 8),
    "enospc": (2, 8),
    "eio_kept": (2, 8),
    "eio_lost": (4, 8),
    "at the stop": (5, 1),
    "none": (3, 1),
}


def told_of(event: Any) -> int | str | None:
    """What the oracle is told of a start's record: its rules, or that it sets limits."""
    if isinstance(event, LimitsSet):
        return LIMITS_SET
    version: int | None = getattr(event, "rules_version", None)
    return version


class World(WorldChecks):
    """Everything of one seed."""

    def __init__(self, seed: int, directory: Path) -> None:
        self.rng = random.Random(seed)
        self.lines: list[str] = []
        self.ids_max = self.rng.choice((40, 200, 1_000))
        # A third of the firms have limits, and prices to hold orders against.
        has_limits = random.Random(f"limits of {seed}").random() < 0.34
        tree = random.Random(f"tree of {seed}").choice(("first", "second"))
        limits = [("[settings]", f"{limits_text(TREES[tree])}\n[settings]")] if has_limits else []
        self.config = dev_config(
            *limits, remembered_order_window_s=WINDOW_S, remembered_orders_max=self.ids_max
        )
        self.directory = directory
        self.disk = Disk(directory, self.rng, self.note)
        self.disk.hit = self._hit
        self.disk.while_syncing = self._while_syncing
        # Of its own randomness, so that histories are what they were but for this.
        self.checkpoints = Checkpoints(
            directory, random.Random(f"checkpoints of {seed}"), self.disk, HASHER, self.note
        )
        self.oracle = Oracle(
            BALANCES,
            WINDOW_S * SECOND_NS,
            self.ids_max,
            releases_day_orders=seed % 4 != 0,
            tree=tree,
        )
        self.clients = Clients(self.rng, 25 if has_limits else 2)
        # Half of the firms have a drop copy.
        drop_copy_rng = random.Random(f"drop copies of {seed}")
        self.drop_copies = DropCopies(
            drop_copy_rng, self.clients, is_used=drop_copy_rng.random() < 0.5
        )
        # In two of five histories operators act.
        operators_rng = random.Random(f"operators of {seed}")
        operators = Operators(operators_rng, self.config, lambda: self._known)
        self.operating = Operating(
            operators_rng,
            operators,
            self.oracle,
            self._hit,
            self.note,
            # And where short sales take locates, which somebody has to add.
            is_used=operators_rng.random() < 0.4 or (has_limits and tree == "second"),
        )
        self.wall_ns = T0_NS
        self.sync_ns = 0
        self.server: Server | None = None
        self.gateway = SimGateway(self._taken, self._sent)
        self.anchors = self.rng.choice(("none", "synchronous", "lagging"))
        self.anchor: Anchor | None = None
        self.messages: list[tuple[bytes | None, list[Request]]] = []
        self.network: list[int] = []
        self.expected: dict[int, list[tuple[list[Request], int]]] = {}
        self.answered: list[Request] = []
        self.crash_after: int | None = None
        self.free = FREE_BYTES
        self.stop_fault: Fault | None = None
        self.is_stopped = False
        self.has_log = False  # that a start has told of one, so that there must be one from then on
        # Most of the logs are begun by software whose rules are older.
        self.first_rules_version = 1 + seed % 3
        self.options_rng = random.Random(f"options of {seed}")
        self.crashes = self.power_cuts = self.cuts = self.replies = 0

    def note(self, line: str) -> None:
        """One line of the trace."""
        self.lines.append(line)

    def run(self) -> None:
        """The whole history. Raises whatever was found to be wrong."""
        lives = self.rng.randint(2, LIVES_MAX)
        for life in range(lives):
            self.note(f"life {life + 1} of {lives}, time {self.wall_ns - T0_NS}")
            if self._start():
                self._live(is_last=life == lives - 1)
            self.end()
            self.checkpoints.spoil(self._ends_well(), self.oracle.told_sequence)
        while not self._start():  # the last one is not to be disturbed
            self.end()
        self._audit()
        self._stop()
        self.end()
        self._check_log()

    # A life.

    def _start(self) -> bool:
        """Starts the guard; False where it crashed on the way."""
        self.disk.restart()
        self.gateway = SimGateway(self._taken, self._sent)
        self.network = []
        self.expected = {}
        self.server = Server(
            self.directory,
            self.disk,
            self.config,
            self.checkpoints,
            anchors=self.anchors == "synchronous",
            first_rules_version=self.first_rules_version,
        )
        self.server.free = self.free
        # What a crash leaves behind a clean stop is a case of its own.
        if self.rng.random() < (0.7 if self.is_stopped else 0.25):
            self._draw_start_fault()
        small = self.rng.random() < 0.4
        ahead_bytes = self.rng.choice((0, 1_500, 6_000))
        try:
            with self.disk.watching():
                self._open(8_000 if small else 2**26, ahead_bytes)
        except BaseException as error:
            if not self._is_crash(error):
                raise
            # It may have logged its own records, all or some: the next start will see.
            self._tell_recovered()
            self._crash()
            return False
        finally:
            self.crash_after = self.disk.fault = None
        self.cuts += self.server.cut_count
        self._tell_recovered()
        self.oracle.space(self.server.left, RESERVE_BYTES, self.wall_ns)
        self._check_rules()
        self._audit()
        return True

    def _check_rules(self) -> None:
        """The rules are the newest, but for those of the life that began the log."""
        assert self.server is not None
        is_first = self.server.recovered_sequence == 0
        wanted = self.first_rules_version if is_first else RULES_VERSION
        found = self.server.engine.state.rules_version
        if not wanted == found == self.oracle.rules_version:
            told = self.oracle.rules_version
            raise ViolationError(f"rules {found} decide, logged {told}; expected {wanted}")

    def _open(self, segment_bytes_max: int, ahead_bytes: int) -> None:
        """Starts as an operator does: plainly, and with an option where the guard asks for one."""
        if self.has_log and self.options_rng.random() < 0.05:
            self._begin_in_vain()
        try:
            self._open_with(segment_bytes_max, ahead_bytes)
        except OptionNeededError as error:
            if self.has_log:
                raise ViolationError(f"there is a log: {error}") from error
            self.note("no log yet")
            self._open_with(segment_bytes_max, ahead_bytes, new_log=True)
        except KnownLoss as error:
            if self.checkpoints.knows_loss is False:
                raise ViolationError(f"nothing is lost: {error}") from error
            self.note("a loss is known")
            self._open_with(segment_bytes_max, ahead_bytes, accept_loss=True)
        self.has_log = True
        self.checkpoints.settled()

    def _open_with(self, segment_bytes_max: int, ahead_bytes: int, **options: bool) -> None:
        assert self.server is not None
        self.server.open(
            self.gateway,
            lambda: self.wall_ns,
            segment_bytes_max,
            ahead_bytes,
            self.anchor,
            self._sync_clock_ns,
            lambda: self.oracle.start(1, self.wall_ns),
            self.operating,
            **options,
        )

    def _begin_in_vain(self) -> None:
        """Where there is a log, none is begun."""
        with contextlib.suppress(OptionNeededError, WalDamage):
            recovered = recover_log(self.directory, HASHER, new_log=True)
            raise ViolationError(f"a log was begun beside {recovered.cuts}")

    def _sync_clock_ns(self) -> int:
        """Some syncs are quick, so that the loop does the next small one itself; some are not."""
        self.sync_ns += self.rng.choice((0, 2 * ON_LOOP_SYNC_NS_MAX))
        return self.sync_ns

    def _tell_recovered(self) -> None:
        """The oracle learns what was found, and what the start has logged behind it."""
        assert self.server is not None
        left = self.server.recovered_sequence
        self.note(f"recovered {left} records, {self.server.cut_count} cuts")
        if left >= 0 and self.server.start_events:
            self.oracle.recover(left)
            for event in self.server.start_events:
                self.oracle.start(1, self.wall_ns, told_of(event))
                self.oracle.take_losses(self.wall_ns)
            self.oracle.finish_due(self.wall_ns)

    def _live(self, is_last: bool) -> None:
        self.is_stopped = False
        self.stop_fault = None
        self._draw_fault()
        try:
            for _ in range(self.rng.randint(5, STEPS_MAX)):
                self._step()
            if not is_last and (self.stop_fault is not None or self.rng.random() < 0.3):
                self._stop(self.stop_fault)
                if self.rng.random() < 0.5:
                    raise CrashError("after the end")
            elif self.rng.random() < 0.7:
                raise CrashError("between two steps")
        except BaseException as error:
            if not self._is_crash(error):
                raise
            self._crash()
        finally:
            self.disk.fault = None
            self.crash_after = None

    def _step(self) -> None:
        rng = self.rng
        self.wall_ns += rng.randrange(3 * SECOND_NS)
        if rng.random() < 0.02:
            self.wall_ns += rng.choice((-1, 1, 1)) * rng.randrange(WINDOW_S * SECOND_NS)
        for _ in range(rng.randrange(3)):
            self._client_sends()
        self._drop_copy_sends()
        for number in [n for n in self.network if rng.random() < 0.6]:
            self.network.remove(number)
            fate = rng.random()
            if fate > 0.05:  # else lost on the way
                self.gateway.arrived.append((number, self.messages[number][0]))
            if fate > 0.93:  # doubled
                self.network.append(number)
        rng.shuffle(self.network)
        assert self.server is not None
        if rng.random() < 0.03:
            quarters = rng.choice((0, 0.5, 1.5, 2.5, 3.5, 4.5, 16, 16, 16, 16))
            self.free = int(quarters * RESERVE_BYTES / 4)
            self.server.free = self.free
            self.server.look_at_space()
            self.oracle.space(self.server.left, RESERVE_BYTES, self.wall_ns)
            self.note(f"space: {self.server.left} left, refused: {self.oracle.refused}")
        self.server.listen()
        self.operating.step()
        self.server.look_after_checkpoints()
        if rng.random() < 0.7:
            self.server.advance()
        if self.anchors == "lagging" and rng.random() < 0.2:
            self.server.publish()

    def _client_sends(self) -> None:
        if self.rng.random() < 0.01:
            self._post(None, [{"type": "bad", "code": "bad_framing", "field": ""}])
            return
        has_limits = self.oracle.rules_version >= LIMITS_SINCE and bool(self.config.limits)
        self.clients.knows_locates = has_limits
        self.clients.knows_names = self.oracle.rules_version >= POSITIONS_SINCE
        self.clients.accounts = {desk: self.oracle.accounts_of(desk) for desk in BALANCES}
        requests = self.clients.next_requests(self.wall_ns)
        self._post(self.clients.encode(requests), requests)

    def _drop_copy_sends(self) -> None:
        assert self.server is not None
        if self.oracle.rules_version >= POSITIONS_SINCE:
            requests = self.drop_copies.next_requests()
            if requests:
                self._post(self.clients.encode(requests), requests)

    @property
    def _known(self) -> list[Request]:
        """Every request ever sent that names an order, those of each sender in order."""
        return [*self.clients.known, *self.drop_copies.known]

    def _post(self, body: bytes | None, requests: list[Request]) -> int:
        self.messages.append((body, requests))
        self.network.append(len(self.messages) - 1)
        return len(self.messages) - 1

    def _stop(self, fault: Fault | None = None) -> None:
        """`fault`: in the batch that closes the session, or in one of those before it."""
        in_the_last = fault is not None and self.rng.random() < 0.7

        def closing() -> None:
            self.oracle.start(1, self.wall_ns)
            if in_the_last:
                self.disk.fault = fault

        self.disk.fault = None if in_the_last else fault
        assert self.server is not None
        self.operating.stop()
        self.server.stop(self.wall_ns, closing)
        self.oracle.told_sequence = self.oracle.next_sequence - 1
        self.is_stopped = True
        self.note("stopped")

    def end(self) -> None:
        """The process is gone, whatever it came to."""
        failpoint.install(None)
        if self.server is not None:
            self.anchor = self.server.published
            self.server.close()
            self.server = None
            self.disk.end_process()

    def _ends_well(self) -> bool:
        """Is the log whole as it lies there, and will it be so whatever happens?"""
        if self.disk.has_bytes_in_doubt():
            return False
        try:
            verify_chain(self.directory, HASHER, DIALECT)
        except WalDamage:
            return False
        return True

    def _crash(self) -> None:
        self.end()
        self.crashes += 1
        if self.rng.random() < 0.5:
            self.power_cuts += 1
            self.disk.cut_power()
            self.checkpoints.cut_power()

    # Faults.

    def _draw_fault(self) -> None:
        kinds = list(FAULTS)
        kind = self.rng.choices(kinds, [FAULTS[name][0] for name in kinds])[0]
        at = self.rng.randint(1, FAULTS[kind][1])
        if kind == "crash":
            self.crash_after = at
            failpoint.install(self._hit)
        elif kind == "at the stop":
            kind = self.rng.choice(("short", "eio_kept", "eio_lost", "eio_lost", "eio_lost"))
            self.stop_fault = Fault(kind, at)
        elif kind != "none":
            self.disk.fault = Fault(kind, at)
        self.note(f"fault drawn: {kind} at {at}")

    def _draw_start_fault(self) -> None:
        """Something goes wrong while the guard starts."""
        if self.rng.random() < 0.4:
            self.crash_after = self.rng.randint(1, 25)
        else:
            kinds = ("short", "short", "short", "enospc", "eio_kept", "eio_lost")
            self.disk.fault = Fault(self.rng.choice(kinds), 1)

    def _hit(self, name: str) -> None:
        """A place where the process may be killed."""
        if self.crash_after is not None:
            self.crash_after -= 1
            if self.crash_after <= 0:
                self.note(f"crash: {name}")
                self.crash_after = None
                self.disk.is_gone = True
                raise CrashError(name)

    def _is_crash(self, error: BaseException | None) -> bool:
        """Is this the end that was wanted? What a crash makes the product raise on its way is."""
        if isinstance(error, WalPoisoned) and not isinstance(error.__cause__, OSError):
            return self._is_crash(error.__cause__)
        if isinstance(error, CrashError | WalPoisoned):
            self.note(f"ended: {type(error).__name__}: {error}")
            return True
        return False

    def _while_syncing(self) -> None:
        """The disk takes its time: the loop goes on."""
        if self.gateway.arrived and self.server is not None and self.rng.random() < 0.5:
            self.server.listen()

    # What goes in and comes out.

    def _taken(self, number: int) -> None:
        """The guard takes a message up: the oracle does the same."""
        self._hit("receive")
        expected = []
        for request in self.messages[number][1]:
            reply = self.oracle.handle(request, self.wall_ns)
            expected.append(reply)
        as_of = self.oracle.next_sequence - 1
        self.expected.setdefault(number, []).append((expected, as_of))
        self.note(f"take {number}: {len(expected)} requests, as of {as_of}")

    def _sent(self, number: int, body: bytes) -> None:
        """A reply leaves."""
        self._hit("send")
        decode = msgspec.json.decode if body[:1] in b"{[" else msgspec.msgpack.decode
        found: Any = decode(body)
        self.note(f"reply {number}: {found}")
        requests = self.messages[number][1]
        expected, as_of = self.expected[number].pop(0)
        if isinstance(found, dict):
            found = [found]
        published = None if self.server is None else self.server.published
        if self.anchors == "synchronous" and (published is None or published.sequence < as_of):
            raise ViolationError(f"answered as of {as_of}, the anchor is {published}")
        if len(found) != len(expected):
            raise ViolationError(f"{len(found)} replies to {len(expected)} requests")
        for request, wanted, reply in zip(requests, expected, found, strict=True):
            self.replies += 1
            self.oracle.check(wanted, reply, request.get("request_id"), as_of)
