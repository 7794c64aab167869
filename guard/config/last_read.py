"""What the configuration file said when it was last read, kept beside the log's segments.

Owns that file, `configured`: a note and no record. Where a value of the log and one of the file
differ, it tells who has changed: the file, whose change somebody wants, or the log, by an
operator's action, which stays in force though the file is behind it (`guard.config.activation`).

How it fails: what cannot be read, is of another log, or of records that this log does not have, is
as good as none: then every difference counts as one of the file. Writing raises OSError.
"""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, structs

from guard.config.file import CONFIG_BYTES_MAX, Config
from guard.protocol.limits import digest_hex
from wal import publish_file, read_regular

LAST_READ_NAME: Final = "configured"
_BYTES_MAX: Final = 4 * CONFIG_BYTES_MAX

Said = dict[str, str]  # by place: a value of the file, as text


class _Note(Struct, forbid_unknown_fields=True):
    log_id: str
    sequence: int
    said: Said


_decode: Final = msgspec.json.Decoder(_Note).decode


def said_by(config: Config) -> Said:
    """What of the configuration the log repeats, by place."""
    said = {f"settings.{key}": str(value) for key, value in structs.asdict(config.settings).items()}
    said["policy"] = config.policy_digest_hex
    said["limits"] = digest_hex(config.limits)
    said["approvals"] = _text(config.approvals)
    for symbol, one in config.instruments.items():
        said[f"instruments.{symbol}"] = f"{one.tick_size} {one.lot_size} {one.multiplier}"
    for name, terms in config.desks.items():
        fields = asdict(terms)
        said[f"desks.{fields.pop('desk')}"] = "open"
        said |= {f"desks.{name}.{key}": _text(value) for key, value in fields.items()}
        # One bound, and one difference.
        said[f"desks.{name}.fee_bound_bps"] += f" {terms.fee_minimum_microcents}"
    for name, account in config.accounts.items():
        said[f"accounts.{name}"] = f"{account.desk} {account.customer}"
    return said


def _text(value: object) -> str:
    """Of a value of any size, one that is short enough to keep."""
    text = repr(value)
    return text if len(text) <= 64 else hashlib.sha256(text.encode()).hexdigest()


def read_last(log_directory: Path, log_id: str, head_sequence: int) -> Said | None:
    """What was last read on this log; None where that is not known."""
    try:
        text = read_regular(log_directory / LAST_READ_NAME, _BYTES_MAX)
        note = _decode(text)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if note.log_id != log_id or note.sequence > head_sequence:
        return None
    return note.said


def write_last(log_directory: Path, log_id: str, sequence: int, said: Said) -> None:
    """Notes what was read, once the log has all that came of it. Raises OSError."""
    note = _Note(log_id, sequence, said)
    publish_file(log_directory / LAST_READ_NAME, msgspec.json.encode(note))
