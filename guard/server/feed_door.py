"""The door of the feed: who subscribes to the log's lines, and when each is given some.

Owns the listener of the feed's endpoint, the subscriptions, their credit, and the heartbeats. What
the messages are, `guard/FEED.md` says; where lines come from is `guard.server.feed_supply`'s.

How it works: what became durable is handed out a few milliseconds later, gathered, one subscriber
in a turn of the loop, so that orders come between. A page goes out as it stands in memory, in one
message. Whoever has no credit, or has not fetched what it was given, is passed over and holds no
more than that; it goes on from memory, or from the files, when it can. Nothing is ever left out: a
message names the record that it follows.

How it fails: what a client asks wrongly is an `error`; a log that cannot be read ends the
subscription with one.
"""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable, Container
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import UNSET

from guard.admin.bodies import is_json, request_id_of
from guard.config.clients import DROP_COPY
from guard.feed.files import FeedReadError
from guard.feed.messages import (
    CREDIT_LINES_MAX,
    FEED_VERSION,
    AskProofs,
    Credit,
    FeedError,
    Refused,
    Request,
    Subscribe,
    Subscribed,
    Unsubscribed,
    Welcome,
    decode_request,
    encode_message,
)
from guard.feed.page import BrokenPageError, Page, Place, cut, of_desks
from guard.feed.recent import PAGE_BYTES
from guard.protocol.messages import RequestId
from guard.protocol.value_types import Behind
from guard.server.connection import (
    REPLY_OVERHEAD_BYTES,
    Connection,
    Received,
    frame_head,
)
from guard.server.feed_proofs import FeedProofs
from guard.server.feed_subscription import Sent, Subscription
from guard.server.feed_supply import FeedSupply
from guard.server.few_messages import FewMessages, as_it_is, words_of_no_request
from guard.server.listener import Listener
from guard.server.permits import NOBODY, Permit
from wal import Head

HEARTBEAT_S: Final = 1.0
_NS_PER_S: Final = 1_000_000_000
# What has become durable waits so long for more: a message for each batch would cost several times
# the copying of its bytes.
GATHER_S: Final = 0.005
# A subscriber that has so much still to fetch is given no more; a page goes on top of it.
UNSENT_BYTES_MAX: Final = 262_144
# Less is copied, together with what stands before it: one call instead of two.
FILE_BYTES_MIN: Final = 32_768


