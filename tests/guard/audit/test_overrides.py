"""The files of a what-if: a part of a configuration or a whole one, refused by place."""

from pathlib import Path

import pytest

from guard.audit.overrides import Overrides, load_overrides
from guard.config.errors import ConfigError
from guard.config.file import DeskTerms
from guard_support import DEV_CONFIG_TEXT, DEV_POLICY_DIGEST_HEX

POLICY = DEV_CONFIG_TEXT[DEV_CONFIG_TEXT.index("[policy]") : DEV_CONFIG_TEXT.index("[[instr")]
DESK = '[[desks]]\ndesk = "desk-alpha"\nbudget = "5.00"\nexposure_cap = "none"\n'


def load(tmp_path: Path, text: str, option: str) -> Overrides:
    file = tmp_path / "new.toml"
    file.write_text(text)
    return load_overrides(*((file, None) if option == "policy" else (None, file)))


def test_nothing_given_is_nothing_changed() -> None:
    assert load_overrides(None, None) == Overrides()


@pytest.mark.parametrize("text", [POLICY, DEV_CONFIG_TEXT], ids=["part", "whole"])
def test_a_policy(text: str, tmp_path: Path) -> None:
    overrides = load(tmp_path, text, "policy")
    assert overrides.policy is not None
    assert overrides.policy_digest_hex == DEV_POLICY_DIGEST_HEX
    assert overrides.desks == {}
    assert overrides.currency is None


def test_limits(tmp_path: Path) -> None:
    text = DESK + "[settings]\nremembered_order_window_s = 7\n"
    assert load(tmp_path, text, "limits") == Overrides(
        desks={"desk-alpha": DeskTerms("desk-alpha", 500_000_000, None)},
        remembered_order_window_ns=7_000_000_000,
    )
    whole = load(tmp_path, DEV_CONFIG_TEXT, "limits")
    assert whole.policy is None
    assert set(whole.desks) == {"desk-alpha", "desk-beta"}
    assert (whole.currency, whole.remembered_orders_max) == ("USD", 1_000_000)


@pytest.mark.parametrize(
    ("option", "text", "named"),
    [
        ("policy", "", "policy"),
        ("policy", DESK, "policy"),
        ("policy", "[policy]\n", "policy_epoch"),
        ("policy", POLICY.replace("9600", "96000", 1), r"\$.policy.hard_risk_limit_bps"),
        ("policy", POLICY.replace("venue = 20", "venue = 10"), "policy.venues: venue 10"),
        ("policy", POLICY + "\n[polcy]\n", "polcy: is not known; allowed: clients, "),
        ("policy", POLICY + "bogus = 1\n", "bogus"),
        ("policy", POLICY.replace("provider = 0", "provider = 0\nenabled = false")
            .replace("provider = 1", "provider = 1\nenabled = false")
            .replace("provider = 2", "provider = 2\nenabled = false"), "policy: enabled is 0"),
        ("policy", "[policy", "Expected .* at the end of a table declaration"),
        ("limits", "", r"holds no limits; allowed: \[limits\], \[\[desks\]\], \[settings\]"),
        ("limits", POLICY, "holds no limits"),
        ("limits", DESK.replace("5.00", "5.000000001"), r"desks\[desk-alpha\].budget"),
        ("limits", DESK.replace("none", "0"), r"desks\[desk-alpha\].exposure_cap"),
        ("limits", DESK + DESK, "stands twice"),
        ("limits", DESK.replace("desk-alpha", "a b"), "desk 'a b' is not allowed"),
        ("limits", DESK + "cap = 1\n", "cap"),
        ("limits", "[settings]\nremembered_orders_max = 0\n", "remembered_orders_max"),
        ("limits", "[settings]\nbogus = 0\n", "bogus"),
        ("limits", "[settings]\ncurrency = 'usd'\n", "currency"),
        ("limits", "desks = 5\n", "desks"),
    ],
)  # fmt: skip
def test_what_is_refused_names_file_and_place(
    option: str, text: str, named: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=rf"new\.toml: .*{named}"):
        load(tmp_path, text, option)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none: cannot be read: No such file"):
        load_overrides(tmp_path / "none", None)
    (tmp_path / "bad").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="bad: 'utf-8' codec"):
        load_overrides(None, tmp_path / "bad")
