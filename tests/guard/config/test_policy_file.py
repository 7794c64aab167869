"""A policy from a file of its own, or from a whole configuration."""

import re
from pathlib import Path

import pytest

from guard.config.errors import ConfigError
from guard.config.file import load_config
from guard.config.policy_file import load_policy
from guard_support import DEV_CONFIG_PATH, DEV_CONFIG_TEXT


def test_a_file_of_the_policy_alone(tmp_path: Path) -> None:
    whole = DEV_CONFIG_TEXT
    policy = "[policy]" + whole.split("[policy]")[1].split("[[instruments]]")[0]
    for name, text in (("whole", whole), ("alone", policy)):
        (tmp_path / name).write_text(text)
        assert load_policy(tmp_path / name) == load_config(DEV_CONFIG_PATH).policy
    for bad, said in (
        (policy.replace("9600", "96000"), "not 96000 - at `$.policy.hard_risk_limit_bps`"),
        (policy.replace("[policy]", "[polic]"), "unknown field `polic`"),
        (policy.replace("[[policy.venues]]", "[[policy.venue]]"), "unknown field `venue`"),
    ):
        (tmp_path / "bad").write_text(bad)
        with pytest.raises(ConfigError, match=re.escape(said)):
            load_policy(tmp_path / "bad")
