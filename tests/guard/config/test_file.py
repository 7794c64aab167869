"""The configuration file: what it may say, and a clear error for everything else."""

from pathlib import Path
from typing import Any

import pytest

from guard.config.errors import ConfigError
from guard.config.file import (
    DeskTerms,
    EndpointsSection,
    check_orders_endpoint,
    load_config,
    parse_config,
)
from guard.protocol.instruments import define_instrument
from guard_support import (
    CHECKOUT,
    DEV_CONFIG_PATH,
    DEV_CONFIG_TEXT,
    DEV_POLICY_DIGEST_HEX,
    I64_MAX,
    U64_MAX,
)


def test_the_development_configuration() -> None:
    config = load_config(DEV_CONFIG_PATH)
    assert config.policy_digest_hex == DEV_POLICY_DIGEST_HEX  # the vectors' policy, by the wheel
    assert [model.model_id for model in config.policy.models] == [10, 20, 30]
    assert config.instruments == {
        "AAPL": define_instrument("AAPL", "0.01", "1", "1"),
        "BTC-USD": define_instrument("BTC-USD", "0.01", "0.00000001", "1"),
    }
    assert config.desks == {
        "desk-alpha": DeskTerms("desk-alpha", 200_000_000_000_000, 150_000_000_000_000),
        "desk-beta": DeskTerms("desk-beta", 50_000_000_000_000, None),
    }
    settings = config.settings
    assert (settings.currency, settings.remembered_orders_max) == ("USD", 1_000_000)
    assert settings.remembered_order_window_s == 86_400


