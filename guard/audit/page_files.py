"""Pages of proofs, written as the log grows, and what a maker that begins again goes on from.

Each page is written once, whole, under another name first (`guard.feed.proof_files`).

How it fails: `PageError` for a page that lies there and is not of this log; OSError.
"""

from pathlib import Path

from guard.audit.desk_pages import DeskPage, PageError, open_page
from guard.audit.notes import SigningKey
from guard.feed.proof_files import PAGE_BYTES_MAX, page_path, spans_of
from wal import publish_file, read_regular


def write_page(pages: Path, page: DeskPage) -> Path:
    """Writes a page beside those of its desk. Raises OSError."""
    path = page_path(pages, page.desk, page.after_sequence, page.through_sequence)
    path.parent.mkdir(parents=True, exist_ok=True)
    publish_file(path, page.encoded())
    return path


def last_page(pages: Path, desk: str, key: SigningKey, origin: str) -> tuple[int, bytes] | None:
    """The size and the root that the desk's newest page was signed with; None where it has none.

    Raises PageError, OSError.
    """
    newest = max(((through, path) for _, through, path in spans_of(pages, desk)), default=None)
    if newest is None:
        return None
    try:
        data = read_regular(newest[1], PAGE_BYTES_MAX)
        _, head = open_page(data, desk, key.verifier_key, origin)
    except PageError as error:
        raise PageError(0, f"{newest[1]}: {error}") from error
    return head.size, head.root
