"""What `cluster.standby_names` may hold: PostgreSQL's grammar, and what can be fulfilled."""

import pytest

from guard.config.standby_names import standby_names_problem

GOOD = (
    "ANY 1 (b, c)",
    "any 2 ( b ,c )",
    "FIRST 1 (b, c)",
    "2 (b, c)",
    "b, c",
    "b",
    "ANY 1 (*)",
    "ANY 2 (*)",
    'ANY 1 ("pg-a", "pg ""b""")',
    "*",
    "ANY 1 (node_1, node$2)",
)
# PostgreSQL does not take these.
BROKEN = (
    ("ANY 1 (b", "its bracket is not closed"),
    ("ANY 1 b, c", "the names stand in brackets behind the number"),
    ("ANY (b, c)", "a number of standbys stands before the names"),
    ("ANY", "a number of standbys stands before the names"),
    ("ANY 1", "the names stand in brackets behind the number"),
    ("ANY 1 ()", "a name is missing"),
    ("ANY 1 (b,)", "a name is missing behind the last comma"),
    ("ANY 1 (b,,c)", "a name is missing"),
    ("ANY 1 (b c)", "its names are not parted by commas"),
    ("ANY 1 (b) c", "its bracket is not closed"),
    ("ANY 0 (b)", "a commit would wait for nobody"),
    ("ANY 1 (pg-a, b)", "is neither a name nor a number"),
    ('ANY 1 ("b)', "is neither a name nor a number"),
    ("b,", "a name is missing behind the last comma"),
    ("b (c)", "a number of standbys stands before the names"),
)
# These it takes, and no commit is ever confirmed.
NEVER = (
    ("ANY 3 (b, c)", "it asks for 3 standbys, and names 2"),
    ("FIRST 2 (b, B)", "it asks for 2 standbys, and names 1"),
    ("2 (b)", "it asks for 2 standbys, and names 1"),
)


@pytest.mark.parametrize("text", GOOD)
def test_what_postgresql_takes_is_taken(text: str) -> None:
    assert standby_names_problem(text) is None


@pytest.mark.parametrize(("text", "said"), BROKEN + NEVER)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    problem = standby_names_problem(text)
    assert problem is not None
    assert problem.startswith(f"{text!r} is not allowed: ")
    assert said in problem


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_one_waits_for_nobody(text: str) -> None:
    problem = standby_names_problem(text)
    assert problem is not None
    assert "a commit would wait for nobody" in problem
