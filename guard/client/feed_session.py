"""A subscription to the feed, seen from its client: what is asked, what may come, what is wrong.

Owns the place that a client has reached, the credit that it gives, and the checks on what comes.
Pure: bodies and frames in and out; the sockets are `guard.client.feed`'s.

How it works: each connection begins with the daemon's welcome, upon which the client subscribes
behind the last record that it has. Credit is given again when half of it is used. Every message
must go on where the one before ended. Of all lines each must follow the one before by sequence and
hash, and with the log's key each hash must be right.

How it fails: `FeedBrokenError` for lines that are not those of one log, `FeedRefusedError` for what
the daemon refuses, `FeedGapError` for a message that does not go on (then subscribe anew).
"""

from typing import Final, NamedTuple, assert_never

import msgspec
from msgspec import UNSET

from guard.client.errors import GuardClientError
from guard.client.feed_keys import FeedKeys
from guard.feed.messages import (
    AskProofs,
    Credit,
    Heartbeat,
    Lines,
    Proofs,
    Refused,
    Subscribe,
    Subscribed,
    Unsubscribed,
    Welcome,
    decode_message,
    encode_request,
)
from guard.protocol.messages import RequestId
from guard.protocol.value_types import Behind
from wal import Entry, Head, WalEntryError, hashes_equal, parse_line

# Some 25 MB at the daemon's, the system's and the client's side together, of usual orders.
CREDIT_LINES: Final = 16_384


class FeedError(GuardClientError):
    """Base of what a client of the feed raises."""


