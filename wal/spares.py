"""Descriptors held ready for a moment in which the process has no other left.

Owns a few descriptors of nothing (`/dev/null`). Whoever must be able to open files whatever else
the process has open (clients' connections above all) holds as many as it needs at once, gives them
up just before, and takes them again behind it. Must not: be shared by two threads.

How it fails: spares that cannot be had are had later; a caller who then finds no descriptor either
has the system's own error.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


class Spares:
    """So many descriptors, as far as they could be had."""

    def __init__(self, count: int) -> None:
        """Takes them."""
        self._count = count
        self._held: list[int] = []
        self.take()

    @property
    def are_there(self) -> bool:
        """Are they all held?"""
        return len(self._held) == self._count

    def take(self) -> None:
        """Takes what is missing of them, as far as they can be had."""
        while len(self._held) < self._count:
            try:
                self._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                return  # the next call tries again

    def give_up(self) -> None:
        """Closes them."""
        while self._held:
            os.close(self._held.pop())

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Within, they are the caller's to open something with."""
        self.give_up()
        try:
            yield
        finally:
            self.take()
