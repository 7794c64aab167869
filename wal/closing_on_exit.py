"""Leaving a `with` block closes what it was opened on, whatever happened inside.

Owns that alone: what `close` does, and that a second call does nothing, is each class's own.
"""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Closing(ABC):
    """What has a `close` and is used in a `with` block."""

    __slots__ = ()

    @abstractmethod
    def close(self) -> None:
        """Close it; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
