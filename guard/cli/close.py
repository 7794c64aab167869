"""`pretrade-guard close`: ends a day, and writes its certificate; checks one.

Owns the order of a close: the day's record, on disk; then its certificate from the log itself,
signed where a key is given; while a segment is sealed, a checkpoint is taken and the anchor moves
on. All of it may be run again: a day is closed once, and its certificate is the same to the byte.

Exit codes: 0 good; 1 refused, or a certificate that is not the log's; 2 wrong use.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.cli.base import (
    EXIT_FAILED,
    EXIT_GOOD,
    Commands,
    UsageError,
    add_key_argument,
    complain,
    tool_hasher,
)
from guard.cli.close_certificate import check_place, write_certificate
from guard.cli.close_offline import check_options, close_offline
from guard.cli.operator import add_endpoint_arguments, open_client

if TYPE_CHECKING:
    from guard.audit.notes import SigningKey, VerifierKey

DRY_RUN_WHY = "a look at what would change"  # which is not logged
CERTIFICATE_BYTES_MAX = 64 * 1024 * 1024


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "end a day: release its orders, state the balances, write a certificate; or check one"
    parser = commands.add_parser("close", help=text, description=text)
    add_endpoint_arguments(parser)
    parser.add_argument(
        "--day", metavar="YYYY-MM-DD", help="the day's name (default: today's date, UTC)"
    )
    parser.add_argument("--why", metavar="TEXT", help="the reason: it is recorded")
    parser.add_argument("--by", metavar="NAME", help="who acts, where it is not this user")
    parser.add_argument("--yes", action="store_true", help="do it without asking")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, no more")
    parser.add_argument(
        "--offline",
        action="store_true",
        help="of a log whose daemon is stopped; needs --config",
    )
    parser.add_argument("--certificate", metavar="FILE", type=Path, help="where to write it")
    parser.add_argument(
        "--signing-key", metavar="FILE", type=Path, help="sign it: from keygen --signing"
    )
    add_key_argument(parser)
    parser.add_argument(
        "--verify", metavar="FILE", type=Path, help="close nothing: hold this against the log"
    )
    parser.add_argument("--public-key", metavar="VKEY", help="of who signed it, to check that too")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(command=_close)


def _close(options: argparse.Namespace) -> int:
    from guard import clock
    from guard.admin.day_name import today_of, wrong_day

    if options.verify is not None:
        return _verify(options)
    today = today_of(clock.system_ns())
    options.day = today.isoformat() if options.day is None else options.day
    if (wrong := wrong_day(options.day, today)) is not None:
        raise UsageError(f"--day: {wrong}")
    if not options.why and not options.dry_run:
        raise UsageError("close needs --why TEXT, which is logged")
    options.why = options.why or DRY_RUN_WHY
    if options.offline:
        check_options(options)
    key = _signing_key(options)
    if options.certificate is not None or options.offline:
        _place(options)
    if options.certificate is not None:
        check_place(options.certificate, options.log, tool_hasher(options), options.day, key)
    code = close_offline(options) if options.offline else _online(options)
    if code != EXIT_GOOD or options.dry_run or options.certificate is None:
        return code
    return _certify(options, key)


def _certify(options: argparse.Namespace, key: "SigningKey | None") -> int:
    from guard.audit.day_certificate import CertificateError, certificate_of

    try:
        certificate = certificate_of(options.log, tool_hasher(options), options.day)
    except CertificateError as error:
        return complain(EXIT_FAILED, f"the day is closed; no certificate was written: {error}")
    write_certificate(options.certificate, certificate, key)
    _show(options, certificate, f"{options.certificate}: written")
    return EXIT_GOOD


def _online(options: argparse.Namespace) -> int:
    from guard.admin.messages import (
        AdminError,
        CloseDay,
        close_action_id,
        decode_request,
        encode_request,
    )
    from guard.cli.admin import EXIT_NOT_CONFIRMED, is_confirmed, print_reply, wants_question
    from guard.client.admin import AdminRefusedError, AdminTimeoutError

    def action(dry_run: bool) -> Any:
        asked = CloseDay(
            action_id=close_action_id(options.day),
            why=options.why,
            by=options.by,
            day=options.day,
            dry_run=dry_run,
        )
        try:
            return decode_request(encode_request(asked))
        except AdminError as error:
            raise UsageError(str(error)) from error

    is_person = wants_question(options)
    with open_client(options) as client:
        try:
            if options.dry_run or is_person:
                print_reply(client.ask(action(True)), options.json)
                if options.dry_run:
                    return EXIT_GOOD
                if not is_confirmed():
                    return complain(EXIT_NOT_CONFIRMED, "nothing was done")
            print_reply(client.ask(action(False)), options.json)
        except AdminRefusedError as refused:
            return complain(EXIT_FAILED, f"{refused.code}: {refused}")
        except AdminTimeoutError as error:
            return complain(
                EXIT_FAILED, f"{error}; the same command again goes on, and closes the day once"
            )
    return EXIT_GOOD


def _verify(options: argparse.Namespace) -> int:
    from guard.audit.day_certificate import (
        CertificateError,
        certificate_of,
        check_certificate,
        differences,
    )
    from guard.cli.prove import read_input

    key = _public_key(options)
    _place(options)
    data = read_input(options.verify, CERTIFICATE_BYTES_MAX)
    try:
        said = check_certificate(data, key)
        found = certificate_of(options.log, tool_hasher(options), said["day"])
    except CertificateError as error:
        return complain(EXIT_FAILED, f"{options.verify}: FALSE: {error}")
    texts = differences(said, found)
    for text in texts:
        complain(EXIT_FAILED, f"{options.verify}: FALSE: {text}")
    if texts:
        return EXIT_FAILED
    signed = "its signature is good" if key is not None else "its signature was not looked at"
    _show(options, said, f"{options.verify}: true, as the log says it; {signed}")
    return EXIT_GOOD


def _place(options: argparse.Namespace) -> Path:
    """The log's directory, and its key, from the configuration where that is given."""
    if options.log is None:
        if options.config is None:
            raise UsageError("where the log is must be said: --config FILE, or --log LOG_DIR")
        from guard.config.file import load_config
        from guard.config.keys import EPHEMERAL_KEY_NAME

        config = load_config(options.config).log
        options.log = Path(config.directory)
        if options.key_file is None:
            options.old_key_file = [Path(path) for path in config.old_key_files]
        if options.key_file is None and config.forward_secure:
            options.root_key_file = None if config.key_file is None else Path(config.key_file)
        elif options.key_file is None:
            own = options.log / EPHEMERAL_KEY_NAME
            options.key_file = own if config.ephemeral_key else config.key_file
            options.key_file = None if options.key_file is None else Path(options.key_file)
    directory: Path = options.log
    return directory


