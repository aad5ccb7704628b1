"""Arrivals as delivered, beside the plan's."""

import numpy as np
import pytest

from loadgen.measure import arrivals
from loadgen.measure.arrivals import Arrivals

MS = 1_000_000
S = 1_000 * MS


def poisson(n: int, seed: int = 1) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).exponential(S / 50, n)).astype(np.int64)


def test_what_is_delivered_as_planned() -> None:
    planned = poisson(4_000)
    seen = Arrivals()
    order = np.random.default_rng(2).permutation(len(planned))  # answers end in any order
    for target in ("a", "b"):
        for when in planned[order].tolist():
            seen.note(when, when + 50_000, target)
    found = seen.summary(planned, 2)
    rate = 3_999 * S / int(planned[-1] - planned[0])
    gaps = np.diff(planned)
    assert found == {
        "planned": 8_000,
        "sent": 8_000,
        "dropped": 0,
        "delayed": 0,
        "off_plan": 0,
        "max_early_ns": 0,
        "planned_gap_cv": pytest.approx(gaps.std() / gaps.mean(), abs=1e-4),
        "delivered_gap_cv": pytest.approx(gaps.std() / gaps.mean(), abs=1e-4),
        "rate_planned_per_s": pytest.approx(rate, rel=1e-5),
        "rate_delivered_per_s": pytest.approx(rate, rel=1e-5),
        "span_s": (planned[-1] - planned[0]) / S,
    }


def test_late_early_dropped_and_delayed() -> None:
    planned = np.arange(10, dtype=np.int64) * 100 * MS
    seen = Arrivals()
    for i, when in enumerate(planned.tolist()[:8]):
        late = {2: MS, 3: MS + 1, 4: 50 * MS, 5: 60 * MS, 6: -700}.get(i, 0)
        seen.note(when, when + late)
    seen.dropped = 2
    found = seen.summary(planned, 1, delayed=2)
    assert (found["planned"], found["sent"], found["dropped"], found["delayed"]) == (10, 8, 2, 2)
    assert found["off_plan"] == 1  # three are more than 1 ms late, two of them because of the cap
    assert found["max_early_ns"] == 700
    assert found["planned_gap_cv"] == 0
    assert found["delivered_gap_cv"] > 0.2


def test_where_the_plan_is_not_known_what_was_sent_and_dropped_stands_for_it() -> None:
    planned = poisson(100)
    seen = Arrivals()
    for when in planned.tolist():
        seen.note(when, when + 10_000)
    seen.dropped = 5
    found = seen.summary(None, 1)
    assert found["planned"] == 105
    assert found["planned_gap_cv"] == seen.summary(planned, 1)["planned_gap_cv"]
    assert found["rate_planned_per_s"] == found["rate_delivered_per_s"]


@pytest.mark.parametrize("n", [0, 1, 5], ids=str)
def test_no_rate_where_nothing_is_between_the_first_and_the_last(n: int) -> None:
    seen = Arrivals()
    for _ in range(n):
        seen.note(0, 0)
    found = seen.summary(np.zeros(n, np.int64), 1)
    assert (found["planned"], found["sent"], found["span_s"]) == (n, n, 0)
    assert found["rate_planned_per_s"] is found["rate_delivered_per_s"] is found["delivered_gap_cv"] is None


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the bound nothing is kept of an arrival but counts, and the rate is still that of all."""
    monkeypatch.setattr(arrivals, "KEPT", 100)
    planned = np.arange(1_000, dtype=np.int64) * MS
    seen = Arrivals()
    for when in planned.tolist():
        seen.note(when, when + 2 * MS)
    found = seen.summary(planned, 1)
    assert (found["sent"], found["off_plan"]) == (1_000, 1_000)
    assert found["rate_delivered_per_s"] == pytest.approx(1_000)
    assert found["delivered_gap_cv"] == 0
    assert len(seen._targets[""]._left) == 100  # the point of it
