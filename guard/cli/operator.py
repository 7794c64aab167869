"""What `admin`, `status` and their kin share: where the daemon is, and how it is asked.

Owns the arguments that name an admin endpoint, and the words for a daemon that does not answer.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from guard.cli.base import UsageError

if TYPE_CHECKING:
    from guard.client.admin import AdminClient
    from guard.client.options import CurveKeys


TIMEOUT_S: Final = 5.0


def add_endpoint_arguments(parser: argparse.ArgumentParser, timeout_s: float = TIMEOUT_S) -> None:
    """Which daemon: by its configuration, its log's directory, or its admin endpoint."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--config", type=Path, metavar="FILE", help="the daemon's configuration")
    which.add_argument("--log", type=Path, metavar="LOG_DIR", help="the directory of its log")
    which.add_argument("--endpoint", metavar="ADDRESS", help="ipc://PATH or tcp://HOST:PORT")
    add_curve_arguments(parser)
    parser.add_argument(
        "--timeout-s",
        type=_seconds,
        default=timeout_s,
        metavar="S",
        help=f"how long an answer is waited for (default: {timeout_s:g})",
    )


def add_curve_arguments(parser: argparse.ArgumentParser) -> None:
    """The keys for an endpoint that asks for them."""
    parser.add_argument(
        "--curve-key-file", type=Path, metavar="KEY", help="your own key, where it asks for one"
    )
    parser.add_argument("--server-key", metavar="Z85", help="with it: the daemon's public key")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3_600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 3600")
    return seconds


def endpoint_of(options: argparse.Namespace) -> str:
    """The admin endpoint that the arguments name. Raises UsageError, ConfigError."""
    from guard.config.endpoint import BESIDE_LOG, NO_ENDPOINT, admin_endpoint
    from guard.config.file import load_config

    if options.endpoint is not None:
        endpoint: str = options.endpoint
        if not endpoint.startswith(("ipc://", "tcp://")) or endpoint.endswith("://"):
            raise UsageError(
                f"--endpoint: {endpoint!r} is not allowed; allowed: ipc://PATH, tcp://HOST:PORT"
            )
        return endpoint
    admin, directory = BESIDE_LOG, str(options.log and options.log.absolute())
    if options.config is not None:
        config = load_config(options.config)
        admin, directory = config.endpoints.admin, config.log.directory
    found = admin_endpoint(admin, directory)
    if found is None:
        raise UsageError(f"{options.config}: endpoints.admin is {NO_ENDPOINT!r}: there is no door")
    return found


def curve_of(options: argparse.Namespace) -> "CurveKeys | None":
    """The keys that were given, if any. Raises UsageError, ConfigError."""
    import zmq

    from guard.client.options import CurveKeys
    from guard.config.keys import load_curve_key
    from guard.config.z85 import text_of

    if (options.curve_key_file is None) != (options.server_key is None):
        raise UsageError("--curve-key-file KEY and --server-key Z85 go together")
    if options.curve_key_file is None:
        return None
    secret = text_of(load_curve_key(options.curve_key_file))
    public = zmq.curve_public(secret.encode("ascii")).decode("ascii")
    try:
        return CurveKeys(options.server_key, public, secret)
    except ValueError as error:
        raise UsageError(f"--server-key: {options.server_key!r}: {error}") from error


def key_hint(options: argparse.Namespace) -> str | None:
    """Of an endpoint that asks for a key, by the configuration, where none was given: so.

    Raises ConfigError.
    """
    from guard.config.file import load_config

    if options.config is None or options.curve_key_file is not None:
        return None
    config = load_config(options.config)
    named = config.endpoints.curve_secret_key_file
    if named is None or not any(client.roles for client in config.clients or ()):
        return None
    return (
        f"{options.config} names endpoints.curve_secret_key_file, and clients with roles: it asks "
        "for a key: --curve-key-file KEY --server-key Z85"
    )


def open_client(options: argparse.Namespace) -> "AdminClient":
    """A client of that endpoint. Raises UsageError, ConfigError."""
    import zmq

    from guard.client.admin import AdminClient

    endpoint = endpoint_of(options)
    try:
        return AdminClient(endpoint, timeout_s=options.timeout_s, curve=curve_of(options))
    except zmq.ZMQError as error:
        raise UsageError(f"{endpoint}: {error}") from error
