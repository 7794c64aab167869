"""`pretrade-guard check-config`: check a configuration file, and that what it names is there."""

import argparse
from pathlib import Path

from guard.cli.base import EXIT_GOOD, Commands
from guard.config.errors import ConfigError
from guard.config.file import Config, load_config
from guard.config.limits import effective_lines
from guard.config.places import check_places
from guard.protocol.limits import NAMED_SCOPES


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "check a configuration file, and that what it names is there; nothing is changed"
    parser = commands.add_parser("check-config", help=text)
    parser.add_argument("--config", required=True, type=Path, metavar="FILE")
    parser.add_argument("--key-file", type=Path, metavar="KEY", help="as `run` is given it")
    parser.add_argument(
        "--limits",
        nargs=2,
        metavar=("DESK", "SYMBOL"),
        help="show what limits count for a desk in a symbol, and which scope says each",
    )
    for kind in NAMED_SCOPES:
        parser.add_argument(f"--{kind}", metavar="NAME", help=f"with --limits: of that {kind}, too")
    parser.set_defaults(command=_check_config)


def _check_config(options: argparse.Namespace) -> int:
    config = load_config(options.config, takes_streams=True)
    check_places(config, options.key_file)
    print(
        f"{options.config}: good: policy epoch {config.policy.policy_epoch} "
        f"({config.policy_digest_hex}), {len(config.policy.models)} venues, "
        f"{len(config.instruments)} instruments, {len(config.desks)} desks"
    )
    if options.limits is not None:
        named = {kind: getattr(options, kind) for kind in NAMED_SCOPES}
        said = {kind: name for kind, name in named.items() if name is not None}
        desk, symbol = options.limits
        _show_limits(config, desk, symbol, said)
    if options.key_file is None and config.log.key_file is None and not config.log.ephemeral_key:
        print("it names no key: run needs --key-file KEY")
    return EXIT_GOOD


def _show_limits(config: Config, desk: str, symbol: str, named: dict[str, str]) -> None:
    for name, kind, known in (
        (desk, "desk", config.desks),
        (symbol, "symbol", config.instruments),
    ):
        if name not in known:
            raise ConfigError(f"--limits: there is no {kind} {name!r}")
    named = _with_customer(config, desk, named)
    if not config.limits:
        print("no limits: the configuration has no [limits]")
        return
    lines = [("limit", "value", "said in"), *effective_lines(config.limits, desk, symbol, **named)]
    widths = [max(len(line[column]) for line in lines) for column in range(2)]
    of = "".join(f", {kind} {name}" for kind, name in named.items())
    print(f"limits of desk {desk}{of} in symbol {symbol}:")
    for key, value, place in lines:
        print(f"  {key:<{widths[0]}}  {value:<{widths[1]}}  {place}")


def _with_customer(config: Config, desk: str, named: dict[str, str]) -> dict[str, str]:
    """The names that are asked about, which are there, and whose the account is."""
    account = config.accounts.get(named.get("account", ""))
    if "account" in named and (account is None or account.desk != desk):
        raise ConfigError(f"--account: desk {desk} has no account {named['account']!r}")
    customer = named.get("customer")
    if account is not None:
        if customer not in (None, account.customer):
            said = account.customer or "nobody"
            raise ConfigError(f"--customer: account {account.account} is of {said}, not {customer}")
        return {"customer": account.customer, **named} if account.customer else named
    if customer is not None:
        of_desk = {each.customer for each in config.accounts.values() if each.desk == desk}
        if customer not in of_desk:
            raise ConfigError(f"--customer: desk {desk} has no account of customer {customer!r}")
    return named