class FeedRefusedError(FeedError):
    """The daemon refuses the subscription. `code` and `field` are its words."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(f"{refused.code}: {refused.message}")
        self.code = refused.code
        self.field = refused.field


class FeedBrokenError(FeedError):
    """What came is not the log that was followed, or not as its writer wrote it.

    `sequence`: of the record that is wrong.
    """

    def __init__(self, sequence: int, reason: str) -> None:
        super().__init__(f"record {sequence}: {reason}")
        self.sequence = sequence
        self.reason = reason


class FeedGapError(FeedError):
    """A message does not go on where the one before ended; to subscribe anew fills the gap."""


class FeedBehindError(FeedError):
    """The guard stands by, and does not have the record yet that this client has come to."""


class FeedTimeoutError(FeedError, TimeoutError):
    """Nothing came in the time that was given."""


class FeedBatch(NamedTuple):
    """What one message has told: the records between `after` and `through`, those of the desks.

    `lines`: the same as they stand in the log. `head`: how far the log was durable then, as far as
    it was told. A heartbeat has no records. `behind`: of a heartbeat of a guard that stands by, how
    far that one may be behind the guard that serves. `page`: of proofs (`guard.audit.proven_feed`).
    """

    records: list[Entry]
    lines: bytes
    after: Head
    through: Head
    head: Head
    page: bytes = b""
    behind: Behind | None = None


class FeedSession:
    """What one client follows, over all of its connections."""

    def __init__(
        self,
        after_sequence: int | None,
        after_hash: str | None,
        desks: list[str] | None,
        credit_lines: int,
        keys: FeedKeys | None,
    ) -> None:
        self.to_send: list[bytes] = []
        self.through: Head | None = None  # the record that the client has got to
        if after_sequence is not None:
            self.through = Head(after_sequence, after_hash or "")
        self.head: Head | None = None  # of the log, as it was told last
        self.log_id = ""
        self.is_subscribed = False
        self._desks = desks
        self._credit_lines = credit_lines
        self._left_lines = 0
        self._keys = keys
        self._number = 0
        # The record up to which all is proven; None where nobody asks for proofs.
        self.proven_sequence: int | None = None
        self._has_asked = False  # since the last heartbeat, or the last page
        self._has_page = False  # that was given out, and is not `settled` yet

    def begin(self, welcome: Welcome) -> None:
        """A connection is there: subscribes. Raises FeedBrokenError for another log."""
        through = self.through
        if self.log_id and welcome.log_id != self.log_id:
            sequence = 0 if through is None else through.sequence
            raise FeedBrokenError(
                sequence + 1, f"another log is there now: {welcome.log_id}, not {self.log_id}"
            )
        self.log_id = welcome.log_id
        self.is_subscribed = False
        is_standby = welcome.behind_records is not UNSET
        if is_standby and through is not None and through.sequence > welcome.head_sequence:
            raise FeedBehindError(f"it ends with record {welcome.head_sequence}")
        self.head = Head(welcome.head_sequence, welcome.head_hash)
        self._has_asked = self._has_page = False
        self._number += 1
        self._left_lines = self._credit_lines
        self.to_send.append(
            encode_request(
                Subscribe(
                    credit_lines=self._credit_lines,
                    after_sequence=None if through is None else through.sequence,
                    after_hash=None if through is None else through.entry_hash or None,
                    desks=self._desks,
                    request_id=self._number,
                )
            )
        )

    def take(self, frames: list[bytes]) -> FeedBatch | None:
        """What a message tells; None where it is no lines and no heartbeat.

        What is to be sent upon it is in `to_send`. Raises as the module says.
        """
        try:
            message = decode_message(frames[0])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise FeedGapError(f"a message that is none of the feed's: {error}") from error
        if isinstance(message, Welcome):
            self.begin(message)
            return None
        if not self._is_mine(message.request_id):
            return None  # of a subscription that was given up
        match message:
            case Refused():
                raise FeedRefusedError(message)
            case Subscribed():
                self._begin_behind(message)
                return None
            case Unsubscribed():
                self.is_subscribed = False
                return None
            case Lines():
                return self._take_lines(message, frames[1] if len(frames) > 1 else b"")
            case Heartbeat():
                self.head = Head(message.head_sequence, message.head_hash)
                self._has_asked = False
                self.ask_for_proofs()
                through = Head(message.through_sequence, message.through_hash or "")
                batch = self._advance(message.after_sequence, through, [], b"")
                records, ns = message.behind_records, message.behind_ns
                if records is UNSET or ns is UNSET:
                    return batch
                return batch._replace(behind=Behind(records, ns))
            case Proofs():
                return self._take_page(message, frames[1] if len(frames) > 1 else b"")
            case _:
                assert_never(message)

    def ask_for_proofs(self) -> None:
        """Asks for the page behind what is proven, if anybody wants it and it is not under way."""
        proven, through = self.proven_sequence, self.through
        if self._desks is None or proven is None or through is None:
            return
        if proven < through.sequence and not (self._has_asked or self._has_page):
            self._has_asked = True
            ask = AskProofs(self._desks[0], proven, request_id=self._number)
            self.to_send.append(encode_request(ask))

    def settled(self, proven_sequence: int) -> None:
        """All up to that record is proven; the next page may come."""
        self.proven_sequence = proven_sequence
        self._has_asked = self._has_page = False

    def _take_page(self, message: Proofs, page: bytes) -> FeedBatch | None:
        through = self.through
        if not message.is_there or through is None:
            return None  # the next heartbeat asks again
        self._has_page = True
        return FeedBatch([], b"", through, through, self.head or through, page)

    def _is_mine(self, request_id: RequestId) -> bool:
        return request_id == self._number

    def _begin_behind(self, message: Subscribed) -> None:
        self.is_subscribed = True
        self.head = Head(message.head_sequence, message.head_hash)
        told = Head(message.after_sequence, message.after_hash or "")
        self.through = _same(self.through, told) if self.through is not None else told

    def _take_lines(self, message: Lines, lines: bytes) -> FeedBatch:
        begin = _same(self.through, Head(message.after_sequence, message.after_hash))
        records = self._checked(begin, message, lines)
        if self.head is None or self.head.sequence < message.through_sequence:
            self.head = Head(message.through_sequence, message.through_hash)
        self._left_lines -= message.line_count
        if self._left_lines <= self._credit_lines // 2:
            more = self._credit_lines - self._left_lines
            self.to_send.append(encode_request(Credit(credit_lines=more, request_id=self._number)))
            self._left_lines = self._credit_lines
        through = Head(message.through_sequence, message.through_hash)
        return self._advance(message.after_sequence, through, records, lines)

    def _advance(
        self, after_sequence: int, through: Head, records: list[Entry], lines: bytes
    ) -> FeedBatch:
        after = self.through
        if after is None or after.sequence != after_sequence:
            at = "the beginning" if after is None else f"record {after.sequence}"
            raise FeedGapError(f"a message follows record {after_sequence}, and the last one {at}")
        if through.sequence == after_sequence:
            through = _same(after, through)
        self.through = through
        return FeedBatch(records, lines, after, through, self.head or through)

    def _checked(self, begin: Head, message: Lines, lines: bytes) -> list[Entry]:
        """The records of the lines, which must be those that the message tells of."""
        last, records = begin, list[Entry]()
        for line in lines.splitlines(keepends=True):
            try:
                entry = parse_line(line)
            except WalEntryError as error:
                raise FeedBrokenError(last.sequence + 1, str(error)) from error
            if self._desks is None:
                _check_follows(entry, last)
            elif not last.sequence < entry.sequence <= message.through_sequence:
                raise FeedBrokenError(entry.sequence, f"it comes behind record {last.sequence}")
            if self._keys is not None and not self._keys.is_right(entry):
                reason = "entry_hash does not match the record's bytes"
                raise FeedBrokenError(entry.sequence, reason)
            last = entry.head
            records.append(entry)
        if len(records) != message.line_count:
            told = f"{len(records)} lines came, {message.line_count} were told of"
            raise FeedBrokenError(last.sequence + 1, told)
        through = Head(message.through_sequence, message.through_hash)
        if self._desks is None and last != through:
            raise FeedBrokenError(last.sequence, f"the lines end there, not with {through}")
        return records


def _check_follows(entry: Entry, last: Head) -> None:
    if entry.sequence != last.sequence + 1:
        raise FeedBrokenError(last.sequence + 1, f"the record says that it is {entry.sequence}")
    if last.entry_hash and not hashes_equal(entry.previous_hash, last.entry_hash):
        reason = "previous_hash is not the hash of the record before"
        raise FeedBrokenError(entry.sequence, reason)


def _same(known: Head | None, told: Head) -> Head:
    """The record that both name, with its hash where one of them has it.

    Raises FeedBrokenError where they have two; another sequence is for `_advance` to say.
    """
    if known is None or known.sequence != told.sequence:
        return told
    if known.entry_hash and told.entry_hash and known.entry_hash != told.entry_hash:
        raise FeedBrokenError(known.sequence, "it has another hash than the one that was got")
    return told if told.entry_hash else known
