"""What a verb of `pretrade-guard admin` is."""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple


class Verb(NamedTuple):
    """A verb: its help, its own arguments, and the request that it makes of them.

    `build` gets the options and, of an action, the fields that every action has.
    """

    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    build: Callable[[argparse.Namespace, dict[str, Any]], Any]
    is_action: bool = True


def no_arguments(_parser: argparse.ArgumentParser) -> None:
    """A verb that needs none."""
