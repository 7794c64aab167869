"""The exceptions of the log.

Owns: the `WalError` family (the environment failed: a damaged file, a lock, a disk) and the
`WalInputError` family (the caller's bytes are wrong). Must not: carry record contents into a
message, since records may be confidential; messages name places, sequences and hashes only.
"""

from __future__ import annotations


class WalError(Exception):
    """The environment failed. The log cannot be used until a person or a restart has acted."""


class WalInvariantError(WalError):
    """The log was used, or has come to stand, as it never may: a defect of the program.

    Raised before anything is written, and not by `assert`, so that `python -O` changes nothing.
    """


class WalDamage(WalError):  # noqa: N818 (a state of the log, named as one)
    """The bytes on disk are not the log that was written.

    Attributes: `segment` (file name), `offset` (byte offset of the bad line in that file),
    `sequence` (the sequence expected there), `reason` (one clause, for a person).
    """

    def __init__(self, segment: str, offset: int, sequence: int, reason: str) -> None:
        super().__init__(segment, offset, sequence, reason)
        self.segment = segment
        self.offset = offset
        self.sequence = sequence
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.segment}, byte {self.offset}, record {self.sequence}: {self.reason}"


class WalKeyMismatch(WalDamage):
    """The log is intact as far as can be told, but not under this key (or under none)."""


class WalStartMismatch(WalDamage):
    """The log does not hold the head that it was to be read from (a checkpoint's).

    It ends before that record, begins after it, or has another one there. The log itself may be
    whole: an older checkpoint, or none, may do. But where the head had been durable and the log
    ends before it, records are missing.
    """


class WalAnchorMismatch(WalDamage):
    """The log does not hold its anchor's record: it ends before it, or has another one there."""


class WalLocked(WalError):  # noqa: N818 (a state of the log, named as one)
    """Another process writes this log. `holder_pid` is its process id, or None if unknown."""

    def __init__(self, path: str, holder_pid: int | None) -> None:
        super().__init__(path, holder_pid)
        self.path = path
        self.holder_pid = holder_pid

    def __str__(self) -> str:
        holder = "another process" if self.holder_pid is None else f"process {self.holder_pid}"
        return f"{self.path} is held by {holder}"


class WalDisplaced(WalError):  # noqa: N818 (a state of the log, named as one)
    """What the log stands on was removed, renamed, cut or replaced while it was being written.

    Nothing more may be answered: what is written from here on, whoever looks by the log's path
    would not find.
    """


class WalPoisoned(WalError):  # noqa: N818 (a state of the log, named as one)
    """A write or a sync failed; this writer will never write again.

    None of the records `first_sequence` to `last_sequence` is durable for certain, though some
    or all may be on disk (none are meant where the last is below the first: something failed beside
    the batches). `stage` is `write` or `fdatasync`, say; `bytes_written` of `batch_bytes`
    had been handed to the kernel. `durable_sequence` is the last record known to be on disk.
    """

    def __init__(
        self,
        stage: str,
        first_sequence: int,
        last_sequence: int,
        bytes_written: int,
        batch_bytes: int,
        durable_sequence: int,
        cause: str,
    ) -> None:
        super().__init__(
            stage,
            first_sequence,
            last_sequence,
            bytes_written,
            batch_bytes,
            durable_sequence,
            cause,
        )
        self.stage = stage
        self.first_sequence = first_sequence
        self.last_sequence = last_sequence
        self.bytes_written = bytes_written
        self.batch_bytes = batch_bytes
        self.durable_sequence = durable_sequence
        self.cause = cause

    def __str__(self) -> str:
        durable = f"durable up to {self.durable_sequence}"
        if self.last_sequence < self.first_sequence:
            return f"the log failed in {self.stage}, {durable}: {self.cause}"
        return (
            f"the log failed in {self.stage} of records {self.first_sequence} to "
            f"{self.last_sequence} ({self.bytes_written} of {self.batch_bytes} bytes handed over; "
            f"{durable}): {self.cause}"
        )

    def again(self) -> WalPoisoned:
        """The same failure as a fresh exception, so that tracebacks do not pile up on one."""
        fresh = WalPoisoned(*self.args)
        fresh.__cause__ = self.__cause__
        return fresh


class CheckpointError(WalError):
    """A checkpoint could not be written. The log is as it was, and so are older checkpoints.

    `out_of_space`: the file system, or a quota on it, is full.
    """

    def __init__(self, message: str, out_of_space: bool = False) -> None:
        super().__init__(message, out_of_space)
        self.out_of_space = out_of_space

    def __str__(self) -> str:
        return str(self.args[0])


class CheckpointDamage(WalError):  # noqa: N818 (a state of the file, named as one)
    """A checkpoint's bytes are not those that its manifest names: nothing read from it counts."""


class CheckpointUnreadable(CheckpointDamage):
    """The system does not let a checkpoint be read. It may be whole, and read another time."""


class WalInputError(ValueError):
    """The caller gave bytes or values that no log can hold."""


class WalKeyError(WalInputError):
    """The key cannot be used (shorter than 32 bytes)."""


class WalEntryError(WalInputError):
    """A line is not an entry, or data cannot become one."""


class WalAnchorError(WalInputError):
    """An anchor file is not one."""


class MerkleProofError(WalInputError):
    """A proof about the tree over a log does not prove what it is said to."""


def require(holds: bool, reason: str) -> None:
    """Raises WalInvariantError with the reason where that does not hold."""
    if not holds:
        raise WalInvariantError(reason)
