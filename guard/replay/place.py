"""Where a record of a log stands: all that who watches a replay is told of that."""

from typing import Protocol


class Place(Protocol):
    """The record at hand. `segment`: its file's name, in which its line begins at byte `offset`.

    `entry_hash`: 64 lower-case hexadecimal characters.
    """

    sequence: int

    @property
    def segment(self) -> str: ...

    @property
    def offset(self) -> int: ...

    @property
    def entry_hash(self) -> str: ...
