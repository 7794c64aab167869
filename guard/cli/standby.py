"""`pretrade-guard standby`: follow the guard that serves, and be ready to take over.

It is `run` of the same configuration, which follows the cluster's rows first. SIGUSR1 tells it to
take over, and so may the serving guard's silence (`cluster.takeover`); SIGTERM ends it.
"""

from guard.cli.base import Commands
from guard.cli.run import add_places, serve
from guard.process.operator_lines import speaking


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "follow a guard of the cluster, ready to serve in its place (SIGUSR1: now)"
    parser = commands.add_parser("standby", help=text, description=text)
    add_places(parser)
    parser.set_defaults(
        command=serve,
        speaking=speaking,
        is_standby=True,
        take_over=False,
        new_log=False,
        new_anchor=False,
        accept_loss=False,
        accept_clock=False,
        apply_config=False,
        then_stop=False,
        close_day=None,
        resume_desk=[],
        amendments=[],
        why="takeover",
        ephemeral_key=False,
    )
