"""Playing seeds until a planted bug is found: what every list of planted bugs asks."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

Patch = AbstractContextManager[Any]


class World(Protocol):
    """A history that has not been played yet."""

    def run(self) -> None: ...


W = TypeVar("W", bound=World)


def played(world: W) -> W:
    """The world, once its history is over. Raises what was found to be wrong."""
    world.run()
    return world


def first_failure(
    mutation: Callable[[], Patch],
    play: Callable[[int], object],
    seeds_max: int,
    failures: tuple[type[Exception], ...],
) -> str | None:
    """What the first seed that fails says of the bug; None where none does."""
    with mutation():
        for seed in range(seeds_max):
            try:
                play(seed)
            except failures as error:
                return f"seed {seed}: {type(error).__name__}: {error}"
    return None
