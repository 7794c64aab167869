"""The load generator: a process of its own that keeps a schedule, or so many messages in flight.

Owns one process's run. *Open loop*: messages leave when they are due, whatever is unanswered, and
a latency counts from the due time. *Closed loop*: a message leaves when one is answered, which
measures throughput; its latencies say nothing of a load that does not wait.

How it works: the parent starts the process, is told when all its clients are connected, and says
when the run starts on the monotonic clock, which all processes of a machine share. How it fails: a
`Result` with `failure` set; nothing else leaves the process.
"""

import gc
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import msgspec

from guard import clock
from guard.bench.floor import DOORS
from guard.bench.flow import RecordedFlow
from guard.bench.frames import LinkError
from guard.bench.links import Link, Poller
from guard.bench.redis_orders import RedisOrders, connect_redis
from guard.bench.replies import EchoReplies, GuardReplies, RedisReplies, Replies
from guard.bench.schedule import NS_PER_S, FixedRate, Recorded, Schedule
from guard.bench.timeline import Slowest
from guard.bench.workload import Mix, MixedOrders, RecordedFrames, Workload
from guard.bench.zmtp import connect
from guard.histogram import Histogram

CONNECT_S: Final = 10.0
# After the end of the load: what is still unanswered then counts as lost.
DRAIN_S: Final = 20.0
SILENCE_S: Final = 20.0  # of a closed loop: nobody answers any more
# A wait for the next due time is no shorter: more wake-ups would take the daemon's processor. What
# it adds to a latency is seen in it, and in the lateness.
WAIT_S_MIN: Final = 50e-6
MESSAGES_MAX: Final = 20_000_000  # one latency each is kept, of 8 bytes
TIMER_SLACK: Final = Path("/proc/self/timerslack_ns")


@dataclass(frozen=True, slots=True)
class Plan:
    """What one process is to do. `links` are the numbers of its clients."""

    target: str  # guard, echo, redis
    endpoint: str
    session: str
    links: tuple[int, ...]
    duration_ns: int
    warm_up_ns: int
    in_flight: int | None = None  # messages of this process; None for an open loop
    rate: int | None = None  # messages a second of this process
    flow_speed: int | None = None  # the recorded flow, so many times as fast
    mix: Mix = field(default_factory=lambda: Mix(1, 0, 0))
    per_message: int = 1
    desks: int = 1
    traces: bool = False  # notes the slowest message of each slice of a trace


@dataclass(slots=True)
class Result:
    """What one process saw.

    The window is what follows the warm-up: of an open loop up to the last answer, so that a load
    beyond what the target can do shows what it did; of a closed loop up to the end of the load.
    """

    latency: Histogram = field(default_factory=Histogram)
    lateness: Histogram = field(default_factory=Histogram)
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    messages_sent: int = 0
    messages_answered: int = 0
    answered_in_window: int = 0
    window_ns: int = 0
    slowest: Slowest = field(default_factory=dict)
    failure: str = ""


def run_generator(plan: Plan, parent: Connection) -> None:
    """The process's whole life; speaks to its parent through `parent`."""
    try:
        generator = Generator(plan)
        parent.send("ready")
        start_ns: int = parent.recv()
        generator.run(start_ns)
        parent.send("done")  # whose processor time is looked at now, before the rest takes some
        result = generator.result()
    except (LinkError, OSError, EOFError, ValueError, msgspec.MsgspecError) as error:
        result = Result(failure=f"{type(error).__name__}: {error}")
    parent.send(result)
    parent.close()


