"""Says what a test run tests: the kernel's form, the packages' place, the policy on seeds.

Owns the report's header and the Hypothesis profiles. Holds no fixtures: those that tests share
stand in helper modules (`*_support.py`), imported by name.

Two profiles. `repeatable` (the default, and CI's) draws the same examples in every run of the same
code, so that a red run is red again on any machine. `explore` draws new ones and ten times as many;
what it finds it prints as a blob that reproduces it, and `--hypothesis-seed=N` repeats a whole run.
Interpreted, `repeatable` plays a quarter of the examples (`form_support.played`).
"""

import importlib
import os
from pathlib import Path

import pytest
from hypothesis import settings

from form_support import played
from kernel import KERNEL_FORM

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGES = ("forms", "kernel", "wal", "guard")
DEFAULT_PROFILE = "repeatable"
EXAMPLES = 100  # Hypothesis's own
EXPLORE_EXAMPLES = 10 * EXAMPLES

# No deadline: an example's time on a busy machine is no property of the code.
settings.register_profile(
    DEFAULT_PROFILE,
    max_examples=played(EXAMPLES),
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
)
settings.register_profile("explore", deadline=None, max_examples=EXPLORE_EXAMPLES, print_blob=True)
settings.load_profile(DEFAULT_PROFILE)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """One line each for the kernel's form, the packages' place and the seeds."""
    return [_kernel_line(), _packages_line(), _seed_line(config)]


def _kernel_line() -> str:
    forced = os.environ.get("PRETRADE_GUARD_PURE", "")
    why = f" (PRETRADE_GUARD_PURE={forced})" if forced else ""
    return f"kernel: {KERNEL_FORM}{why}"


def _packages_line() -> str:
    """Where each package comes from; `checkout` is right for an editable install only."""
    places = []
    for name in PACKAGES:
        package = importlib.import_module(name)
        # A namespace package has no file: its directory stands in __path__.
        place = Path(package.__file__ or next(iter(package.__path__))).resolve()
        inside = place.is_relative_to(CHECKOUT) and "site-packages" not in place.parts
        places.append(f"{name} from {'checkout' if inside else 'installed package'}")
    return "packages: " + ", ".join(places)


def _seed_line(config: pytest.Config) -> str:
    profile = config.getoption("--hypothesis-profile") or DEFAULT_PROFILE
    seed = config.getoption("--hypothesis-seed")
    if profile == DEFAULT_PROFILE:
        policy = "same examples every run; new ones: --hypothesis-profile=explore"
    elif seed is None:
        policy = "new examples every run; a failure prints how to repeat it"
    else:
        policy = f"seed {seed}"
    return f"hypothesis: profile {profile}, {policy}"
