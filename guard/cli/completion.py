"""`pretrade-guard completion`: what a shell needs to complete the command line; the manual page.

Owns both texts. They are made of the parsers (`guard.cli.tree`), each time anew: what is installed
is what is completed.
"""

import argparse
import re
from collections.abc import Callable
from typing import Final

from guard.cli.base import EXIT_GOOD, Commands
from guard.cli.tree import Node, choices_of, takes_value, tree_of

PROG: Final = "pretrade-guard"

_BASH: Final = """\
# Completion of {prog} for bash: . <({prog} completion bash)
_{name}() {{
    local at="" word previous="" cur="${{COMP_WORDS[COMP_CWORD]}}" offered="" i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${{COMP_WORDS[i]}}"
        case "$at/$word" in
            {paths}) at="$at/$word" ;;
        esac
    done
    if ((COMP_CWORD > 1)); then previous="${{COMP_WORDS[COMP_CWORD - 1]}}"; fi
    case "$at $previous" in
{choices}
    esac
    if [ -z "$offered" ]; then
        case "$at" in
{words}
        esac
    fi
    COMPREPLY=($(compgen -W "$offered" -- "$cur"))
}}
complete -o bashdefault -o default -F _{name} {prog}
"""
_ZSH: Final = """\
#compdef {prog}
# Completion of {prog} for zsh: . <({prog} completion zsh)
autoload -U +X compinit bashcompinit
(( $+functions[compdef] )) || compinit
bashcompinit
"""


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "print the completion of this command line for a shell, or its manual page"
    parser = commands.add_parser("completion", help=text, description=text)
    parser.add_argument("shell", choices=tuple(_TEXTS), help="whose text; `man` is the page")
    parser.set_defaults(command=_completion)


def _completion(options: argparse.Namespace) -> int:
    from guard.cli import parser_of

    print(_TEXTS[options.shell](tree_of(parser_of())), end="")
    return EXIT_GOOD


def bash_of(tree: Node) -> str:
    """The script for bash."""
    nodes = list(tree.walk())
    paths = " | ".join(_path(node) for node in nodes if node.words)
    choices = [
        f"        '{_path(node)} {option}')\n            offered={_quoted(choices_of(action))} ;;"
        for node in nodes
        for action in node.options
        for option in action.option_strings
        if choices_of(action)
    ]
    values = [
        f"        *' '{option}) return ;;"
        for option in sorted(
            {
                option
                for node in nodes
                for action in node.options
                if takes_value(action) and not choices_of(action)
                for option in action.option_strings
            }
        )
    ]
    words = [f'            "{_path(node)}") offered={_quoted(_words(node))} ;;' for node in nodes]
    return _BASH.format(
        prog=PROG,
        name=PROG.replace("-", "_"),
        paths=paths,
        choices="\n".join([*choices, *values]),
        words="\n".join(words),
    )


def _path(node: Node) -> str:
    return "".join(f"/{word}" for word in node.words)


def _words(node: Node) -> list[str]:
    words = [below.words[-1] for below in node.below]
    words += [choice for action in node.arguments for choice in choices_of(action)]
    return words + [option for action in node.options for option in action.option_strings]


def _quoted(words: list[str]) -> str:
    return "'" + " ".join(words) + "'"


def zsh_of(tree: Node) -> str:
    """The script for zsh, which takes bash's."""
    return _ZSH.format(prog=PROG) + bash_of(tree)


_HEAD: Final = """\
.TH PRETRADE-GUARD 1
.SH NAME
pretrade-guard \\- durable, replayable pre-trade decisions over ZeroMQ
.SH SYNOPSIS
.B pretrade-guard
.I COMMAND
[options]
.SH DESCRIPTION
A daemon stands between trading systems and the market. Each order is answered admit or reject once
its record is on disk, in a chained log that anyone with the key can check and decide again. This
page lists the commands; RUNBOOK.md says how to run it in production, PROTOCOL.md how clients talk
to it, ADMIN.md how operators do.
.SH COMMANDS
"""
_TAIL: Final = """\
.SH EXIT STATUS
0 good; 1 damage, a refusal, a failed environment; 2 wrong use, or a start that waits for an option;
3 an end that the next start mends, or (status) something that is wrong; 130, 143, 129 ended by
SIGINT, SIGTERM, SIGHUP; 141 whoever read the output is gone.
.SH SIGNALS
.B run
stops in good order upon SIGTERM, SIGINT, SIGQUIT and SIGXCPU. SIGHUP reads the configuration again,
all of its changes or none; SIGUSR1 begins a segment of the log, SIGUSR2 takes a checkpoint.
.SH ENVIRONMENT
NO_COLOR: no colours. PRETRADE_GUARD_PURE=1: interpreted, with the same answers.
.SH FILES
LOG_DIR/*.jsonl: the log's segments. LOG_DIR/configured: what the configuration said when it was
last read. LOG_DIR.admin: the operators' socket.
.SH EXAMPLES
.nf
pretrade\\-guard run \\-\\-config guard.toml \\-\\-new\\-log
pretrade\\-guard admin halt \\-\\-firm \\-\\-why 'it loops' \\-\\-config guard.toml
pretrade\\-guard close \\-\\-config guard.toml \\-\\-why 'end of day' \\-\\-certificate day.json
.fi
"""


def manual_of(tree: Node) -> str:
    """The manual page, in roff."""
    parts = [_HEAD]
    for node in tree.walk():
        if node.words:
            parts.append(_section(node))
    return "".join(parts) + _TAIL


def _section(node: Node) -> str:
    arguments = " ".join(_roff(_shown(action)) for action in node.arguments)
    lines = [f".SS {_roff(' '.join(node.words))} {arguments}".rstrip(), _roff(node.help)]
    for action in [*node.arguments, *node.options]:
        if "--help" in action.option_strings:
            continue
        lines += [".TP", f".B {_roff(_shown(action))}", _roff(_plain(action.help or ""))]
    return "\n".join(line for line in lines if line) + "\n"


def _shown(action: argparse.Action) -> str:
    name = action.metavar or "|".join(choices_of(action)) or action.dest.upper()
    word = name if isinstance(name, str) else " ".join(name)
    if not action.option_strings:
        return word
    names = ", ".join(action.option_strings)
    return f"{names} {word}" if takes_value(action) else names


def _plain(text: str) -> str:
    """Without what depends on the machine: how many processes it would take."""
    return re.sub(r"%\((\w+)\)s", r"\1", text).replace("%%", "%")


def _roff(text: str) -> str:
    safe = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{safe}" if safe.startswith((".", "'")) else safe


_TEXTS: Final[dict[str, Callable[[Node], str]]] = {
    "bash": bash_of,
    "zsh": zsh_of,
    "man": manual_of,
}
