"""Stretches of a log made ready to be replayed: what needs no state, done by any process. Pure.

Owns the form in which verified records go from who read them to who folds them: one row a record,
end to end, in the log's order. `wal.prepare_runs` says by which process which part is made.

A row: its kind (one byte), the length of the rest (four, little-endian), the rest. `RAW`: the
record's data as it stands. `DECIDED`: an order that was admitted, or refused by the kernel, of
which `guard.order_rows` has shown all that can be shown without the state:

      0  received_at_ns i64, batch_first_sequence u64, reservation_id u64 (of a refusal: the hard
         limit that is its reason, or 0), price u64, sent_at_ns u64 (0: none)
     40  the kernel's input, 70 bytes, and its decision, 65 bytes (`kernel.layout`)
    175  lengths: of the desk's name u8, of the key u8, of the symbol u8, of the client's name u8,
         of order and answer as they are remembered u16
    181  the policy's digest, 32 bytes
    213  of a refusal: the nine counts of its gates, u16 each; then symbol; key (which begins with
         the desk's name), order and answer as `guard.orders_codec` has them; the client's name

`FILLED`: a plain fill and its answer, likewise of `guard.fill_rows`:

      0  received_at_ns i64, batch_first_sequence u64, sequence u64, quantity u64, fee u64, price
         u64 (0: none), executed_at_ns u64 (0: none), open_quantity u64, hold u64, released u64
     80  lengths: of the desk's name u8, of the order's key u8, of the fill's key u8, of the
         client's name u8, of fill and answer as they are remembered u16
     86  the fill's key (which begins with the order's), fill and answer as `guard.orders_codec`
         has them; the client's name

How it fails: it does not.
"""

from struct import Struct
from typing import Final, NamedTuple, Protocol

from wal import Head

RAW: Final = 0
DECIDED: Final = 1
DECIDED_BYTES: Final = 213  # of its fixed part
FILLED: Final = 2
FILLED_BYTES: Final = 86
ROW_HEAD: Final = Struct("<BI")


class Part(NamedTuple):
    """Verified records that stand one after another: from `offset` of `segment` on, after `head`.

    `last`: the head behind them. `rows`: one for each. `currency`: the one that the orders among
    them name which have a row of their own kind; empty where none does.
    """

    segment: str
    offset: int
    head: Head
    last: Head
    rows: bytes
    currency: str = ""


class Place(Protocol):
    """Where the record at hand stands: all that who watches a replay is told of that.

    `segment`: its file's name, in which its line begins at byte `offset`. `entry_hash`: 64
    lower-case hexadecimal characters.
    """

    sequence: int

    @property
    def segment(self) -> str: ...

    @property
    def offset(self) -> int: ...

    @property
    def entry_hash(self) -> str: ...
