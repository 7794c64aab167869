"""A client of the feed for who may see one desk: its records, and the proofs that they are true.

    with ProvenFeedClient("ipc:///run/guard/feed", desk="desk-alpha", verifier_key=VKEY,
                          after_sequence=0) as feed:
        for record in feed.records():
            ...                     # as it comes
            feed.proven_sequence    # everything up to this record is proven by now

As `guard.client.feed.FeedClient`, of which it takes all other options. Records come at once, their
proofs some seconds behind, a page for all since the last signed head. `verifier_key`: the public
key, as `keygen --signing` prints it. `origin`: the log's name, where it is not that of the key.

How it fails. `FeedBrokenError` as there, and for a record that is not in the signed tree, one that
was signed as the desk's and never came, one that came and was not signed, a page that is not
signed by that key, or a million records without a proof. It ends the client.
"""

from typing import Any, Final

from guard.audit.desk_pages import PageChecker, PageError, decode_page
from guard.audit.notes import parse_verifier_key
from guard.client.feed import FeedClient
from guard.client.feed_session import FeedBatch, FeedBrokenError

_NO_PAGE: Final = b""


class ProvenFeedClient(FeedClient):
    """For one thread, and one desk."""

    def __init__(
        self,
        endpoint: str,
        *,
        desk: str,
        verifier_key: str,
        origin: str | None = None,
        **options: Any,
    ) -> None:
        """Raises TypeError, ValueError for an option."""
        key = parse_verifier_key(verifier_key)
        self._desk = desk
        self._key = key
        self._origin = key.name if origin is None else origin
        self._checker: PageChecker | None = None  # None before the first message
        self._page = _NO_PAGE  # whose records are not all here yet
        super().__init__(endpoint, desks=[desk], **options)

    @property
    def proven_sequence(self) -> int | None:
        """Through which record all is proven; None before the first message."""
        return None if self._checker is None else self._checker.proven_sequence

    def next_batch(self, timeout_s: float | None = None) -> FeedBatch:
        """What the next message tells, checked as far as it can be by now."""
        batch = super().next_batch(timeout_s)
        try:
            self._check(batch)
        except PageError as error:
            self.close()
            raise FeedBrokenError(error.sequence, str(error)) from error
        return batch

    def _check(self, batch: FeedBatch) -> None:
        if self._checker is None:
            self._checker = PageChecker(self._desk, self._key, self._origin, batch.after.sequence)
            self._session.settled(batch.after.sequence)
        lines = batch.lines.splitlines(keepends=True)
        for record, line in zip(batch.records, lines, strict=True):
            self._checker.add(record.sequence, line)
        self._page = batch.page or self._page
        if self._page and decode_page(self._page).through_sequence <= batch.through.sequence:
            page, self._page = self._page, _NO_PAGE
            self._session.settled(self._checker.check(page))
        self._session.ask_for_proofs()
        self._send_due()