SHIPPED = sorted((CHECKOUT / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_configuration_that_we_ship_is_good(path: Path) -> None:
    assert load_config(path).desks


def _changed(old: str, new: str) -> str:
    assert old in DEV_CONFIG_TEXT, old
    return DEV_CONFIG_TEXT.replace(old, new, 1)


def _refused(old: str, new: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(_changed(old, new))
    assert type(caught.value) is ConfigError
    return str(caught.value)


UNKNOWN_KEYS = [
    ("[endpoints]", "surprise = 1\n[endpoints]", "surprise", ""),
    ("[endpoints]", "[endpoints]\nsurprise = 1", "surprise", "$.endpoints"),
    ("[settings]", "[settings]\nsurprise = 1", "surprise", "$.settings"),
    ("[policy]", "[policy]\nsurprise = 1", "surprise", "$.policy"),
    ("venue = 20", "venue = 20\nsurprise = 1", "surprise", "$.policy.venues[1]"),
    ('symbol = "AAPL"', 'symbol = "AAPL"\nsurprise = 1', "surprise", "$.instruments[0]"),
    ('desk = "desk-beta"', 'desk = "desk-beta"\nsurprise = 1', "surprise", "$.desks[1]"),
    ("hard_risk_limit_bps", "hard_risk_limit_BPS", "hard_risk_limit_BPS", "$.policy"),
]


@pytest.mark.parametrize(("old", "new", "key", "place"), UNKNOWN_KEYS)
def test_unknown_keys_are_refused_at_every_level(old: str, new: str, key: str, place: str) -> None:
    at = f" - at `{place}`" if place else ""
    assert _refused(old, new) == f"Object contains unknown field `{key}`{at}"


MISSING = [
    ('orders = "tcp://127.0.0.1:7001"\n', "orders", "$.endpoints"),
    ("policy_epoch = 7\n", "policy_epoch", "$.policy"),
    ("venue = 30\n", "venue", "$.policy.venues[2]"),
    ('lot_size = "1"\n', "lot_size", "$.instruments[0]"),
    ('exposure_cap = "none"\n', "exposure_cap", "$.desks[1]"),
    ('budget = "2000000.00"\n', "budget", "$.desks[0]"),
]


@pytest.mark.parametrize(("line", "key", "place"), MISSING)
def test_missing_keys_are_named(line: str, key: str, place: str) -> None:
    assert _refused(line, "") == f"Object missing required field `{key}` - at `{place}`"


WRONG_TYPES = [
    ('"500000.00"', "500000.00", "$.desks[1].budget"),
    ('"500000.00"', "500000", "$.desks[1].budget"),
    ('"1500000.00"', "1500000.00", "$.desks[0].exposure_cap"),
    ('exposure_cap = "none"', "exposure_cap = false", "$.desks[1].exposure_cap"),
    ('tick_size = "0.01"', "tick_size = 0.01", "$.instruments[0].tick_size"),
    ('lot_size = "1"', "lot_size = 1", "$.instruments[0].lot_size"),
    ("policy_epoch = 7", "policy_epoch = 7.0", "$.policy.policy_epoch"),
    ("policy_epoch = 7", 'policy_epoch = "7"', "$.policy.policy_epoch"),
    ("policy_epoch = 7", "policy_epoch = true", "$.policy.policy_epoch"),
    ("policy_epoch = 7", "policy_epoch = -1", "$.policy.policy_epoch"),
    ("venue = 20", "venue = 0", "$.policy.venues[1].venue"),
    ("venue = 20", "venue = 4294967296", "$.policy.venues[1].venue"),
    ("provider = 1", "provider = 64", "$.policy.venues[1].provider"),
    ("quality_bps = 9400", "quality_bps = 10001", "$.policy.venues[1].quality_bps"),
    ("hard_risk_limit_bps = 9600", "hard_risk_limit_bps = 10001", "$.policy.hard_risk_limit_bps"),
    (
        "risk_penalty_multiplier_bps = 4000",
        "risk_penalty_multiplier_bps = 50001",
        "$.policy.risk_penalty_multiplier_bps",
    ),
    ("venue = 20", "venue = 20\nenabled = 1", "$.policy.venues[1].enabled"),
    ("venue = 20", "venue = 20\nregions = 1.0", "$.policy.venues[1].regions"),
    ("venue = 20", "venue = 20\nregions = true", "$.policy.venues[1].regions"),
    ('currency = "USD"', 'currency = "usd"', "$.settings.currency"),
    ('currency = "USD"', 'currency = "USD\\n"', "$.settings.currency"),
    ('currency = "USD"', 'currency = "USDT"', "$.settings.currency"),
    ("max = 1_000_000", "max = 0", "$.settings.remembered_orders_max"),
    ("max = 1_000_000", "max = 10_000_001", "$.settings.remembered_orders_max"),
    ("window_s = 86_400", "window_s = 0", "$.settings.remembered_order_window_s"),
    ("window_s = 86_400", "window_s = 31_536_001", "$.settings.remembered_order_window_s"),
    ("[endpoints]", "[endpoints]\nbusy_poll_us = -1", "$.endpoints.busy_poll_us"),
    ("[endpoints]", "[endpoints]\nbusy_poll_us = 10_001", "$.endpoints.busy_poll_us"),
]


@pytest.mark.parametrize(("old", "new", "place"), WRONG_TYPES)
def test_wrong_types_and_ranges_name_the_place(old: str, new: str, place: str) -> None:
    assert _refused(old, new).endswith(f" - at `{place}`")


DECIMAL = (
    'is not allowed; allowed: a plain decimal such as "12.50", no commas, at most 18 digits on '
    "either side of the point"
)
BAD_MONEY = ["", "-1", "+1", "1e6", "1_000", "1,000", "1.", ".5", " 1", "1 ", "1\\n", "0x1", "NaN"]
BAD_MONEY += ["\u0661", "1.1.1", "9" * 19, "1." + "0" * 19]


@pytest.mark.parametrize("text", BAD_MONEY)
def test_money_is_plain_decimal_text(text: str) -> None:
    shown = repr(text.replace("\\n", "\n"))
    assert _refused('"500000.00"', f'"{text}"') == f"desks[desk-beta].budget: {shown} {DECIMAL}"
    assert _refused('"1500000.00"', f'"{text}"') == (
        f"desks[desk-alpha].exposure_cap: {shown} {DECIMAL}"
    )
    assert _refused('tick_size = "0.01"', f'tick_size = "{text}"') == (
        f"instruments[AAPL].tick_size: {shown} {DECIMAL}"
    )


@pytest.mark.parametrize(
    ("text", "microcents"),
    [
        ("0", 0),
        ("0.00000001", 1),
        ("1", 100_000_000),
        ("007.50", 750_000_000),
        ("1.000000010", 100_000_001),
        ("92233720368.54775807", I64_MAX),
    ],
)
def test_money_is_exact(text: str, microcents: int) -> None:
    desks = parse_config(_changed('"500000.00"', f'"{text}"')).desks
    assert desks["desk-beta"].budget_microcents == microcents


def test_money_that_does_not_fit() -> None:
    assert _refused('"500000.00"', '"0.000000001"') == (
        "desks[desk-beta].budget: '0.000000001' is not allowed; allowed: at most 8 decimal places"
    )
    assert _refused('"500000.00"', '"92233720368.54775808"') == (
        "desks[desk-beta].budget: '92233720368.54775808' is not allowed; allowed: at most "
        "9223372036854775807 microcents (92233720368 units of currency)"
    )


@pytest.mark.parametrize("zero", ["0", "0.00", "000"])
def test_a_cap_of_nothing_is_refused(zero: str) -> None:
    assert _refused('"1500000.00"', f'"{zero}"') == (
        f"desks[desk-alpha].exposure_cap: '{zero}' is not allowed; allowed: above zero, or "
        '"none" for no cap'
    )
    assert "exposure_cap: 'None'" in _refused('"none"', '"None"')


@pytest.mark.parametrize("size", ["tick_size", "lot_size", "multiplier"])
def test_a_size_of_nothing_is_refused(size: str) -> None:
    old = {"tick_size": 'tick_size = "0.01"', "lot_size": 'lot_size = "1"'}.get(size, "\n[[desks]]")
    new = f'{size} = "0.0"' + ("\n[[desks]]" if size == "multiplier" else "")
    symbol = "BTC-USD" if size == "multiplier" else "AAPL"
    assert _refused(old, new) == (
        f"instruments[{symbol}].{size}: '0.0' is not allowed; allowed: above zero"
    )


def test_what_stands_twice() -> None:
    assert _refused('"BTC-USD"', '"AAPL"') == "instruments: symbol 'AAPL' stands twice"
    assert _refused('"desk-beta"', '"desk-alpha"') == "desks: desk 'desk-alpha' stands twice"
    assert _refused("venue = 20", "venue = 10") == "policy.venues: venue 10 stands twice"
    assert "Cannot overwrite a value" in _refused("policy_epoch = 7", "policy_epoch = 7\n" * 2)


@pytest.mark.parametrize("name", ["", "a b", "é", "x" * 33, "a\\n"])
def test_names_of_desks_and_symbols(name: str) -> None:
    shown = repr(name.replace("\\n", "\n"))
    assert f"desks: desk {shown} is not allowed" in _refused('"desk-beta"', f'"{name}"')
    assert f".symbol: {shown} is not allowed" in _refused('"AAPL"', f'"{name}"')


@pytest.mark.parametrize(
    ("written", "mask"), [('"all"', U64_MAX), ("0", 0), ("1", 1), (str(U64_MAX), U64_MAX)]
)
def test_masks(written: str, mask: int) -> None:
    text = _changed("venue = 10\n", f"venue = 10\nregions = {written}\ncapabilities = {written}\n")
    model = parse_config(text).policy.models[0]
    assert (model.region_mask, model.capabilities) == (mask, mask)


@pytest.mark.parametrize("key", ["regions", "capabilities"])
@pytest.mark.parametrize("value", [-1, U64_MAX + 1, 10**30])
def test_masks_out_of_range(key: str, value: int) -> None:
    assert _refused("venue = 20\n", f"venue = 20\n{key} = {value}\n") == (
        f'policy.venues[20].{key}: {value} is not allowed; allowed: "all" or 0 to 2^64-1'
    )


U64_FIELDS = [
    ("policy_epoch = 7", "policy.policy_epoch"),
    ("catalog_epoch = 42", "policy.catalog_epoch"),
    ("latency_penalty_microcents_per_ms = 4", "policy.latency_penalty_microcents_per_ms"),
    ("fee_microcents_per_order = 9500", "policy.venues[20].fee_microcents_per_order"),
    (
        "fee_microcents_per_million_lots = 5100",
        "policy.venues[20].fee_microcents_per_million_lots",
    ),
]


@pytest.mark.parametrize(("line", "place"), U64_FIELDS)
def test_a_u64_of_the_policy_to_its_end(line: str, place: str) -> None:
    key, _, _ = line.partition(" = ")
    parse_config(_changed(line, f"{key} = {U64_MAX}"))
    assert _refused(line, f"{key} = {U64_MAX + 1}") == (
        f"{place}: {U64_MAX + 1} is not allowed; allowed: 0 to 2^64-1"
    )


def test_a_policy_needs_an_enabled_venue() -> None:
    text = DEV_CONFIG_TEXT.replace("provider = ", "enabled = false\nprovider = ")
    with pytest.raises(ConfigError, match=r"^policy: enabled is 0 in every model"):
        parse_config(text)
    head, _, rest = DEV_CONFIG_TEXT.partition("[[policy.venues]]")
    without = head + "venues = []\n" + rest[rest.index("[[instruments]]") :]
    with pytest.raises(ConfigError, match=r"^policy: models is empty"):
        parse_config(without)


def test_venues_may_stand_in_any_order() -> None:
    blocks = DEV_CONFIG_TEXT.split("[[policy.venues]]")
    last, rest = blocks[3].split("[[instruments]]", 1)
    swapped = "[[policy.venues]]".join([blocks[0], last, blocks[2], blocks[1]])
    config = parse_config(f"{swapped}[[instruments]]{rest}")
    assert config.policy_digest_hex == DEV_POLICY_DIGEST_HEX


ENDPOINTS_GOOD = [
    "tcp://127.0.0.1:7001",
    "tcp://127.255.0.9:1",
    "tcp://127.0.0.1:*",
    "tcp://localhost:7001",
    "tcp://[::1]:7001",
    "ipc:///run/guard/orders",
    "ipc://@orders",
    "tcp://127.0.0.1:0",
    "tcp://127.0.0.1:65535",
]
ENDPOINTS_OPEN = [
    "tcp://0.0.0.0:7001",
    "tcp://*:7001",
    "tcp://eth0:7001",
    "tcp://10.0.0.1:7001",
    "tcp://[::]:7001",
    "tcp://127.0.0.1.evil.com:7001",
    "tcp://localhost.evil.com:7001",
]
ENDPOINTS_BAD = [
    *("", "127.0.0.1:7001", "udp://127.0.0.1:1", "tcp://", "TCP://127.0.0.1:1", "ipc://"),
    *("inproc://orders", "ipc://*", "ipc://@", "ipc://" + 108 * "p", "tcp://127.0.0.1"),
    *("tcp://1127.0.0.1:7001", "tcp://127.999.0.1:7001", "tcp://127.0.0:7001", "tcp://:7001"),
    *("tcp://[::zz]:7001", "tcp://[]:7001", "tcp://::1:7001", "tcp://a b:7001", "tcp://-.:1"),
    *("tcp://127.0.0.1:7001;x", "tcp://127.0.0.1:99999", "tcp://127.0.0.1:65536"),
    *(f"tcp://127.0.0.1:{5_000 * '1'}", f"tcp://{5_000 * '1'}:1"),
    *("tcp://127.0.0.1:", "tcp://127.0.0.1:-1", "tcp://127.0.0.1:+1", "tcp://127.0.0.1:\u0661"),
    f"tcp://{254 * 'h'}:1",
]


def _endpoint(endpoint: str, **more: Any) -> EndpointsSection:
    section = EndpointsSection("tcp://127.0.0.1:1", **more)
    check_orders_endpoint(endpoint, section)
    return section


@pytest.mark.parametrize("name", ["admin", "feed"])
def test_an_endpoint_beside_the_orders_is_this_machine_s_alone(name: str) -> None:
    orders = 'orders = "tcp://127.0.0.1:7001"'
    for endpoint in ENDPOINTS_GOOD:
        config = parse_config(_changed(orders, f'{orders}\n{name} = "{endpoint}"'))
        assert getattr(config.endpoints, name) == endpoint
    for endpoint in [*ENDPOINTS_OPEN, *ENDPOINTS_BAD]:
        message = _refused(orders, f'{orders}\n{name} = "{endpoint}"')
        assert message.startswith(f"endpoints.{name}: {endpoint!r} is not allowed")


def test_endpoints() -> None:
    for endpoint in ENDPOINTS_GOOD:
        _endpoint(endpoint)
        config = parse_config(_changed("tcp://127.0.0.1:7001", endpoint))
        assert config.endpoints.orders == endpoint
    for endpoint in ENDPOINTS_OPEN:
        message = _refused("tcp://127.0.0.1:7001", endpoint)
        assert message.startswith(f"endpoints.orders: {endpoint!r} can be reached from the network")
        with pytest.raises(ConfigError, match="clients are not authenticated"):
            _endpoint(endpoint)
        _endpoint(endpoint, curve_secret_key_file="curve.key")
    for endpoint in ENDPOINTS_BAD:
        message = _refused("tcp://127.0.0.1:7001", endpoint)
        assert message.startswith(f"endpoints.orders: {endpoint!r} is not allowed; ")
        assert "allowed: " in message.removeprefix(f"endpoints.orders: {endpoint!r} is not allowed")
        with pytest.raises(ConfigError, match="is not allowed"):
            _endpoint(endpoint, curve_secret_key_file="curve.key")


def test_which_words_there_are_is_said() -> None:
    assert _refused("venue = 20", 'venue = 20\ncapabilities = "ALL"') == (
        "policy.venues[1].capabilities: 'ALL' is not allowed; allowed: a whole number or \"all\""
    )


def test_one_key_or_the_other() -> None:
    message = _refused("ephemeral_key = true", 'ephemeral_key = true\nkey_file = "/k"')
    assert message == "log.key_file: allowed only without log.ephemeral_key = true"
    config = parse_config(_changed("ephemeral_key = true", 'key_file = "/k"'))
    assert (config.log.key_file, config.log.ephemeral_key) == ("/k", False)


def test_what_is_said_of_evolving_keys_alone() -> None:
    plain = 'key_file = "/k"\nkey_minutes_max = 15'
    message = _refused("ephemeral_key = true", plain)
    assert message == "log.key_minutes_max: allowed only with log.forward_secure = true"
    evolving = 'key_file = "/k"\nforward_secure = true'
    for text, minutes in ((evolving, 15), (f"{evolving}\nkey_minutes_max = 3", 3)):
        log = parse_config(_changed("ephemeral_key = true", text)).log
        assert (log.forward_secure, log.key_minutes) == (True, minutes)


UNREADABLE = {
    "[policy": "Expected ']'",
    "x = " + "9" * 5_000: "Exceeds the limit",
    "x = " + "[" * 20_000: "",
    "x = 1\nx = 2": "Cannot overwrite",
    "\0": "",
    "": "missing required field",
}


@pytest.mark.parametrize("text", UNREADABLE, ids=lambda text: repr(text[:10]))
def test_what_is_no_toml_is_a_config_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "guard.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert UNREADABLE[text] in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path)
    path = tmp_path / "latin.toml"
    path.write_bytes(b"# \xe9")
    with pytest.raises(ConfigError, match=r"latin\.toml: 'utf-8' codec can't decode"):
        load_config(path)
    path.write_bytes(b"#" * (16 * 1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="16777217 bytes; allowed: at most 16777216"):
        load_config(path)
