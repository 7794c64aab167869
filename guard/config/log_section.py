"""The configuration's `[log]`: its keys, which of them go together, and where its paths lead. Pure.

Owns that section alone; `guard.config.file` reads it. How it fails: what is wrong comes back in
words that name the key.
"""

from collections.abc import Callable
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, structs

from guard.protocol.ranges import DiskReserveBytes
from wal import SEGMENT_BYTES_MAX, WRITE_AHEAD_BYTES_MAX

OLD_KEYS_MAX: Final = 1000
KEY_MINUTES_MAX: Final = 15


class LogSection(Struct, forbid_unknown_fields=True, frozen=True):
    """Where the log is, which key it is chained with, and how it is kept safe.

    `forward_secure`: `key_file` holds an evolving key, which is replaced by the next with each
    segment, and after `key_minutes_max` at the latest (unsaid: 15, `key_minutes`).
    `old_key_files`: of keys that the log was under before, or still is, which `key_file` follows.
    """

    directory: str
    key_file: str | None = None
    old_key_files: tuple[str, ...] = ()
    ephemeral_key: bool = False
    forward_secure: bool = False
    key_minutes_max: Annotated[int, Meta(ge=1, le=1440)] | None = None
    segment_bytes_max: Annotated[int, Meta(ge=1_048_576, le=2**40)] = SEGMENT_BYTES_MAX
    anchor_file: str | None = None
    anchor_mode: Literal["periodic", "synchronous"] = "periodic"
    write_ahead_bytes: Annotated[int, Meta(ge=0, le=WRITE_AHEAD_BYTES_MAX)] = 4_194_304
    disk_reserve_bytes: DiskReserveBytes = 67_108_864
    checkpoint_every_records: Annotated[int, Meta(ge=0, le=2**40)] = 50_000
    checkpoint_interval_s: Annotated[int, Meta(ge=0, le=31_536_000)] = 900
    checkpoint_at_stop: bool = True

    @property
    def key_minutes(self) -> int:
        """How many minutes an evolving key is in use, at the most."""
        return KEY_MINUTES_MAX if self.key_minutes_max is None else self.key_minutes_max


def log_problem(log: LogSection) -> str | None:
    """What of the section cannot be, if anything."""
    if log.ephemeral_key and log.key_file is not None:
        return "log.key_file: allowed only without log.ephemeral_key = true"
    if log.ephemeral_key and log.old_key_files:
        return "log.old_key_files: allowed only without log.ephemeral_key = true"
    if log.forward_secure and log.ephemeral_key:
        return "log.forward_secure: allowed only without log.ephemeral_key = true"
    if log.key_minutes_max is not None and not log.forward_secure:
        return "log.key_minutes_max: allowed only with log.forward_secure = true"
    if len(log.old_key_files) > OLD_KEYS_MAX:
        return f"log.old_key_files: {len(log.old_key_files)} files; allowed: at most {OLD_KEYS_MAX}"
    return None


def placed_log(log: LogSection, absolute: Callable[[str], str]) -> LogSection:
    """The section with every relative path made absolute."""
    return structs.replace(
        log,
        directory=absolute(log.directory),
        key_file=None if log.key_file is None else absolute(log.key_file),
        old_key_files=tuple(map(absolute, log.old_key_files)),
        anchor_file=None if log.anchor_file is None else absolute(log.anchor_file),
    )