class FeedDoor:
    """Serves one feed endpoint. All calls belong to the loop's thread."""

    def __init__(
        self,
        listener: Listener,
        supply: FeedSupply,
        desks: Container[str],
        *,
        log_id: str,
        software_version: str,
        when_durable: Callable[[Callable[[Head], None]], None],
        needs_permits: bool = False,
        proofs: Path | None = None,
        behind: Callable[[], Behind] | None = None,
    ) -> None:
        """`desks`: those that are open. `when_durable`: as the pipeline's.

        `needs_permits`: clients are configured: whoever has none is given nothing. `proofs`: where
        the pages of `guard.server.feed_proofs` lie. `behind`: of a guard that stands by.
        """
        self._behind = behind
        self._needs_permits = needs_permits
        self._listener = listener
        self._supply = supply
        self._desks = desks
        self._log_id = log_id
        self._software_version = software_version
        self._when_durable = when_durable
        self._loop = asyncio.get_running_loop()
        self._proofs = FeedProofs(proofs, supply, self._send)
        self._messages = FewMessages(listener, self._take, self._look_at_full)
        self._subscriptions: dict[Connection, Subscription] = {}
        self._due: deque[Subscription] = deque()
        self._full: set[Subscription] = set()  # who has to fetch first
        self._is_turn_due = False
        self._is_late = False  # what became durable is shown when it is told of again
        self._gathering: asyncio.TimerHandle | None = None
        self._heartbeat: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Serves from now on."""
        self._messages.start()
        self._heartbeat = self._loop.call_later(HEARTBEAT_S, self._on_heartbeat)

    def stop(self) -> None:
        """Serves no more."""
        self._messages.stop()
        self._supply.close()
        for timer in (self._heartbeat, self._gathering):
            if timer is not None:
                timer.cancel()

    def on_answered(self, head: Head) -> None:
        """A batch is durable, and its replies have left."""
        self._supply.told = head
        if not self._subscriptions:
            return
        if self._is_late:
            self._show()
        elif self._gathering is None:
            self._gathering = self._loop.call_later(GATHER_S, self._on_gathering)

    def welcome(self, peer: Connection) -> None:
        """Greets a connection that is ready."""
        self._supply.gather()
        sequence, entry_hash = self._supply.durable.head
        message = Welcome(
            FEED_VERSION,
            self._software_version,
            self._log_id,
            round(HEARTBEAT_S * _NS_PER_S),
            CREDIT_LINES_MAX,
            sequence,
            entry_hash,
        )
        if self._behind is not None:
            message.behind_records, message.behind_ns = self._behind()
        self._send((peer, b"", encode_message(message, True)))

    def forget(self, peer: Connection) -> None:
        """A connection is gone."""
        self._proofs.forget(peer)
        self._end_subscription(peer)

    def _end_subscription(self, peer: Connection) -> None:
        subscription = self._subscriptions.pop(peer, None)
        if subscription is not None:
            self._full.discard(subscription)
            self._supply.forget(peer)
            self._want()

    # What comes in.

    def _look_at_full(self) -> None:
        """Whoever had to fetch first may have done so."""
        for subscription in list(self._full):
            self._add_due(subscription)

    def _take(self, received: Received) -> None:
        peer, before, body, frame_count = received
        as_json = body is not None and is_json(body)
        request_id: RequestId = UNSET
        try:
            if body is None or frame_count < 0:
                raise FeedError("malformed", "", words_of_no_request(body))
            request_id = request_id_of(body)
            request = decode_request(body)
            self._do(peer, before, as_json, request)
        except FeedError as error:
            refused = Refused(error.code, error.field, str(error), request_id)
            answer = peer, before, encode_message(refused, as_json)
            self._when_durable(lambda _head: self._send(answer))

    def _do(self, peer: Connection, before: bytes, as_json: bool, request: Request) -> None:
        if isinstance(request, Subscribe):
            self._subscribe(peer, before, as_json, request)
            return
        if isinstance(request, AskProofs):
            if self._needs_permits:
                check_subscription(peer.permit or NOBODY, [request.desk], "desk")
            self._proofs.answer(peer, before, as_json, request)
            return
        subscription = self._subscriptions.get(peer)
        if subscription is None:
            raise FeedError("not_subscribed", "", "this connection has no subscription")
        if isinstance(request, Credit):
            credit_lines = subscription.credit_lines + request.credit_lines
            if credit_lines > CREDIT_LINES_MAX:
                raise FeedError(
                    "too_much",
                    "credit_lines",
                    f"credit_lines: {request.credit_lines} is not allowed; allowed: "
                    f"{CREDIT_LINES_MAX - subscription.credit_lines}, for "
                    f"{subscription.credit_lines} are left",
                )
            subscription.credit_lines = credit_lines
            self._want()
            self._add_due(subscription)
            if request.credit_lines == 0:
                self._supply.gather()
                self._send(self._heartbeat_of(subscription))
        else:
            self._end_subscription(peer)
            after, through = subscription.said.sequence, subscription.place.sequence
            self._send(subscription.say(Unsubscribed(after, through, subscription.request_id)))

    def _subscribe(self, peer: Connection, before: bytes, as_json: bool, asked: Subscribe) -> None:
        if self._needs_permits:
            check_subscription(peer.permit or NOBODY, asked.desks)
        self._supply.gather()
        durable = self._supply.durable
        place = self._place_of(asked, durable)
        for index, desk in enumerate(asked.desks or ()):
            if desk in (asked.desks or ())[:index]:
                words = f"desks[{index}]: {desk!r} stands twice; allowed: each desk once"
                raise FeedError("invalid", f"desks[{index}]", words)
            if desk not in self._desks:
                raise FeedError(
                    "unknown_desk",
                    f"desks[{index}]",
                    f"desks[{index}]: {desk!r} is not allowed; allowed: a desk that is open",
                )
        self._end_subscription(peer)
        subscription = Subscription(peer, before, as_json, asked, place)
        self._subscriptions[peer] = subscription
        self._want()
        self._send(
            subscription.say(
                Subscribed(
                    place.sequence,
                    place.head.entry_hash or None,
                    asked.desks,
                    asked.credit_lines,
                    *durable.head,
                    asked.request_id,
                )
            )
        )
        self._add_due(subscription)

    def _place_of(self, asked: Subscribe, durable: Place) -> Place:
        """Where a subscription begins. Raises FeedError."""
        sequence = asked.after_sequence
        if sequence is None or sequence == durable.sequence:
            if asked.after_hash not in (None, durable.head.entry_hash):
                raise _other_history(asked.after_hash, durable.sequence)
            return durable
        if sequence > durable.sequence:
            raise FeedError(
                "not_there",
                "after_sequence",
                f"after_sequence: {sequence} is not allowed; allowed: 0 to {durable.sequence}, "
                "the durable head, or null for now",
            )
        return Place(Head(sequence, asked.after_hash or ""), 0, 0)

    # What goes out.

    def _want(self) -> None:
        every = self._subscriptions.values()
        self._supply.want(any(one.credit_lines and not one.is_stuck for one in every))

    def _is_current(self, subscription: Subscription) -> bool:
        return self._subscriptions.get(subscription.peer) is subscription

    def _is_through(self, subscription: Subscription) -> bool:
        """Is there nothing for it now?"""
        is_behind = subscription.place.sequence < self._supply.durable.sequence
        return not is_behind or subscription.credit_lines == 0 or subscription.is_reading

    def _add_due(self, subscription: Subscription) -> None:
        if subscription.is_due or self._is_through(subscription):
            return
        subscription.is_due = True
        self._due.append(subscription)
        if not self._is_turn_due:
            self._is_turn_due = True
            self._loop.call_soon(self._on_turn)

    def _on_gathering(self) -> None:
        self._gathering = None
        self._show()

    def _show(self) -> None:
        supply = self._supply
        self._is_late = not supply.gather()
        if not supply.is_shown and self._gathering is None:
            self._gathering = self._loop.call_later(GATHER_S, self._on_gathering)
        for subscription in self._subscriptions.values():
            if subscription not in self._full:
                self._add_due(subscription)

    def _on_turn(self) -> None:
        """One page for one subscriber."""
        self._is_turn_due = False
        subscription = self._due.popleft()
        subscription.is_due = False
        if self._is_current(subscription) and not self._is_through(subscription):
            self._full.discard(subscription)
            if self._give_from_memory(subscription):
                self._add_due(subscription)
            elif subscription not in self._full and self._is_current(subscription):
                subscription.is_reading = True
                given = partial(self._on_read, subscription)
                self._supply.read(subscription.peer, subscription.place, given)
        if self._due and not self._is_turn_due:
            self._is_turn_due = True
            self._loop.call_soon(self._on_turn)

    def _give_from_memory(self, subscription: Subscription) -> bool:
        """Whether it was given a page; else it is full, or memory does not have the line."""
        page = self._supply.page_behind(subscription.place)
        if page is not None:
            return self._give(subscription, page)
        if not self._has_room(subscription, PAGE_BYTES):
            self._full.add(subscription)
        return False

    def _on_read(self, subscription: Subscription, found: Page | FeedReadError) -> None:
        subscription.is_reading = False
        if not self._is_current(subscription) or subscription.credit_lines == 0:
            return
        if isinstance(found, FeedReadError):
            self._end(subscription, found.code, found.field, str(found))
        elif self._give(subscription, found):
            self._add_due(subscription)

    def _has_room(self, subscription: Subscription, size: int) -> bool:
        """May it be given so much more? Nothing that has no room is given: it would be dropped."""
        backlog, peer = self._listener.backlog, subscription.peer
        if peer.unsent_bytes > UNSENT_BYTES_MAX:
            return False
        left_bytes = backlog.all_bytes_max - backlog.bytes
        return size + 2 * UNSENT_BYTES_MAX + REPLY_OVERHEAD_BYTES <= left_bytes or not backlog.bytes

    def _give(self, subscription: Subscription, page: Page) -> bool:
        """As much of a page as its credit allows, as one message; False where it could not be."""
        desks, place = subscription.desks, subscription.place
        credit_lines = subscription.credit_lines
        try:
            if not page.is_read and self._is_for_file(subscription, page):
                if subscription.peer.unsent_bytes > 0:  # then what stands before it goes first
                    self._full.add(subscription)
                    return False
                part = page
            else:
                read = self._supply.read_now(page)
                if read is None:
                    return False
                lines_max = credit_lines if desks is None else read.line_count
                part = cut(read, place, PAGE_BYTES, lines_max)
            begin = part.begin.head
            if desks is not None:
                part = of_desks(part, desks, credit_lines)
        except BrokenPageError as error:
            self._end(subscription, "unreadable", "", str(error))
            return False
        if place.head.entry_hash not in ("", begin.entry_hash):
            wrong = _other_history(place.head.entry_hash, place.sequence)
            self._end(subscription, wrong.code, wrong.field, str(wrong))
            return False
        if not self._has_room(subscription, len(part.lines) or part.size):
            self._full.add(subscription)
            return False
        message = subscription.give(part, begin)
        if subscription.credit_lines == 0 or subscription.is_stuck:
            subscription.is_stuck = False
            self._want()
        if message is None:
            return True
        if part.is_read:
            self._listener.send_all([message], as_it_is)
        else:
            self._send_file(message, part)
        return True

    def _is_for_file(self, subscription: Subscription, page: Page) -> bool:
        """Can all of it go out as it stands in the file?"""
        return (
            subscription.desks is None
            and page.size >= FILE_BYTES_MIN
            and page.line_count <= subscription.credit_lines
            and page.begin.head.sequence == subscription.place.head.sequence
            and subscription.peer.protocol.sealer is None
            and self._supply.descriptor_of(page) is not None
        )

    def _send_file(self, message: Sent, page: Page) -> None:
        """Sends a page out of its file; what the socket does not take is read, and waits."""
        peer, envelope, _ = message
        head, size = frame_head(envelope, page.size), page.size
        descriptor = self._supply.descriptor_of(page)
        try:
            sent = os.write(peer.descriptor, head)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the peer is gone, which the listener will be told
        if sent == len(head) and descriptor is not None:
            with contextlib.suppress(OSError):  # what is not taken in this way goes the other
                sent += os.sendfile(peer.descriptor, descriptor, page.begin.offset, size)
        if sent == len(head) + size:
            return
        read = self._supply.read_now(page)
        if read is None:  # it cannot go on in the middle of a message
            self._listener.end(peer, "reset")
        elif sent < len(head):
            self._listener.send_rest(peer, head[sent:] + read.lines)
        else:
            self._listener.send_rest(peer, read.lines[sent - len(head) :])

    def _end(self, subscription: Subscription, code: str, field: str, message: str) -> None:
        self._end_subscription(subscription.peer)
        self._send(subscription.say(Refused(code, field, message, subscription.request_id)))

    def _on_heartbeat(self) -> None:
        self._heartbeat = self._loop.call_later(HEARTBEAT_S, self._on_heartbeat)
        self._supply.gather()
        for subscription in list(self._subscriptions.values()):
            if subscription in self._full:
                subscription.is_stuck = True  # unless it turns out now that it is not
                self._add_due(subscription)
            elif subscription.peer.unsent_bytes == 0:  # else they would heap up
                self._send(self._heartbeat_of(subscription))
        self._want()

    def _heartbeat_of(self, subscription: Subscription) -> Sent:
        behind = None if self._behind is None else self._behind()
        return subscription.heartbeat(self._supply.durable.head, behind)

    def _send(self, message: Sent) -> None:
        """An answer or a heartbeat; nothing to who has too much to fetch as it is."""
        if message[0].unsent_bytes <= UNSENT_BYTES_MAX:
            self._listener.send_all([message], as_it_is)


def _other_history(told: str | None, sequence: int) -> FeedError:
    return FeedError(
        "other_history",
        "after_hash",
        f"after_hash: {told!r} is not allowed; allowed: the hash of record {sequence}, which is "
        "another one: this is another log, or its end was lost",
    )


def check_subscription(permit: Permit, desks: list[str] | None, place: str = "") -> None:
    """May it have the lines of these desks; None: all lines? Raises FeedError.

    `place`: the field that names the desk, where it is one.
    """
    if DROP_COPY not in permit.may:
        raise FeedError(
            "not_permitted", "type", f"type: subscribe is not granted to client {permit.name!r}"
        )
    if permit.desks is None:
        return
    for index, desk in enumerate(desks or (None,)):
        if desk not in permit.desks:
            field, asked = ("desks", "null") if desk is None else (f"desks[{index}]", repr(desk))
            field = place or field
            text = f"{field}: {asked} is not granted to client {permit.name!r}"
            raise FeedError("not_permitted", field, text)
