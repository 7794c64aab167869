"""The command line as a tree: its commands, their options and arguments, from the parsers. Pure.

Owns the walk over argparse's parsers, for completion and for the manual page, so that neither can
say what the command line does not take.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Node:
    """A command: its words, what it takes, and the commands below it."""

    words: tuple[str, ...]
    help: str
    actions: list[argparse.Action] = field(default_factory=list)
    below: list["Node"] = field(default_factory=list)

    def walk(self) -> Iterator["Node"]:
        """This one, and all below it."""
        yield self
        for node in self.below:
            yield from node.walk()

    @property
    def options(self) -> list[argparse.Action]:
        """What begins with a dash and is told of."""
        return [
            action
            for action in self.actions
            if action.option_strings and action.help != argparse.SUPPRESS
        ]

    @property
    def arguments(self) -> list[argparse.Action]:
        """What stands by its place."""
        return [action for action in self.actions if not action.option_strings]


def tree_of(parser: argparse.ArgumentParser, words: tuple[str, ...] = (), text: str = "") -> Node:
    """The tree below a parser."""
    node = Node(words, text or parser.description or "")
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            node.below = [
                tree_of(below, (*words, name), helps.get(name, ""))
                for name, below in action.choices.items()
            ]
        else:
            node.actions.append(action)
    return node


def takes_value(action: argparse.Action) -> bool:
    """Does a word follow the option?"""
    return action.nargs != 0


def choices_of(action: argparse.Action) -> list[str]:
    """The words that it may have; none where any."""
    return [str(choice) for choice in action.choices or ()]
