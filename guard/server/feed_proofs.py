"""Pages of proofs for who sees one desk, given out as they lie beside the log.

Owns the answer to `proofs` (`guard/FEED.md`). Another process makes the pages (`prove-desks`): the
daemon has no signing key, and reads a page on the feed's thread.

How it fails: FeedError for what is asked wrongly; a page that cannot be read is an `error`.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from guard.feed.files import FeedReadError
from guard.feed.messages import AskProofs, FeedError, Proofs, Refused, encode_message
from guard.feed.proof_files import find_page
from guard.server.connection import Connection
from guard.server.feed_subscription import Sent, more_frame
from guard.server.feed_supply import FeedSupply


class FeedProofs:
    """Of one feed. All calls belong to the loop's thread."""

    def __init__(
        self, pages: Path | None, supply: FeedSupply, send: Callable[[Sent], None]
    ) -> None:
        """`pages`: where they lie; None: nowhere."""
        self._pages = pages
        self._supply = supply
        self._send = send
        self._asking: set[Connection] = set()

    def answer(self, peer: Connection, before: bytes, as_json: bool, asked: AskProofs) -> None:
        """Has the page sent. Raises FeedError."""
        if self._pages is None:
            words = "type: 'proofs' is not allowed; allowed: where endpoints.feed_proofs is set"
            raise FeedError("no_proofs", "type", words)
        if peer in self._asking:
            raise FeedError("too_much", "", "one request for proofs at a time is answered")
        self._asking.add(peer)
        given = partial(self._give, peer, before, as_json, asked)
        self._supply.fetch(partial(_find, self._pages, asked), given)

    def forget(self, peer: Connection) -> None:
        """A connection is gone."""
        self._asking.discard(peer)

    def _give(
        self,
        peer: Connection,
        before: bytes,
        as_json: bool,
        asked: AskProofs,
        found: bytes | FeedReadError | None,
    ) -> None:
        if peer not in self._asking:
            return  # it is gone
        self._asking.discard(peer)
        if isinstance(found, FeedReadError):
            refused = Refused(found.code, found.field, str(found), asked.request_id)
            self._send((peer, before, encode_message(refused, as_json)))
            return
        message = Proofs(asked.desk, asked.after_sequence, found is not None, asked.request_id)
        body = encode_message(message, as_json)
        if found is None:
            self._send((peer, before, body))
        else:
            self._send((peer, before + more_frame(body), found))


def _find(pages: Path, asked: AskProofs) -> bytes | None:
    """On the thread."""
    try:
        return find_page(pages, asked.desk, asked.after_sequence)
    except OSError as error:
        raise FeedReadError("unreadable", "", f"a page of proofs: {error}") from error
