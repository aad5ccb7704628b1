"""How a mistake reads: one line, the place, what is wrong, what to do."""

import pytest

from loadgen.errors import Problem


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (Problem("load.rate", "is 0", "write more"), "load.rate: is 0; write more"),
        (Problem("", "is 0"), "is 0"),
        (Problem("a", "HTTP 404: no such model.", "check it"), "a: HTTP 404: no such model; check it"),
        (Problem("a", "HTTP 404: no such model."), "a: HTTP 404: no such model."),
        (Problem("a", "HTTP 500: <html>...", "look there"), "a: HTTP 500: <html>...; look there"),
        (Problem("a", "two\n  lines", "one"), "a: two lines; one"),
    ],
    ids=["all parts", "no place", "a server's period", "without a remedy", "cut short", "several lines"],
)
def test_a_problem_is_one_line(problem: Problem, line: str) -> None:
    assert str(problem) == line
