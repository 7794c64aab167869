"""A file of a policy: a whole configuration, or its `[policy]` alone, checked as strictly.

Owns that choice; what a policy may say is `guard.config.file`'s. How it fails: `ConfigError`.
"""

from pathlib import Path
from typing import Any

from msgspec import Struct

from guard.config.errors import ConfigError
from guard.config.file import (
    PolicySection,
    parse_config,
    policy_content,
    read_sections,
    read_text,
)
from guard.engine.apply_event import build_policy
from guard.engine.policy_content import PolicyContent
from kernel import PolicyError


class _PolicyFile(Struct, forbid_unknown_fields=True, frozen=True):
    policy: PolicySection


def load_policy(path: Path) -> PolicyContent:
    """The policy of a configuration file, which may also hold nothing else. Raises ConfigError."""
    try:
        text = read_text(path)
        if read_sections(text, dict[str, Any]).keys() - {"policy"}:
            return parse_config(text).policy
        policy = policy_content(read_sections(text, _PolicyFile).policy)
        build_policy(policy)
    except PolicyError as error:
        raise ConfigError(f"{path}: policy: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return policy
