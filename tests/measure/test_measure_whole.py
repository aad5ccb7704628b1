"""Answers that came as one body: no first token and no gaps, and output that arrives when they are done."""

from typing import Any

import numpy as np
import pytest

from loadgen.measure.recorder import LevelWindow, Recorder
from loadgen.measure.sample import Sample
from loadgen.measure.series import Series
from loadgen.wire.timeline import Timeline, Usage
from tests.measure.test_measure_sample import MS, sample, timeline, values


def whole(chars: int | None = 40, usage: Usage | None = None, **keys: Any) -> Timeline:
    """A request sent at 101 ms whose answer was complete at 170 ms."""
    return timeline([], [] if chars is None else [chars], usage, events=0, first_answer_ns=None, **keys)


@pytest.mark.parametrize(
    ("t", "more"),
    [
        (
            whole(usage=Usage(50, 12, reasoning_tokens=2)),
            {"output_tokens": 12, "output_chars": 40, "prompt_tokens": 50, "reasoning_tokens": 2}
            | {"prompt_tokens_of_asked": 1, "output_tokens_of_asked": 0.2},
        ),
        (whole(), {"output_chars": 40}),
        (
            whole(None, Usage(12, 272), images=2),
            {"output_tokens": 272, "prompt_tokens": 12, "prompt_tokens_of_asked": 0.24}
            | {"output_tokens_of_asked": 4.533},
        ),
        (whole(None, Usage(50)), {"prompt_tokens": 50, "prompt_tokens_of_asked": 1}),
    ],
    ids=["chat", "chat without usage", "images", "embeddings"],
)
def test_only_what_applies_has_a_value(t: Timeline, more: dict[str, float]) -> None:
    s = sample(t)
    instants = (s.first_token_ns, s.first_answer_ns, s.last_token_ns, s.longest_gap_ns, s.first_event_tokens)
    assert instants == (None,) * 5
    assert (s.output_events, s.images) == (0, t.images)
    assert s.token_source == ("usage" if "output_tokens" in more else None)
    always = {"e2e_ms": 69, "e2e_from_plan_ms": 70, "send_lag_ms": 1}
    asked = {"asked_prompt_tokens": 50, "asked_output_tokens": 60}
    assert values(s) == pytest.approx(always | asked | more)


@pytest.mark.parametrize(
    ("window_ms", "keys", "inside"),
    [
        ((0, None), {}, 12),
        ((0, 170), {}, 0),
        ((170, 171), {}, 12),
        ((171, None), {}, 0),
        ((0, None), {"outcome": "empty"}, 0),
    ],
)
def test_output_arrives_when_the_answer_is_done(
    window_ms: tuple[float, float | None], keys: dict[str, Any], inside: int
) -> None:
    assert sample(whole(usage=Usage(9, 12), **keys), window_ms).window_output_tokens == inside


def row(**keys: Any) -> Sample:
    given = {"seq": 0, "target": "a", "task": "t", "session": 0, "turn": 0, "phase": "measure", "worker": 0}
    times = {"intended_ns": 100 * MS, "sent_ns": 101 * MS, "done_ns": 2_500 * MS}
    return Sample(**{"outcome": "ok", **given, **times, "output_tokens": 12, "output_chars": 40, **keys})


def test_the_series_has_it_when_it_was_done() -> None:
    series = Series()
    series.add(row(), None, 0)
    series.add(row(outcome="empty"), None, 0)
    assert series.table()["output_tokens"] == [0, 0, 12]


@pytest.mark.parametrize("with_timeline", [True, False])
def test_it_counts_in_the_level_in_whose_window_it_was_done(with_timeline: bool) -> None:
    levels = (LevelWindow("8", 0, 1_000 * MS), LevelWindow("16", 2_000 * MS, 3_000 * MS))
    recorder = Recorder(["a"], 0, levels)
    t = Timeline(outcome="ok", done_ns=2_500 * MS, event_chars=np.array([40], np.int64))
    recorder.add(row(level="8"), t if with_timeline else None)
    assert [r.window_output_tokens for r in recorder.at_levels("a")] == [0, 12]
