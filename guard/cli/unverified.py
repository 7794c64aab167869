"""What the tools answer where a log does not verify: its end is torn, or it is damaged.

Owns those two answers and their exit codes. Another key than the log's is neither: wrong use, which
`guard.cli` tells.
"""

import argparse
import json

from guard.cli.base import EXIT_FAILED, EXIT_UNFINISHED, UsageError
from wal import Anchor, ChainHasher, WalDamage, WalKeyMismatch


def report_unverified(
    options: argparse.Namespace,
    hasher: ChainHasher,
    damage: WalDamage,
    anchor: Anchor | None = None,
    named_sequence: int = 0,
) -> int:
    """Prints what does not verify, and where, for people or in JSON; returns the exit code.

    `anchor`, and `named_sequence`: what the log must hold. Raises WalKeyMismatch, UsageError,
    WalError.
    """
    from guard.recovery.log_end import StillWrittenError, find_torn_end

    if isinstance(damage, WalKeyMismatch):
        raise damage
    try:
        torn = find_torn_end(options.log, hasher, damage, anchor, named_sequence)
    except StillWrittenError as error:
        raise UsageError(str(error)) from error
    place = (
        f"segment {damage.segment}, offset {damage.offset}, "
        f"sequence {damage.sequence}: {damage.reason}"
    )
    fields: dict[str, object] = {
        "ok": False,
        "unfinished": torn is not None,
        "segment": damage.segment,
        "offset": damage.offset,
        "sequence": damage.sequence,
        "reason": damage.reason,
    }
    said = f"DAMAGED: {place}"
    if torn is not None:
        fields |= {"bytes_torn": torn.cut.bytes_cut, "remedy": torn.remedy}
        said = (
            f"UNFINISHED: record {damage.sequence - 1} is the last whole one; {place}; "
            f"{torn.cut.bytes_cut} bytes stand there, as a torn write leaves them: {torn.remedy}"
        )
    print(json.dumps(fields) if options.json else f"{options.log}: {said}")
    return EXIT_FAILED if torn is None else EXIT_UNFINISHED
