"""The configuration's `[cluster]`: what it takes, what it refuses, where its paths lead."""

from pathlib import Path

import pytest

from daemon_support import config_text
from guard.config.cluster_section import Host, host_of
from guard.config.errors import ConfigError
from guard.config.file import load_config, parse_config

GOOD = {
    "hosts": '["/run/postgresql", "127.0.0.1:5433"]',
    "log": '"desk-alpha"',
    "standby_names": '["ANY 1 (b, c)"]',
}


def section(beside: str = "", /, **changes: str | None) -> str:
    lines = {**GOOD, **changes}
    rows = "".join(f"{key} = {value}\n" for key, value in lines.items() if value is not None)
    return config_text(log=beside) + f"[cluster]\n{rows}"


def test_a_section_says_what_is_demanded_and_no_more() -> None:
    cluster = parse_config(section()).cluster
    assert cluster is not None
    assert (cluster.durability, cluster.takeover, cluster.synchronous_commit) == (
        *("both", "told", "on"),
    )
    assert parse_config(config_text()).cluster is None


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("db.example:6000", Host("db.example", 6000)),
        ("db.example", Host("db.example", 5432)),
        ("[2001:db8::1]:5432", Host("2001:db8::1", 5432)),
        ("/run/postgresql", Host("/run/postgresql", 5432)),
        ("/run/pg:5433", Host("/run/pg", 5433)),
        ("/run/odd:name", Host("/run/odd:name", 5432)),
        ("db:0", None),
        ("db:65536", None),
        ("db:x", None),
        (":5432", None),
        ("", None),
    ],
)
def test_hosts_are_names_with_ports_or_directories(text: str, host: Host | None) -> None:
    assert host_of(text) == host


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hosts": "[]"}, "cluster.hosts: 0 given; allowed: 1 to 16"),
        ({"hosts": '["db:x"]'}, "cluster.hosts: 'db:x' is not allowed"),
        ({"hosts": '["db.example"]'}, "whose certificate it must show"),
        ({"standby_names": "[]"}, "cluster.standby_names: 0 given"),
        ({"standby_names": '[" "]'}, "a commit would wait for nobody"),
        ({"log": '"a b"'}, "cluster.log: 'a b' is not allowed"),
        ({"log": None}, "cluster.log: is missing; allowed: text"),
        (
            {"durability": '"perhaps"'},
            "cluster.durability: 'perhaps' is not allowed; allowed: \"both\"",
        ),
        (
            {"beat_ms": '"x"'},
            "cluster.beat_ms: 'x' is not allowed; allowed: a whole number from 100 to",
        ),
        (
            {"beat_ms": "99"},
            "cluster.beat_ms: 99 is not allowed; allowed: a whole number from 100 to",
        ),
        ({"hosts": '"/run/x"'}, "cluster.hosts: '/run/x' is not allowed; allowed: a list of text"),
        ({"hosts": '["/run/x", 1]'}, "cluster.hosts[1]: 1 is not allowed; allowed: text"),
        ({"hosts": '["/run/x", "/run/x"]'}, "cluster.hosts: '/run/x' stands twice"),
        ({"standby_names": '["ANY 1 (b"]'}, "'ANY 1 (b' is not allowed: its bracket is not closed"),
        ({"standby_names": '["ANY 3 (b, c)"]'}, "it asks for 3 standbys, and names 2"),
        ({"standby_names": '["b", "b"]'}, "cluster.standby_names: 'b' stands twice"),
        ({"database": '""'}, "cluster.database: '' is not allowed; allowed: a name"),
        ({"silence_ms": "1_400"}, "cluster.silence_ms: 1400 is not allowed; allowed: three times"),
        ({"tls_key_file": '"k"'}, "allowed only together with cluster.tls_key_file"),
        ({"password": '"secret"'}, "cluster.password: is not known; allowed: hosts, log,"),
    ],
)
def test_what_cannot_be_is_refused_by_name(changes: dict[str, str | None], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(section(**changes))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "log",
    ['anchor_file = "a"', 'old_key_files = ["a"]', "forward_secure = true", "ephemeral_key = true"],
)
def test_what_the_rows_cannot_follow_is_refused(log: str) -> None:
    with pytest.raises(ConfigError, match="allowed only without"):
        parse_config(section(log))


def test_paths_lead_from_the_file_on(tmp_path: Path) -> None:
    path = tmp_path / "guard.toml"
    path.write_text(
        section(hosts='["db.example:5432"]', tls_root_file='"ca.pem"', password_file='"/x/pass"')
    )
    cluster = load_config(path).cluster
    assert cluster is not None
    assert cluster.tls_root_file == str(tmp_path / "ca.pem")
    assert cluster.password_file == "/x/pass"