def _signing_key(options: argparse.Namespace) -> "SigningKey | None":
    if options.signing_key is None:
        return None
    from guard.audit.keyfiles import load_signing_key

    if options.certificate is None:
        raise UsageError("--signing-key: signs a certificate; say where with --certificate FILE")
    return load_signing_key(options.signing_key)


def _public_key(options: argparse.Namespace) -> "VerifierKey | None":
    if options.public_key is None:
        return None
    from guard.audit.notes import NoteKeyError, parse_verifier_key

    try:
        return parse_verifier_key(options.public_key.strip())
    except NoteKeyError as error:
        raise UsageError(f"--public-key: {error}") from error


def _show(options: argparse.Namespace, certificate: dict[str, Any], title: str) -> None:
    from guard.audit.day_certificate import digest_hex
    from guard.protocol.instruments import money_text

    digest = digest_hex(certificate)
    if options.json:
        print(json.dumps({"ok": True, "digest_hex": digest, "certificate": certificate}))
        return
    print(title)
    counts = ", ".join(f"{count} {name}" for name, count in certificate["counts"].items())
    print(f"  day {certificate['day']}, log {certificate['log_id']}: {counts}")
    print(f"  records {certificate['first_sequence']} to {certificate['head_sequence']}")
    print(f"  head {certificate['head_hash']}\n  digest {digest}")
    for row in certificate["desks"]:
        money = ", ".join(
            f"{word} {money_text(row[f'{word}_microcents'], ',')}"
            for word in ("granted", "held", "spent", "remaining")
        )
        print(f"  {row['desk']}: {money}")
