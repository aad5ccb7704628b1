"""Objectives against what was recorded."""

from typing import Any

import pytest

from loadgen.measure.objective import bounds
from loadgen.measure.recorder import Recorder, TargetRecorder
from loadgen.measure.sample import Sample
from loadgen.results.model import Above, ObjectiveReport
from loadgen.results.objectives import evaluate
from loadgen.scenario.lengths import Duration
from loadgen.scenario.slo import Slo
from loadgen.scenario.traffic import Share
from tests.samples import made

MS = 1_000_000


def sample(ttft_ms: float, **keys: Any) -> Sample:
    """A request with that TTFT, then ten tokens in 90 ms more."""
    first = round(ttft_ms * MS)
    defaults: dict[str, Any] = {
        "sent_ns": 0,
        "first_token_ns": first,
        "done_ns": first + 95 * MS,
        "first_answer_ns": first,
        "last_token_ns": first + 90 * MS,
        "output_tokens": 10,
        "first_event_tokens": 1.0,
        "output_events": 10,
        "window_done": True,
    }
    return made(**defaults | keys)


NONE = {"first_token_ns": None, "first_answer_ns": None, "last_token_ns": None, "output_tokens": None}


def failed(outcome: str = "http_error") -> Sample:
    return sample(3, outcome=outcome, error="x", done_ns=3 * MS, **NONE)


def recorded(slo: Slo, *samples: Sample, dropped: int = 0) -> TargetRecorder:
    recorder = Recorder(["a"], 0, bounds=bounds(slo.objectives))
    for s in samples:
        recorder.add(s)
    if dropped:
        recorder.drop("a", n=dropped)
    return recorder.targets["a"]


def only(slo: Slo, *samples: Sample, dropped: int = 0) -> ObjectiveReport:
    (found,) = evaluate(slo.objectives, recorded(slo, *samples, dropped=dropped))
    return found


def times(**at: float) -> dict[Any, Duration]:
    return {name: Duration(round(ms * MS)) for name, ms in at.items()}


HUNDRED = [sample(ms) for ms in range(1, 101)]


@pytest.mark.parametrize(
    ("bound_ms", "met"), [(50.0, True), (49.9, False), (50.1, True)], ids=["at", "above", "below"]
)
def test_a_percentile(bound_ms: float, met: bool) -> None:
    found = only(Slo(ttft=times(p50=bound_ms)), *HUNDRED)
    assert found.measured == pytest.approx(50, rel=1e-3)
    assert found.met is met
    assert not found.note


def test_a_failure_is_slower_than_every_answer() -> None:
    slo = Slo(ttft=times(p90=95.0))
    assert only(slo, *HUNDRED).met
    assert not only(slo, *HUNDRED, *[failed() for _ in range(10)]).met


def test_a_percentile_among_failures_is_missed() -> None:
    found = only(Slo(ttft=times(p90=1e6)), *HUNDRED, *[failed() for _ in range(30)])
    assert not found.met
    assert isinstance(found.measured, Above)
    assert found.measured.above == pytest.approx(100, rel=1e-3)


def test_what_was_dropped_failed_from_plan_only() -> None:
    assert only(Slo(ttft=times(p90=1e6)), *HUNDRED, dropped=30).met
    assert not only(Slo(ttft_from_plan=times(p90=1e6)), *HUNDRED, dropped=30).met


def test_a_speed_must_be_reached() -> None:
    assert only(Slo(output_tokens_per_s={"p5": 99.9}), *HUNDRED).met
    found = only(Slo(output_tokens_per_s={"p5": 101.0}), *HUNDRED)
    assert found.measured == pytest.approx(100, rel=1e-3)
    assert not found.met


@pytest.mark.parametrize(
    ("share", "fails", "met", "note"),
    [
        (0.05, 5, True, ""),
        (0.05, 6, False, ""),
        (0.005, 0, True, "100 requests can't tell: 600 could"),
        (0.0, 0, True, ""),
        (0.0, 1, False, ""),
    ],
    ids=["at", "above", "too few", "none", "one"],
)
def test_error_rate(share: float, fails: int, met: bool, note: str) -> None:
    found = only(Slo(error_rate=Share(share)), *HUNDRED[fails:], *[failed() for _ in range(fails)])
    assert (found.measured, found.met, found.note) == (fails / 100, met, note)


def test_what_the_run_cut_off_is_no_error() -> None:
    assert only(Slo(error_rate=Share(0.0)), *HUNDRED, failed("cancelled")).met


@pytest.mark.parametrize(
    ("samples", "dropped", "share"),
    [(HUNDRED, 0, 0.9), ([*HUNDRED[:-8], *[failed()] * 8], 0, 0.9), (HUNDRED, 12, 90 / 112)],
    ids=["slow ones", "failures", "dropped"],
)
@pytest.mark.parametrize("least", [0.8, 0.81, 0.91])
def test_goodput_is_the_share_that_keeps_every_bound(
    samples: list[Sample], dropped: int, share: float, least: float
) -> None:
    slo = Slo(ttft=times(p50=90.0), e2e=times(p99=1e6), goodput=Share(least))
    found = evaluate(slo.objectives, recorded(slo, *samples, dropped=dropped))[-1]
    assert found.measured == pytest.approx(share, rel=1e-4)
    assert found.met is (share >= least)


def test_too_few_to_bound_a_percentile_is_said() -> None:
    found = only(Slo(ttft=times(p99=1e6)), *HUNDRED[:80])
    assert (found.met, found.note) == (True, "80 values can't bound p99")


def test_what_nothing_shows_is_missed() -> None:
    found = only(Slo(longest_gap=times(p50=1.0)), *HUNDRED)
    assert found == ObjectiveReport("longest_gap.p50 <= 1ms", None, met=False, note="no request has it")
    assert not only(Slo(error_rate=Share(0.5))).met
    assert only(Slo(ttft=times(p50=1.0))).measured is None
