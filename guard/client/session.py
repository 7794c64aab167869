"""The client's half of the protocol as a state machine: who waits for what, and since when.

Owns the numbering of requests, the matching of replies, and the plan of resends and timeouts. It
touches no socket and reads no clock: both clients, the synchronous and the asynchronous one, run
this code and do what it says.

How it works:

* Requests are numbered 1, 2, 3, … and a number is never used again in a session, so that a late
  or second reply matches nothing and is dropped (and counted). An array has consecutive numbers.
* An exchange without a reply is sent again after `resend_after_s`, then after twice that, and so
  on: the same bytes, hence the same ids and the same `sent_at_ns`.
* When *nothing at all* has come back for that long, the socket seems dead: a fresh one is asked
  for, and everything under way goes over it, in the first order. The patience doubles until
  something is received, so that a slow guard is not deserted again and again.
* Where several guards of one log are known, a fresh socket goes to the next of them; and a guard
  that says that it stands by is left for the one that it names, or the next. Once all have said so
  there is a pause between one and the next. What is under way goes along, whole.
* After `timeout_s` from its first sending an exchange ends with `GuardTimeout`.

How it fails: a reply that breaks the protocol ends the exchange it belongs to with
`GuardProtocolError`, or, if it belongs to none, everything under way: none can be trusted now.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from guard.client.codec import (
    REQUESTS_PER_MESSAGE_MAX,
    Codec,
    Encoding,
    Exchange,
    find_mismatch,
    is_of_standby,
)
from guard.client.errors import GuardClientError, GuardProtocolError, GuardTimeout
from guard.client.options import check_count, check_seconds
from guard.protocol.messages import AnyRequest as Request
from guard.protocol.messages import ErrorReply, Reply

# Far below what the guard holds for a client in either direction (guard/PROTOCOL.md, 10).
IN_FLIGHT_LIMIT = 1_000

NS_PER_S = 1_000_000_000


# All guards of the list have said that they do not serve: so long before the next one is asked.
MOVE_PAUSE_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done now: perhaps take a fresh socket, then send these, in this order.

    `moves`: that socket is another guard's, where the client knows of several: of the one at
    `serving`, if that is one of them.
    """

    fresh_socket: bool
    resends: list[Exchange]
    moves: bool = False
    serving: str = ""


