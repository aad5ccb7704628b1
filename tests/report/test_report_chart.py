"""The schedule as a chart."""

import pytest

from loadgen.plan.plan import planned_counts
from loadgen.report.chart import chart
from tests.plans import S, plan_of

BLOCKS = " ▁▂▃▄▅▆▇█"


def columns(lines: list[str]) -> list[int]:
    """Height of each of the 64 columns, in eighths of a line."""
    rows = [line[13:].ljust(64) for line in lines[:5]]
    return [sum(BLOCKS.index(row[i]) for row in rows) for i in range(64)]


def test_places_of_levels() -> None:
    plan = plan_of(2, levels=(4, 16, 8), concurrency=4, warmup_ns=2 * S, duration_ns=18 * S)
    lines = chart(plan)
    assert lines[0].split()[0] == "16.0"
    heights = columns(lines)
    assert (heights[5], heights[32], heights[60]) == (10, 40, 20)
    assert heights == [10] * 21 + [40] * 22 + [20] * 21
    assert lines[5][13:16] == "··━"
    assert lines[5].count("·") == pytest.approx(64 * 6 / 60, abs=2)
    assert lines[6].split()[:2] == ["0", "s"]
    assert lines[6].endswith("60.0 s")
    assert max(map(len, lines)) <= 80
    assert "column" not in lines[6]


def test_a_ramp_rises() -> None:
    heights = columns(chart(plan_of(concurrency=64, ramp_ns=32 * S, duration_ns=64 * S)))
    assert heights[:32] == sorted(heights[:32])
    assert set(heights[33:]) == {40}


def test_arrivals_are_those_of_the_plan() -> None:
    plan = plan_of(rate_per_s=100.0, ramp_ns=10 * S, duration_ns=64 * S)
    counts = planned_counts(plan, [i * S for i in range(65)])
    lines = chart(plan)
    heights = columns(lines)
    assert heights == [max(round(int(n) / int(counts.max()) * 40), n > 0) for n in counts]
    assert lines[0].strip().startswith(f"{counts.max()}/s")
    assert "·" not in lines[5]
    assert "columns of 1.00 s" in lines[6]


def test_without_an_end_there_is_none() -> None:
    assert chart(plan_of(concurrency=4, requests=100)) == []
    assert chart(plan_of(rate_per_s=50.0, requests=100))[6].endswith(" s")
