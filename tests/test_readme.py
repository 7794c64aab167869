"""What README.md and the runbook show: links and pictures that are there, commands that work."""

import re
import shlex
from pathlib import Path

import pytest

from guard.cli import parser_of

CHECKOUT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", "guard/RUNBOOK.md", "guard/README.md",
         "guard/bench/README.md")  # fmt: skip
PICTURE_BYTES_MAX = 200_000
# What the runbook's shell has by these names.
NAMES = {"$PG": "pretrade-guard", "$NEW/.venv/bin/pretrade-guard": "pretrade-guard"}
CALL = re.compile(r"\$PG |pretrade-guard |guard_once ")
ONCE = "pretrade-guard run --config c --key-file k --then-stop"


def links(page: str) -> list[str]:
    """The places within the repository that a page links to or shows."""
    found = re.findall(r"\]\(([^)\s]+)\)", (CHECKOUT / page).read_text())
    return [link.partition("#")[0] for link in found if "://" not in link]


def commands(page: str) -> list[list[str]]:
    """The arguments of each `pretrade-guard` that stands in a block of commands."""
    text = (CHECKOUT / page).read_text()
    found = []
    for block in re.split(r"^```", text, flags=re.MULTILINE)[1::2]:
        for line in block.replace("\\\n", " ").splitlines():
            if '"$@"' in line or not CALL.search(line):  # the function: its callers test it
                continue
            for part in re.split(r"&&|\|", re.sub(r"\$\([^)]*\)", "x", line)):
                words = shlex.split(part.replace("guard_once", ONCE, 1))
                words = [NAMES.get(word, word) for word in words]
                if words and words[0].endswith("pretrade-guard"):
                    found.append(words[1:])
    return found


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_is_there(page: str) -> None:
    for link in links(page):
        assert ((CHECKOUT / page).parent / link).exists(), link


def test_the_readme_shows_the_page_of_a_day_in_pictures_that_load_fast() -> None:
    pictures = [link for link in links("README.md") if link.endswith(".png")]
    assert pictures
    for picture in pictures:
        data = (CHECKOUT / picture).read_bytes()
        assert data.startswith(b"\x89PNG")
        assert len(data) < PICTURE_BYTES_MAX


@pytest.mark.parametrize(("page", "at_least"), [("README.md", 5), ("guard/RUNBOOK.md", 20)])
def test_each_command_of_a_page_is_one_that_the_command_line_takes(
    page: str, at_least: int
) -> None:
    found = commands(page)
    assert len(found) >= at_least
    for arguments in found:
        parser_of().parse_args(arguments)