class Session:
    """All exchanges of one client that are under way. Times are monotonic, in nanoseconds."""

    def __init__(
        self,
        *,
        encoding: Encoding,
        in_flight_max: int,
        timeout_s: float,
        resend_after_s: float,
        endpoint: str,
        guard_count: int = 1,
    ) -> None:
        """`guard_count`: how many guards of one log the client knows, of which one serves."""
        check_count("in_flight_max", in_flight_max, IN_FLIGHT_LIMIT)
        check_seconds("timeout_s", timeout_s)
        check_seconds("resend_after_s", resend_after_s)
        self._endpoint = endpoint
        self._has_received = False
        self._codec = Codec(encoding)
        self.in_flight_max = in_flight_max
        self.in_flight_count = 0
        self.dropped_reply_count = 0
        self._timeout_s = timeout_s
        self._timeout_ns = int(timeout_s * NS_PER_S)
        self._resend_after_ns = int(resend_after_s * NS_PER_S)
        self._next_request_id = 1
        # By first request id, in the order of first sending, hence of deadlines too.
        self._exchanges: dict[int, Exchange] = {}
        # Never later than the earliest next_send_ns; made exact by each look at all of them.
        self._resend_scan_ns = 0
        # Since when something is awaited on this socket and nothing has come.
        self._quiet_since_ns = 0
        self._patience_ns = self._resend_after_ns
        self._guard_count = guard_count
        self._silences = 0  # in a row
        self._refusals = 0  # by guards that do not serve, in a row
        self._move_ns: int | None = None  # when to go to another one
        self._serving = ""

    # -- opening ---------------------------------------------------------------------------------

    def check_size(self, request_count: int) -> None:
        """ValueError for an array that could never be sent."""
        count_max = min(REQUESTS_PER_MESSAGE_MAX, self.in_flight_max)
        if not 1 <= request_count <= count_max:
            raise ValueError(
                f"requests: {request_count} in one message is not allowed; allowed: 1 to "
                f"{count_max} (at most {REQUESTS_PER_MESSAGE_MAX}, and at most in_flight_max)"
            )

    def has_room(self, request_count: int) -> bool:
        """May so many more requests be under way?"""
        return self.in_flight_count + request_count <= self.in_flight_max

    def newest(self) -> Exchange | None:
        """The exchange that was opened last of those under way."""
        return next(reversed(self._exchanges.values()), None)

    def open(
        self,
        requests: Sequence[Request],
        *,
        is_array: bool,
        now_ns: int,
        on_done: Callable[[Exchange], None] | None = None,
    ) -> Exchange:
        """Numbers and encodes the requests; the caller sends the exchange's body now.

        A `request_id` set by the caller is replaced by the session's. Raises as `Codec.encode`.
        """
        self.check_size(len(requests))
        assert self.has_room(len(requests)), "the caller has waited for room"
        first = self._next_request_id
        body = self._codec.encode(requests, first, is_array)
        self._next_request_id += len(requests)
        deadline_ns = now_ns + self._timeout_ns
        exchange = Exchange(first, tuple(requests), is_array, body, on_done, deadline_ns)
        if not self._exchanges:
            self._quiet_since_ns = now_ns
            self._patience_ns = self._resend_after_ns
            self._resend_scan_ns = now_ns + self._resend_after_ns
        self._exchanges[first] = exchange
        self.in_flight_count += len(requests)
        self._mark_sent(exchange, now_ns)
        return exchange

    # -- replies ---------------------------------------------------------------------------------

    def receive(self, frames: Sequence[bytes], now_ns: int) -> bool:
        """Takes one message from the socket. False: the peer cannot be trusted, take a fresh one.

        In that case everything under way has ended with GuardProtocolError.
        """
        self._has_received = True
        self._silences = 0
        self._quiet_since_ns = now_ns
        self._patience_ns = self._resend_after_ns
        try:
            replies = self._codec.decode(frames)
        except ValueError as error:
            return self._distrust(f"a reply could not be read: {error}")
        first_reply = replies[0] if isinstance(replies, list) else replies
        request_id = first_reply.request_id
        if type(request_id) is not int or not 0 < request_id < self._next_request_id:
            return self._distrust(f"the peer answered what was never asked: {first_reply}")
        exchange = self._exchanges.get(request_id)
        if exchange is None:
            self.dropped_reply_count += 1
            return True
        mismatch = find_mismatch(exchange, replies)
        listed = replies if isinstance(replies, list) else [replies]
        if mismatch:
            why = f"the reply does not fit: {mismatch}"
            self._end(exchange, error=GuardProtocolError(why, exchange.requests))
        elif self._guard_count > 1 and any(map(is_of_standby, listed)):
            self._plan_move(listed, now_ns)
        else:
            self._refusals = 0
            self._move_ns = None
            self._end(exchange, replies=listed)
        return True

    def _plan_move(self, replies: Sequence[Reply], now_ns: int) -> None:
        """This guard does not serve: what is under way goes to another one, once."""
        if self._move_ns is not None:
            return
        said = [each.serving for each in replies if isinstance(each, ErrorReply)]
        self._serving = next((each for each in said if isinstance(each, str)), "")
        self._refusals += 1
        self._move_ns = now_ns if self._refusals < self._guard_count else now_ns + MOVE_PAUSE_NS

    def _distrust(self, why: str) -> bool:
        if not self._exchanges:
            self.dropped_reply_count += 1
        self.end_all(lambda requests: GuardProtocolError(why, requests))
        return False

    @property
    def is_moving(self) -> bool:
        """Is it time soon to go to another guard?"""
        return self._move_ns is not None

    # -- time ------------------------------------------------------------------------------------

    def next_due_ns(self) -> int | None:
        """When `due` has something to do at the earliest; None while nothing is under way."""
        if not self._exchanges:
            return None
        oldest = next(iter(self._exchanges.values()))
        due_ns = self._quiet_since_ns + self._patience_ns
        if self._move_ns is not None:
            due_ns = min(due_ns, self._move_ns)
        return min(oldest.deadline_ns, self._resend_scan_ns, due_ns)

    def due(self, now_ns: int) -> Due:
        """Ends what has waited too long and says what to send again, marking it as sent.

        To be asked only after everything that has arrived was given to `receive`.
        """
        fresh_socket = moves = self._expire(now_ns)
        serving = ""
        if not self._exchanges:
            return Due(fresh_socket, [], moves)
        if self._move_ns is not None and now_ns >= self._move_ns:
            fresh_socket = moves = True
            self._quiet_since_ns, serving = now_ns, self._serving
        elif now_ns - self._quiet_since_ns >= self._patience_ns:
            fresh_socket = moves = True
            self._quiet_since_ns = now_ns
            self._silences += 1
            if self._silences % self._guard_count == 0:  # none of them is there
                self._patience_ns = min(2 * self._patience_ns, self._timeout_ns)
        if fresh_socket:
            self._move_ns = None
            resends = list(self._exchanges.values())
        elif now_ns >= self._resend_scan_ns:
            resends = [e for e in self._exchanges.values() if e.next_send_ns <= now_ns]
        else:
            return Due(False, [])
        for exchange in resends:
            self._mark_sent(exchange, now_ns)
            if moves and self._guard_count > 1:  # to whom it is sent for the first time
                exchange.next_send_ns = now_ns + self._resend_after_ns
        self._resend_scan_ns = min(e.next_send_ns for e in self._exchanges.values())
        return Due(fresh_socket, resends, moves, serving)

    def _expire(self, now_ns: int) -> bool:
        """Ends what is past its deadline. True if a fresh socket is needed for what comes next.

        It is when the last one ended and nothing came since it was sent: the old socket may still
        hold it, and would deliver an order that its sender has given up, whenever the guard is up.
        """
        last_expired: Exchange | None = None
        while self._exchanges:
            exchange = next(iter(self._exchanges.values()))
            if exchange.deadline_ns > now_ns:
                break
            sendings = "once" if exchange.send_count == 1 else f"{exchange.send_count} times"
            why = f"no reply within {self._timeout_s} s (sent {sendings})"
            if not self._has_received:
                why += f"; nothing ever came from {self._endpoint}: is the guard there?"
            self._end(exchange, error=GuardTimeout(why, exchange.requests))
            last_expired = exchange
        if last_expired is None or self._exchanges:
            return False
        return self._quiet_since_ns <= last_expired.last_sent_ns

    def _mark_sent(self, exchange: Exchange, now_ns: int) -> None:
        exchange.last_sent_ns = now_ns
        exchange.next_send_ns = now_ns + (self._resend_after_ns << exchange.send_count)
        exchange.send_count += 1
        self._resend_scan_ns = min(self._resend_scan_ns, exchange.next_send_ns)

    # -- ends ------------------------------------------------------------------------------------

    def forget(self, exchange: Exchange) -> None:
        """Nobody waits for it any more: it is not sent again and its reply will be dropped."""
        if self._exchanges.pop(exchange.first_request_id, None) is not None:
            self.in_flight_count -= len(exchange.requests)

    def end_all(self, error_for: Callable[[Sequence[Request]], GuardClientError]) -> None:
        """Ends everything under way with an error of its own each."""
        for exchange in list(self._exchanges.values()):
            self._end(exchange, error=error_for(exchange.requests))

    def _end(
        self,
        exchange: Exchange,
        *,
        replies: list[Reply] | None = None,
        error: GuardClientError | None = None,
    ) -> None:
        assert not exchange.is_done
        self.forget(exchange)
        exchange.replies = replies
        exchange.error = error
        if exchange.on_done is not None:
            exchange.on_done(exchange)
