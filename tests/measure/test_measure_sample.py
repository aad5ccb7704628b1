"""From a timeline to a row, and from a row to the metrics: every rule of docs/metrics.md by a case."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure.metrics import METRICS
from loadgen.measure.sample import Origin, Sample, make_sample
from loadgen.wire.timeline import Timeline, Usage

MS = 1_000_000
EPOCH = 77_000 * MS
ORIGIN = Origin(5, "a", "chat", 9, 0, "measure", 0, 100 * MS, 50, 60)


def timeline(
    at_ms: list[float] | None = None, chars: list[int] | None = None, usage: Usage | None = None, **keys: Any
) -> Timeline:
    """A request sent at 101 ms with output events at these times; by default five, 10 ms apart."""
    at_ms = [120, 130, 140, 150, 160] if at_ms is None else at_ms
    defaults: dict[str, Any] = {
        "outcome": "ok",
        "status": 200,
        "sent_ns": EPOCH + 101 * MS,
        "first_byte_ns": EPOCH + 110 * MS,
        "first_answer_ns": EPOCH + round(at_ms[0] * MS) if at_ms else None,
        "done_ns": EPOCH + 170 * MS,
        "events": len(at_ms) + 3,
    }
    return Timeline(
        event_ns=np.array([EPOCH + round(ms * MS) for ms in at_ms], np.int64),
        event_chars=np.array([4] * len(at_ms) if chars is None else chars, np.int64),
        usage=usage,
        **defaults | keys,
    )


def sample(t: Timeline, window_ms: tuple[float, float | None] = (0, None)) -> Sample:
    end = None if window_ms[1] is None else round(window_ms[1] * MS)
    return make_sample(ORIGIN, t, EPOCH, (round(window_ms[0] * MS), end))


def values(s: Sample) -> dict[str, float]:
    """The metrics that apply, in reported units."""
    found = {m.key: m.value(s) for m in METRICS}
    assert all(v is None or (type(v) is int and v >= 0) for v in found.values())
    scales = {m.key: m.scale for m in METRICS}
    return {key: v * scales[key] for key, v in found.items() if v is not None}


@dataclass(frozen=True)
class Case:
    """tokens: output_tokens, token_source, those of the first event, hidden ones.

    metrics: some that must come out, None where one has no value.
    """

    t: Timeline
    tokens: tuple[int | None, str | None, float | None, int]
    metrics: dict[str, float | None]


CASES = {
    "usage: the first event by its share of the characters": Case(
        timeline(chars=[6, 4, 4, 4, 2], usage=Usage(12, 10)),
        (10, "usage", 3.0, 0),
        {"tpot_ms": 40 / 7, "output_tokens_per_s": 175, "output_chars_per_s": 14 / 0.04},
    ),
    "no usage: events are tokens": Case(
        timeline(chars=[6, 4, 4, 4, 2]),
        (5, "events", 1, 0),
        {"tpot_ms": 10, "output_tokens_per_s": 100, "tokens_per_chunk": 1, "prompt_tokens": None},
    ),
    "usage without output tokens: events are tokens": Case(
        timeline(usage=Usage(prompt_tokens=12)),
        (5, "events", 1, 0),
        {"prompt_tokens": 12, "tpot_ms": 10},
    ),
    "usage in every event: the first one says its own": Case(
        timeline(chars=[6, 4, 4, 4, 2], usage=Usage(12, 10), first_event_tokens=1),
        (10, "usage", 1, 0),
        {"tpot_ms": 40 / 9},
    ),
    "several tokens an event": Case(
        timeline([120, 140, 160], [10, 10, 10], Usage(12, 30)),
        (30, "usage", 10.0, 0),
        {"tpot_ms": 2, "tokens_per_chunk": 10, "longest_gap_ms": 20},
    ),
    "hidden reasoning is no part of the speed": Case(
        timeline(usage=Usage(12, 25, None, 20)),
        (25, "usage", 1.0, 20),
        {"tpot_ms": 10, "tokens_per_chunk": 1, "output_tokens": 25, "reasoning_tokens": 20},
    ),
    "reasoning that came as events is": Case(
        timeline(usage=Usage(12, 25, None, 20), reasoning_events=4, first_answer_ns=EPOCH + 160 * MS),
        (25, "usage", 5.0, 0),
        {"tpot_ms": 2, "ttft_ms": 19, "ttfa_ms": 59},
    ),
    "only reasoning came: no first answer": Case(
        timeline(reasoning_events=5, first_answer_ns=None),
        (5, "events", 1, 0),
        {"ttft_ms": 19, "ttfa_ms": None},
    ),
    "more reasoning than output is not believed": Case(
        timeline(usage=Usage(12, 5, None, 99)),
        (5, "usage", 0.0, 5),
        {"tpot_ms": None, "tokens_per_chunk": None},
    ),
    "one token: no span, so no speed, but a TTFT": Case(
        timeline([120], usage=Usage(12, 1)),
        (1, "usage", 1.0, 0),
        {
            "ttft_ms": 19,
            "e2e_ms": 69,
            "tpot_ms": None,
            "output_tokens_per_s": None,
            "output_chars_per_s": None,
            "longest_gap_ms": None,
            "output_tokens": 1,
            "tokens_per_chunk": 1,
        },
    ),
    "all in one read: no span, so no speed": Case(
        timeline([120, 120, 120]),
        (3, "events", 1, 0),
        {"tpot_ms": None, "output_tokens_per_s": None, "output_chars_per_s": None, "longest_gap_ms": 0},
    ),
    "one event with many tokens": Case(
        timeline([120], [90], Usage(12, 30)),
        (30, "usage", 30.0, 0),
        {"tpot_ms": None, "tokens_per_chunk": 30},
    ),
    "usage counts less than the first event has": Case(
        timeline(usage=Usage(12, 1), first_event_tokens=2),
        (1, "usage", 2, 0),
        {"tpot_ms": None},
    ),
    "usage counts nothing": Case(
        timeline(usage=Usage(12, 0)),
        (0, "usage", 0.0, 0),
        {"tpot_ms": None, "output_tokens": 0, "tokens_per_chunk": None},
    ),
    "nothing came": Case(
        timeline([], outcome="empty", events=2),
        (None, None, None, 0),
        {"ttft_ms": None, "ttfa_ms": None, "output_tokens": None, "output_chars": None, "e2e_ms": 69},
    ),
    "nothing came, but tokens were counted": Case(
        timeline([], usage=Usage(12, 8, None, 8), outcome="empty"),
        (8, "usage", None, 8),
        {"ttft_ms": None, "tpot_ms": None, "output_tokens": 8, "tokens_per_chunk": None},
    ),
    "a fresh connection": Case(
        timeline(connect_start_ns=EPOCH + 100 * MS + 250_000, connected_ns=EPOCH + 100 * MS + 750_000),
        (5, "events", 1, 0),
        {
            "connect_ms": 0.5,
            "send_lag_ms": 0.25,
            "ttft_ms": 19,
            "ttft_from_plan_ms": 20,
            "e2e_from_plan_ms": 70,
        },
    ),
    "a connection used again": Case(
        timeline(),
        (5, "events", 1, 0),
        {"connect_ms": None, "send_lag_ms": 1, "ttft_from_plan_ms": 20},
    ),
    "never sent": Case(
        timeline([], outcome="connect_error", sent_ns=None, first_byte_ns=None, status=None, events=0),
        (None, None, None, 0),
        {"ttft_ms": None, "e2e_ms": None, "send_lag_ms": None, "e2e_from_plan_ms": 70},
    ),
    "cached tokens": Case(
        timeline(usage=Usage(12, 5, 8)),
        (5, "usage", 1.0, 0),
        {"cached_tokens": 8, "reasoning_tokens": None},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_tokens_and_metrics(case: Case) -> None:
    s = sample(case.t)
    assert (s.output_tokens, s.token_source) == case.tokens[:2]
    assert s.first_event_tokens == pytest.approx(case.tokens[2])
    assert s.hidden_reasoning_tokens == case.tokens[3]
    found = values(s)
    assert {key: found.get(key) for key in case.metrics} == pytest.approx(case.metrics, abs=0.0005)


def test_every_field_of_the_row() -> None:
    t = timeline(
        usage=Usage(12, 10, 3, 2),
        connect_start_ns=EPOCH + 100 * MS,
        connected_ns=EPOCH + 101 * MS,
        response_id="r1",
        finish_reason="stop",
        reasoning_events=1,
        attempts=2,
    )
    got = sample(t)
    assert got == Sample(
        seq=5,
        target="a",
        task="chat",
        session=9,
        turn=0,
        phase="measure",
        worker=0,
        outcome="ok",
        status=200,
        response_id="r1",
        finish_reason="stop",
        intended_ns=100 * MS,
        connect_start_ns=100 * MS,
        connected_ns=101 * MS,
        sent_ns=101 * MS,
        first_byte_ns=110 * MS,
        first_token_ns=120 * MS,
        first_answer_ns=120 * MS,
        last_token_ns=160 * MS,
        done_ns=170 * MS,
        asked_prompt_tokens=50,
        asked_output_tokens=60,
        prompt_tokens=12,
        cached_tokens=3,
        reasoning_tokens=2,
        output_tokens=10,
        output_chars=20,
        token_source="usage",
        events=8,
        output_events=5,
        longest_gap_ns=10 * MS,
        first_event_tokens=2.0,
        first_event_chars=4,
        window_output_tokens=10.0,
        window_done=True,
        attempts=2,
    )


WINDOWS = {
    "still open": ((0, None), 10),
    "all inside": ((100, 200), 10),
    "an event at its start is inside": ((120, 200), 10),
    "an event at its end is not": ((100, 160), 8),
    "begun in the warm-up": ((135, 200), 6),
    "from the middle on, open": ((135, None), 6),
    "ended after it": ((100, 125), 2),
    "over before it": ((165, 200), 0),
    "begun after it": ((0, 110), 0),
    "a window of nothing": ((140, 140), 0),
}


@pytest.mark.parametrize(("window_ms", "tokens"), WINDOWS.values(), ids=list(WINDOWS))
def test_tokens_that_arrived_in_the_window(window_ms: tuple[float, float | None], tokens: float) -> None:
    s = sample(timeline(usage=Usage(12, 10)), window_ms)
    assert s.window_output_tokens == pytest.approx(tokens)
    assert s.output_tokens == 10


def test_the_share_in_the_window_goes_by_characters() -> None:
    s = sample(timeline(chars=[70, 10, 10, 5, 5], usage=Usage(12, 200)), (125, 155))
    assert s.window_output_tokens == pytest.approx(50)


def test_windows_side_by_side_share_all_tokens() -> None:
    t = timeline(chars=[1, 2, 3, 4, 5], usage=Usage(12, 77))
    edges = [0, 119, 130, 145, 160, 500]
    shares = [sample(t, (a, b)).window_output_tokens for a, b in pairwise(edges)]
    assert sum(shares) == pytest.approx(77)


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    at = sorted(draw(st.lists(st.integers(101, 160), max_size=8)))
    some = st.none() | st.integers(0, 50)
    usage = draw(st.none() | st.builds(Usage, some, some, some, some))
    return timeline(
        [float(a) for a in at],
        draw(st.lists(st.integers(1, 9), min_size=len(at), max_size=len(at))),
        usage,
        reasoning_events=draw(st.integers(0, len(at))),
        first_event_tokens=draw(some),
    )


@given(timelines(), st.integers(0, 200), st.none() | st.integers(0, 200))
def test_no_metric_is_ever_negative_or_not_a_number(t: Timeline, start: int, end: int | None) -> None:
    s = sample(t, (start, end))
    assert all(math.isfinite(v) for v in values(s).values())
    assert 0 <= s.window_output_tokens <= (s.output_tokens or 0)
    assert (s.token_source is None) == (s.output_tokens is None)
    found = values(s)
    assert ("ttft_ms" in found) == bool(len(t.event_ns))
    if "tpot_ms" in found:  # the two are of one span
        assert found["output_tokens_per_s"] > 0
