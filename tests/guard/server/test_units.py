"""The units in systemd/ start what the command line knows, each in its own way."""

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from guard.cli import parser_of

UNITS = Path(__file__).resolve().parent.parent.parent.parent / "systemd"
# Of which the units differ; all else that the smaller one sets, it sets as the service does.
OWN = {"type", "execstart"}


def unit(name: str) -> configparser.ConfigParser:
    # The one key that stands twice is a list; its last line is as good as any for what is asked.
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.read(UNITS / name)
    return parser


def started(name: str) -> list[str]:
    return shlex.split(unit(name)["Service"]["ExecStart"])[1:]


def test_the_service_never_begins_a_log_and_the_other_unit_does() -> None:
    service, begins = started("pretrade-guard.service"), started("pretrade-guard-new-log.service")
    options = parser_of().parse_args(service)
    assert (options.new_log, options.then_stop) == (False, False)
    options = parser_of().parse_args(begins)
    assert (options.new_log, options.then_stop) == (True, True)
    assert set(begins) - set(service) == {"--new-log", "--then-stop"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
@pytest.mark.parametrize("name", sorted(path.name for path in UNITS.glob("*.service")))
def test_what_a_unit_lays_open_is_little(name: str) -> None:
    """At most 1.0, where 10 is everything."""
    line = ["systemd-analyze", "security", "--offline=true", "--threshold=10", UNITS / name]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze cannot judge a file")
    assert done.returncode == 0, [*done.stdout.splitlines()[-1:], done.stderr]


def test_the_service_is_not_restarted_where_it_waits_for_a_person() -> None:
    assert unit("pretrade-guard.service")["Service"]["RestartPreventExitStatus"] == "2"


def test_the_log_is_begun_under_the_services_own_rules() -> None:
    service = unit("pretrade-guard.service")["Service"]
    other = unit("pretrade-guard-new-log.service")["Service"]
    for key, value in other.items():
        assert key in OWN or service[key] == value, key


def test_the_observer_watches_the_service_s_log_as_its_user_and_may_write_nowhere() -> None:
    service = unit("pretrade-guard.service")["Service"]
    observer = unit("pretrade-guard-observe.service")["Service"]
    options = parser_of().parse_args(started("pretrade-guard-observe.service"))
    log = parser_of().parse_args(started("pretrade-guard.service")).log_dir
    assert (options.log, options.listen) == (log, "127.0.0.1:9477")
    assert observer["User"] == service["User"]
    assert observer["ProtectSystem"] == "strict"
    assert not {"StateDirectory", "ReadWritePaths", "LoadCredential"} & {*observer}
