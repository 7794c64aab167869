"""Proofs of a desk's records, in pages: made beside the log, checked by who sees one desk. Pure.

Owns the form of a page (`guard/PROOFS.md`): a signed head of the log's tree, the proof that each
record of the desk stands in it, and, signed with the head, which records the desk has between the
page before and this one. So who has the desk's lines, and no key of the log's, learns that they are
the log's, and that none was left out as long as who signs does not lie.

How it works: the maker takes the log's lines in order, each checked by whoever reads them, and
follows the desks' in one tree; `take` gives the pages of what has come since. The checker keeps the
hash of each line that came until a page names it.

How it fails: `PageError` for bytes that are no page of that desk and that key, or a record that it
does not prove, names that never came, or does not name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Struct

from guard.audit.notes import (
    NoteError,
    SigningKey,
    VerifierKey,
    decode_base64,
    encode_base64,
)
from guard.audit.tlog import (
    Checkpoint,
    ProofFormatError,
    open_checkpoint,
    sign_checkpoint,
)
from guard.feed.page import names_in
from guard.feed.proof_files import PAGE_BYTES_MAX
from wal import MerkleProofError, MerkleTree, check_inclusion, leaf_hash

FORMAT: Final = "pretrade-guard.desk-proofs.v1"
# A proof has some 25 hashes of 44 characters: a page has 300 kB.
RECORDS_MAX: Final = 250
UNPROVEN_MAX: Final = 1_000_000
_EXTENSION: Final = "pretrade-guard/desk-records"


class PageError(Exception):
    """`sequence`: the record that is not proven, or 0 where it is the page that is wrong."""

    def __init__(self, sequence: int, reason: str) -> None:
        super().__init__(f"record {sequence}: {reason}" if sequence else reason)
        self.sequence = sequence


class ProvenRecord(Struct, forbid_unknown_fields=True):
    """A record, and the hashes from its leaf upwards, in base64."""

    sequence: int
    hashes: list[str]


class DeskPage(Struct, forbid_unknown_fields=True):
    """The records of a desk behind `after_sequence`, up to `through_sequence`: the tree's size."""

    format: str
    desk: str
    after_sequence: int
    through_sequence: int
    checkpoint: str
    records: list[ProvenRecord]

    def statement(self) -> str:
        """The line that is signed with the head: which records the desk has there."""
        sequences = ",".join(str(record.sequence) for record in self.records)
        digest = encode_base64(sha256(sequences.encode()).digest())
        return f"{_EXTENSION} {self.desk} {self.after_sequence} {len(self.records)} {digest}"

    def encoded(self) -> bytes:
        """Its bytes."""
        return msgspec.json.encode(self)


_decode: Final = msgspec.json.Decoder(DeskPage).decode


def decode_page(data: bytes) -> DeskPage:
    """A page's content; nothing of it is believed yet. Raises PageError."""
    if len(data) > PAGE_BYTES_MAX:
        raise PageError(0, f"a page has at most {PAGE_BYTES_MAX} bytes")
    try:
        page = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PageError(0, f"no page of proofs: {error}") from error
    if page.format != FORMAT:
        raise PageError(0, f"format: {page.format!r} is not allowed; allowed: {FORMAT!r}")
    return page


def open_page(data: bytes, desk: str, key: VerifierKey, origin: str) -> tuple[DeskPage, Checkpoint]:
    """A page that `key` signed for this desk of the log `origin`, and its head. Raises PageError.

    Its statement is the signer's; the proofs of its records are not looked at.
    """
    page = decode_page(data)
    if page.desk != desk:
        raise PageError(0, f"the page is of desk {page.desk!r}, not of {desk!r}")
    try:
        checkpoint, _ = open_checkpoint(page.checkpoint.encode(), key, origin)
    except (NoteError, ProofFormatError) as error:
        raise PageError(0, f"the signed head: {error}") from error
    if checkpoint.size != page.through_sequence:
        raise PageError(0, f"the signed head is of {checkpoint.size} records, the page says "
                        f"{page.through_sequence}")  # fmt: skip
    if checkpoint.extensions != (page.statement(),):
        raise PageError(0, "its records are not those that were signed")
    last = page.after_sequence
    for record in page.records:
        if not last < record.sequence <= page.through_sequence:
            raise PageError(record.sequence, f"the page names it behind record {last}")
        last = record.sequence
    return page, checkpoint


