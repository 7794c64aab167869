"""Completion, by the shells themselves, and the manual page, by who sets it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from guard.cli import COMMANDS, parser_of
from guard.cli.completion import bash_of, manual_of, zsh_of
from guard.cli.tree import tree_of

needs = {
    name: pytest.mark.skipif(shutil.which(name) is None, reason=f"needs {name}")
    for name in ("bash", "zsh", "groff")
}
TREE = tree_of(parser_of())


def completed(script: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words."""
    line = " ".join(f"'{word}'" for word in ("pretrade-guard", *words))
    asked = (
        f". {script}; COMP_WORDS=({line}); COMP_CWORD={len(words)}; _pretrade_guard; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@needs["bash"]
def test_bash_completes_commands_verbs_options_and_their_words(tmp_path: Path) -> None:
    script = tmp_path / "bash"
    script.write_text(bash_of(TREE))
    assert {"run", "status", "admin", "close", "top"} <= set(completed(script, ""))
    assert len(completed(script, "")) >= len(COMMANDS)
    assert completed(script, "stat") == ["status"]
    assert completed(script, "admin", "top") == ["top-up"]
    halt = completed(script, "admin", "halt", "--d")
    assert set(halt) == {"--desk", "--dry-run"}
    assert completed(script, "admin", "halt", "--desk", "x", "--wh") == ["--why"]
    assert completed(script, "run", "--log-format", "") == ["text", "json"]
    assert completed(script, "run", "--config", "") == []  # a file: the shell's own
    assert set(completed(script, "completion", "")) >= {"bash", "zsh", "man"}


@needs["zsh"]
def test_zsh_takes_it(tmp_path: Path) -> None:
    script = tmp_path / "zsh"
    script.write_text(zsh_of(TREE))
    asked = f". {script}; print $_comps[pretrade-guard]; print $path[1]"
    done = subprocess.run(
        ["zsh", "-f", "-c", asked], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    named, path = done.stdout.splitlines()
    assert "bash_complete" in named
    assert "_pretrade_guard" in named
    assert path


@needs["groff"]
def test_the_page_is_set_without_a_warning_and_names_all() -> None:
    page = manual_of(TREE)
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-rLL=80n"],
        input=page, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    for node in TREE.walk():
        assert " ".join(node.words).replace("-", "\\-") in page
    assert all(line.isprintable() for line in page.splitlines())
