"""Replays of a trace: its window, speed, repeats and rows."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.plan.plan import Plan
from tests.plans import S, plan_of, trace

ROWS = [0, 3 * S, 3 * S, 6 * S, 10 * S]


def replayed(plan: Plan) -> list[tuple[float, int]]:
    assert plan.session is not None
    return [*zip((plan.when_ns / S).tolist(), plan.session.tolist(), strict=True)]


@pytest.mark.parametrize(
    ("keys", "arrivals", "end_s"),
    [
        ({}, [(0, 0), (3, 1), (3, 2), (6, 3), (10, 4)], 12.5),  # and one mean gap
        ({"speed": 4.0}, [(0, 0), (0.75, 1), (0.75, 2), (1.5, 3), (2.5, 4)], 3.125),
        ({"speed": 0.5, "length_ns": 4 * S}, [(0, 0), (6, 1), (6, 2)], 8),
        ({"start_ns": 2 * S}, [(1, 1), (1, 2), (4, 3), (8, 4)], 8 + 7 / 3),
        ({"start_ns": 3 * S, "length_ns": 3 * S}, [(0, 1), (0, 2)], 3),
        ({"start_ns": 3 * S, "length_ns": 3 * S + 1}, [(0, 1), (0, 2), (3, 3)], 3.000000001),
        (
            {"start_ns": 3 * S, "length_ns": 4 * S, "repeat": 2, "speed": 2.0},
            [(0, 1), (0, 2), (1.5, 3), (2, 1), (2, 2), (3.5, 3)],
            4,
        ),
    ],
    ids=str,
)
def test_windows(keys: dict[str, Any], arrivals: list[tuple[float, int]], end_s: float) -> None:
    plan = plan_of(rows_ns=ROWS, trace=trace(**keys))
    assert replayed(plan) == arrivals
    (level,) = plan.levels
    assert (level.label, level.value, level.window_ns[0]) == ("", 0, 0)
    assert level.window_ns[1] == pytest.approx(end_s * S, abs=1)
    assert plan.open_loop
    assert not len(plan.knots_ns)


@pytest.mark.parametrize(
    ("keys", "sessions", "window_s"),
    [
        ({"warmup_ns": 3 * S}, [0, 1, 2, 3, 4], (3, 12.5)),
        ({"duration_ns": 5 * S}, [0, 1, 2], (0, 5)),
        ({"duration_ns": 5 * S, "warmup_ns": 2 * S}, [0, 1, 2, 3], (2, 7)),
        ({"duration_ns": 500 * S}, [0, 1, 2, 3, 4], (0, 500)),
        ({"requests": 2}, [0, 1], (0, 12.5)),
        ({"requests": 2, "warmup_ns": 1}, [0, 1, 2], (1e-9, 12.5)),
        ({"requests": 2, "duration_ns": 3 * S}, [0], (0, 3)),
    ],
    ids=str,
)
def test_bounds(keys: dict[str, int], sessions: list[int], window_s: tuple[float, float]) -> None:
    plan = plan_of(rows_ns=ROWS, trace=trace(), **keys)
    assert [session for _, session in replayed(plan)] == sessions
    assert [at / S for at in plan.levels[0].window_ns if at is not None] == list(window_s)


def test_rows_of_one_moment_have_no_rate_and_no_end() -> None:
    plan = plan_of(rows_ns=ROWS, trace=trace(start_ns=10 * S), warmup_ns=0)
    assert replayed(plan) == [(0, 4)]
    assert plan.levels[0].window_ns == (0, None)


@given(
    st.lists(st.integers(0, 10**12), min_size=1, max_size=60),
    st.floats(0.1, 100),
    st.integers(1, 4),
    st.none() | st.integers(1, 10**12),
)
def test_every_row_of_the_window_once_a_repeat(
    rows: list[int], speed: float, repeat: int, length_ns: int | None
) -> None:
    rows = sorted(at - min(rows) for at in rows)
    plan = plan_of(rows_ns=rows, trace=trace(speed, 0, length_ns, repeat))
    inside = [row for row, at in enumerate(rows) if length_ns is None or at < length_ns]
    assert plan.session is not None
    assert plan.session.tolist() == inside * repeat
    assert (np.diff(plan.when_ns) >= 0).all()
    first = plan.when_ns[: len(inside)]
    assert np.abs(first - np.array(rows)[inside] / speed).max() <= 0.5 + 1e-4
    end = plan.levels[0].window_ns[1]
    assert (end is None) == (length_ns is None and len(set(rows)) == 1)
    assert end is None or plan.when_ns[-1] < end
