"""Pages of proofs as files, a directory a desk: found by the record that they go on behind.

Owns the names of files and directories. What stands in a page is `guard.audit.desk_pages`'s; nobody
here reads it: it is given to who may see the desk.

How it fails: OSError.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from wal import read_regular

PAGE_BYTES_MAX: Final = 2 * 1024 * 1024
_NAME: Final = re.compile(r"([0-9]{20})-([0-9]{20})\.json")


def page_path(pages: Path, desk: str, after_sequence: int, through_sequence: int) -> Path:
    """Where the page of those records lies; a desk's name with a slash in it is no path."""
    return _directory(pages, desk) / f"{after_sequence:020d}-{through_sequence:020d}.json"


def find_page(pages: Path, desk: str, after_sequence: int) -> bytes | None:
    """The page of the desk that says what comes behind that record; None where it is not there."""
    found = [
        (through, path)
        for after, through, path in spans_of(pages, desk)
        if after <= after_sequence < through
    ]
    return read_regular(min(found)[1], PAGE_BYTES_MAX) if found else None


def spans_of(pages: Path, desk: str) -> Iterator[tuple[int, int, Path]]:
    """Of each page of a desk: behind which record it begins, with which it ends, its file."""
    directory = _directory(pages, desk)
    for path in directory.iterdir() if directory.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match is not None:
            yield int(match[1]), int(match[2]), path


def _directory(pages: Path, desk: str) -> Path:
    return pages / f"desk-{quote(desk, safe='')}"