@dataclass(slots=True)
class _Followed:
    """A desk: the record that its last page ended with, and its records since."""

    after: int
    sequences: list[int]


class PageMaker:
    """The tree of one log, and the pages of some desks of it."""

    def __init__(self, desks: Mapping[str, int], key: SigningKey, origin: str) -> None:
        """`desks`: by name, the record that the last page of each ended with; 0: none yet."""
        self._key = key
        self._origin = origin
        self._tree = MerkleTree()
        self._desks = {name: _Followed(after, []) for name, after in desks.items()}
        self._names = {name.encode(): name for name in desks}

    @property
    def size(self) -> int:
        """So many records it has."""
        return self._tree.size

    def root(self) -> bytes:
        """Of the tree as it is now."""
        return self._tree.root()

    @property
    def is_full(self) -> bool:
        """Is it time to `take`?"""
        return any(len(one.sequences) >= RECORDS_MAX for one in self._desks.values())

    def add(self, line: bytes) -> None:
        """The log's next line, with its newline."""
        sequence, is_followed = self._tree.size + 1, False
        for name in names_in(line):
            known = self._names.get(name)
            if known is not None and self._desks[known].after < sequence:
                self._desks[known].sequences.append(sequence)
                is_followed = True
        if is_followed:
            self._tree.follow_next()
        self._tree.append(leaf_hash(line[:-1]))

    def take(self) -> list[DeskPage]:
        """The pages of the desks that have had a record since."""
        pages = [
            self._page(name, followed)
            for name, followed in self._desks.items()
            if followed.sequences
        ]
        self._tree.forget_followed()
        return pages

    def _page(self, name: str, followed: _Followed) -> DeskPage:
        tree = self._tree
        records = [
            ProvenRecord(number, [*map(encode_base64, tree.inclusion_proof(number - 1))])
            for number in followed.sequences
        ]
        page = DeskPage(FORMAT, name, followed.after, tree.size, "", records)
        head = Checkpoint(self._origin, tree.size, tree.root(), (page.statement(),))
        page.checkpoint = sign_checkpoint(head, self._key).decode()
        followed.after, followed.sequences = tree.size, []
        return page


class PageChecker:
    """What came of one desk, and how much of it is proven."""

    def __init__(self, desk: str, key: VerifierKey, origin: str, after_sequence: int) -> None:
        """`after_sequence`: the record behind which what comes begins."""
        self._desk = desk
        self._key = key
        self._origin = origin
        self._leaves: dict[int, bytes] = {}
        self.proven_sequence = after_sequence

    def add(self, sequence: int, line: bytes) -> None:
        """A line of the desk came, with its newline. Raises PageError."""
        if len(self._leaves) >= UNPROVEN_MAX:
            raise PageError(sequence, f"no proof has come of {UNPROVEN_MAX} records before it")
        self._leaves[sequence] = leaf_hash(line[:-1])

    def check(self, data: bytes) -> int:
        """The page that goes on behind what is proven, all of whose records have to be here by now;
        through which record everything is proven then. Raises PageError."""
        page, head = open_page(data, self._desk, self._key, self._origin)
        if not page.after_sequence <= self.proven_sequence < page.through_sequence:
            raise PageError(
                0,
                f"the page is of the records {page.after_sequence + 1} to {page.through_sequence}, "
                f"and proven are those up to {self.proven_sequence}",
            )
        for record in page.records:
            if record.sequence > self.proven_sequence:
                self._check_record(record, head)
        beyond = [number for number in self._leaves if number <= page.through_sequence]
        if beyond:
            raise PageError(min(beyond), "it came, and is none of the records that were signed")
        self.proven_sequence = page.through_sequence
        return self.proven_sequence

    def _check_record(self, record: ProvenRecord, head: Checkpoint) -> None:
        leaf = self._leaves.pop(record.sequence, None)
        if leaf is None:
            raise PageError(record.sequence, "it was signed as one of the desk's, and never came")
        hashes = [decode_base64(text) or b"" for text in record.hashes]
        try:
            check_inclusion(leaf, record.sequence - 1, head.size, hashes, head.root)
        except MerkleProofError as error:
            raise PageError(record.sequence, f"it is not proven: {error}") from error
