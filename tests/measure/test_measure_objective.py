"""Which requests are good: within every bound that a request can keep for itself."""

from typing import Any

import pytest

from loadgen.measure.metrics import ALL_METRICS
from loadgen.measure.objective import bounds, is_good
from loadgen.measure.recorder import LevelWindow, Recorder
from loadgen.measure.sample import Sample
from loadgen.scenario.lengths import Duration
from loadgen.scenario.slo import SHARES, Slo
from tests.samples import made

MS = 1_000_000


def sample(**keys: Any) -> Sample:
    """TTFT 20 ms; 10 tokens, the nine after the first in 90 ms: TPOT 10 ms, 100 tokens/s; e2e 115 ms."""
    defaults: dict[str, Any] = {
        "sent_ns": 5 * MS,
        "first_token_ns": 25 * MS,
        "first_answer_ns": 25 * MS,
        "last_token_ns": 115 * MS,
        "done_ns": 120 * MS,
        "output_tokens": 10,
        "output_chars": 40,
        "first_event_tokens": 1.0,
        "first_event_chars": 4,
        "window_done": True,
        "output_events": 10,
        "longest_gap_ns": 12 * MS,
    }
    return made(**defaults | keys)


def slo(**percentiles: dict[str, float]) -> Slo:
    return Slo(
        **{
            metric: {at: v if metric.endswith("per_s") else Duration(round(v * MS)) for at, v in by.items()}
            for metric, by in percentiles.items()
        }  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("asked", "good"),
    [
        ({}, True),
        ({"ttft": {"p99": 20}}, True),
        ({"ttft": {"p99": 19.999}}, False),
        ({"ttft": {"p50": 10, "p99": 20}}, True),
        ({"ttft_from_plan": {"p99": 20}}, False),
        ({"ttft": {"p99": 100}, "tpot": {"p95": 9.9}}, False),
        ({"tpot": {"p95": 10}}, True),
        ({"e2e": {"p99": 114}}, False),
        ({"longest_gap": {"p99": 11}}, False),
        ({"chunk_gap": {"p99": 1}}, True),
        ({"output_tokens_per_s": {"p5": 100}}, True),
        ({"output_tokens_per_s": {"p5": 101}}, False),
        ({"output_tokens_per_s": {"p1": 90, "p50": 200}}, True),
        ({"output_chars_per_s": {"p5": 401}}, False),
    ],
    ids=str,
)
def test_the_bounds_of_a_request(asked: dict[str, dict[str, float]], good: bool) -> None:
    within = bounds(slo(**asked).objectives)
    assert is_good(sample(), within) is good
    assert not is_good(sample(outcome="truncated"), within)


def test_a_metric_that_does_not_apply_keeps_its_bound() -> None:
    within = bounds(slo(tpot={"p95": 1}, ttft={"p99": 50}).objectives)
    assert is_good(sample(last_token_ns=25 * MS, output_tokens=1), within)


def test_good_ones_are_counted_where_they_end_and_where_they_begin() -> None:
    levels = [LevelWindow("1", 0, 100 * MS), LevelWindow("2", 100 * MS, 300 * MS)]
    recorder = Recorder(["a"], 0, levels, bounds(slo(ttft={"p99": 30}).objectives))
    recorder.add(sample(level="1", window_done=False))  # ends in the window of the second
    recorder.add(sample(level="1", first_token_ns=60 * MS, window_done=True, done_ns=90 * MS))
    recorder.add(sample(level="1", phase="warmup", done_ns=80 * MS))
    first, second = recorder.at_levels("a")
    assert (first.good, first.window_good, first.window_ok) == (1, 1, 2)
    assert (second.good, second.window_good, second.window_ok) == (0, 1, 1)


def test_every_key_of_slo_is_a_metric_or_a_share() -> None:
    assert set(Slo.__struct_fields__) <= {m.name for m in ALL_METRICS} | set(SHARES)
