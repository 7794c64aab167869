"""`pretrade-guard demo`: play recorded order flow through a real daemon."""

import argparse

from guard.cli.base import Commands


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "play recorded order flow through a real daemon"
    commands.add_parser("demo", help=text).set_defaults(command=_demo)


def _demo(options: argparse.Namespace) -> int:
    from guard.demo.play import run_demo
    from guard.process import leaving

    with leaving.nothing_behind(heeds_signals=options.is_own_process):
        return run_demo()
