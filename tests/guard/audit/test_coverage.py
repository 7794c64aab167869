"""The coverage page is what the table of checks gives, and names what there is."""

from guard.audit.coverage import CLAUSES, clauses_of, coverage_page
from guard.engine.checks import CHECKS_BEFORE_KERNEL, CHECKS_BEHIND_KERNEL
from guard.protocol.fields import REASON_WORDS
from guard_support import CHECKOUT

CHECKS = [check for check in (*CHECKS_BEFORE_KERNEL, *CHECKS_BEHIND_KERNEL) if check.number]


def test_the_page_is_made_from_the_table() -> None:
    assert (CHECKOUT / "guard" / "LIMITS.md").read_text() == coverage_page()


def test_every_reason_that_a_clause_names_is_a_checks() -> None:
    known = {REASON_WORDS[check.number] for check in CHECKS}
    assert {word for clause in CLAUSES for word in clause.reasons} <= known
    assert len({clause.place for clause in CLAUSES}) == len(CLAUSES)
    for clause in CLAUSES:
        assert clause.reasons or clause.also, clause.place


def test_every_limit_stands_for_a_clause_and_has_its_test() -> None:
    rooms = CHECKOUT / "tests" / "guard" / "engine"
    names = ("limit_checks", "position_checks", "exposure_checks", "self_match", "short_sales")
    names += ("replacing", "replace_limits")
    tests = "".join((rooms / f"test_{name}.py").read_text() for name in names)
    for check in CHECKS:
        if check.scope == "limits" and check.number >= 510:
            word = REASON_WORDS[check.number]
            assert clauses_of(word), word
            assert f'"{word}"' in tests, word
            configuration = (CHECKOUT / "configs" / "production.toml").read_text()
            assert not check.key or check.key in configuration, check.key