class Generator:
    """The clients of one process."""

    def __init__(self, plan: Plan) -> None:
        """Connects them and lets the prelude be answered. Raises LinkError, OSError."""
        self._plan = plan
        flow = None if plan.flow_speed is None else RecordedFlow(plan.session, len(plan.links))
        self._schedule = _schedule(plan, flow)
        self._links = [
            _link(plan, number, None if flow is None else flow.frames[place])
            for place, number in enumerate(plan.links)
        ]
        self._slowest: Slowest = {}
        for link in self._links:
            link.slowest = self._slowest if plan.traces else None
        self._poller = Poller(self._links)
        self._latencies_ns = array("q")
        self._lateness_ns = array("q")
        self._answered = 0
        self._answered_in_window = 0
        self._from_ns = 0
        self._end_ns = 0
        self._last_answer_ns = 0
        self._send_prelude()

    def _send_prelude(self) -> None:
        """Sends each client's prelude, and waits until all of it is answered."""
        left = 0
        for link in self._links:
            frames = link.workload.prelude()
            link.send_bytes(b"".join(frames))
            self._poller.watch(link)
            left += len(frames)
        answered: list[int] = []
        while sum(answered) < left:
            if not self._poller.wait(CONNECT_S, lambda link: answered.append(link.receive())):
                raise LinkError(f"no answer within {CONNECT_S:.0f} s")
        for link in self._links:
            link.replies.kinds.clear()
            link.replies.reasons.clear()

    def run(self, start_ns: int) -> None:
        """Sends from `start_ns` on, until all is answered or lost. Raises LinkError, OSError."""
        _sharpen_timers()
        gc.collect()
        gc.freeze()
        gc.disable()
        self._from_ns = start_ns + self._plan.warm_up_ns
        self._end_ns = start_ns + self._plan.duration_ns
        while (early_ns := start_ns - clock.monotonic_ns()) > 0:
            self._poller.wait(early_ns / NS_PER_S, self._on_early_input)
        if self._schedule is None:
            self._run_closed()
        else:
            self._run_open(self._schedule, start_ns)

    def _on_early_input(self, link: Link) -> None:
        if link.receive():
            raise LinkError("a reply before the first message")

    def _run_closed(self) -> None:
        in_flight = self._plan.in_flight or 1
        now_ns = clock.monotonic_ns()
        for place, link in enumerate(self._links):
            count = in_flight // len(self._links) + (place < in_flight % len(self._links))
            if count:
                self._send_now(link, count, now_ns)
        while clock.monotonic_ns() < self._end_ns:
            if not self._poller.wait(SILENCE_S, self._on_input_closed):
                raise LinkError(f"no reply within {SILENCE_S:.0f} s")
        self._drain()

    def _on_input_closed(self, link: Link) -> None:
        answered = link.receive()
        if answered:
            now_ns = clock.monotonic_ns()
            self._note(link, answered, now_ns)
            if now_ns < self._end_ns:
                self._send_now(link, answered, now_ns)

    def _send_now(self, link: Link, count: int, now_ns: int) -> None:
        link.under_way.append((count, now_ns))
        link.send(count)
        if link.has_backlog:
            self._poller.watch(link)

    def _run_open(self, schedule: Schedule, start_ns: int) -> None:
        sent = 0
        while sent < schedule.total:
            now_ns = clock.monotonic_ns()
            due = schedule.due(now_ns - start_ns)
            if due > sent:
                self._send_due(schedule, sent, due, start_ns, now_ns)
                sent = due
                continue
            wait_s = (start_ns + schedule.at_ns(sent) - now_ns) / NS_PER_S
            self._poller.wait(max(wait_s, WAIT_S_MIN), self._on_input_open)
        self._drain()

    def _send_due(
        self, schedule: Schedule, first: int, beyond: int, start_ns: int, now_ns: int
    ) -> None:
        counts: dict[int, int] = {}
        for number in range(first, beyond):
            place = schedule.link(number)
            due_ns = start_ns + schedule.at_ns(number)
            self._links[place].under_way.append((1, due_ns))
            counts[place] = counts.get(place, 0) + 1
            if due_ns >= self._from_ns:
                self._lateness_ns.append(now_ns - due_ns)
        for place, count in counts.items():
            link = self._links[place]
            link.send(count)
            if link.has_backlog:
                self._poller.watch(link)
        # A burst must not keep replies waiting to be seen.
        self._poller.wait(0, self._on_input_open)

    def _on_input_open(self, link: Link) -> None:
        answered = link.receive()
        if answered:
            self._note(link, answered, clock.monotonic_ns())

    def _note(self, link: Link, answered: int, now_ns: int) -> None:
        link.settle(answered, now_ns, self._from_ns, self._latencies_ns)
        self._answered += answered
        self._last_answer_ns = now_ns
        if self._from_ns <= now_ns and (now_ns < self._end_ns or self._schedule is not None):
            self._answered_in_window += answered
        if len(self._latencies_ns) > MESSAGES_MAX:
            raise LinkError(f"more than {MESSAGES_MAX} messages: measure for a shorter time")

    def _drain(self) -> None:
        deadline_ns = clock.monotonic_ns() + int(DRAIN_S * NS_PER_S)
        while any(link.under_way for link in self._links):
            left_ns = deadline_ns - clock.monotonic_ns()
            if left_ns <= 0 or not self._poller.wait(left_ns / NS_PER_S, self._on_input_open):
                return

    def result(self) -> Result:
        """What came of the run; closes the connections."""
        result = Result()
        result.latency.record_all(self._latencies_ns)
        result.lateness.record_all(self._lateness_ns)
        for link in self._links:
            result.kinds.update(link.replies.kinds)
            result.reasons.update(link.replies.reasons)
            result.messages_sent += link.messages_sent
            link.close()
        self._poller.close()
        result.slowest = self._slowest
        result.messages_answered = self._answered
        result.answered_in_window = self._answered_in_window
        beyond_ns = self._end_ns
        if self._schedule is not None:  # what was due counts, also where it was late
            beyond_ns = max(beyond_ns, self._last_answer_ns)
        result.window_ns = beyond_ns - self._from_ns
        return result


def _schedule(plan: Plan, flow: RecordedFlow | None) -> Schedule | None:
    if flow is not None and plan.flow_speed is not None:
        return Recorded(flow.at_ns, flow.links, plan.flow_speed)
    if plan.rate is None:
        return None
    total = plan.rate * plan.duration_ns // NS_PER_S
    if total > MESSAGES_MAX:
        raise ValueError(f"{total} messages are not allowed; allowed: at most {MESSAGES_MAX}")
    return FixedRate(plan.rate, total, len(plan.links))


def _link(plan: Plan, number: int, recorded: Sequence[bytes] | None) -> Link:
    workload: Workload
    replies: Replies
    if plan.target == "redis":
        connection, script = connect_redis(plan.endpoint, CONNECT_S)
        workload = RedisOrders(plan.session, number, script, plan.desks)
        return Link(connection, workload, RedisReplies())
    if recorded is not None:
        workload = RecordedFrames(recorded)
    else:
        workload = MixedOrders(plan.session, number, plan.mix, plan.per_message, plan.desks)
    replies = EchoReplies() if plan.target in DOORS else GuardReplies()
    return Link(connect(plan.endpoint, CONNECT_S), workload, replies)


def _sharpen_timers() -> None:
    """Lets a wait end when asked to; by default the kernel may add 50 µs."""
    try:
        TIMER_SLACK.write_text("1")
    except OSError:  # an older kernel: the lateness shows it
        return
