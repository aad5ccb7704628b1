"""Where samples go: counters, histograms and the series of a target."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.measure.metrics import ALL_METRICS, CHUNK_GAP, METRICS
from loadgen.measure.recorder import FAILURE_METRICS, PHASES, Recorder, TargetRecorder
from loadgen.measure.sample import Sample
from loadgen.measure.series import ROWS, Series
from loadgen.wire.timeline import Timeline
from tests.samples import made

MS = 1_000_000
S = 1000 * MS


def sample(**keys: Any) -> Sample:
    """A good request: sent at 101 ms, tokens at 120, 130 and 150 ms, done at 170 ms."""
    defaults: dict[str, Any] = {
        "intended_ns": 100 * MS,
        "sent_ns": 101 * MS,
        "first_token_ns": 120 * MS,
        "first_answer_ns": 120 * MS,
        "last_token_ns": 150 * MS,
        "done_ns": 170 * MS,
        "prompt_tokens": 7,
        "output_tokens": 3,
        "output_chars": 12,
        "token_source": "usage",
        "output_events": 3,
        "longest_gap_ns": 20 * MS,
        "first_event_tokens": 1.0,
        "first_event_chars": 4,
        "window_output_tokens": 3.0,
    }
    return made(**defaults | keys)


def timeline(epoch_ns: int = 0, at_ms: tuple[float, ...] = (120, 130, 150)) -> Timeline:
    events = np.array([epoch_ns + round(ms * MS) for ms in at_ms], np.int64)
    return Timeline(outcome="ok", done_ns=0, event_ns=events, event_chars=np.full(len(at_ms), 4, np.int64))


FAILED: dict[str, Any] = {"outcome": "http_error", "error": "HTTP 500", "output_tokens": None}
FAILED |= {"first_token_ns": None, "first_answer_ns": None, "last_token_ns": None, "token_source": None}
CUT = FAILED | {"outcome": "cancelled", "error": "cut off"}


def recorded(*samples: Sample) -> TargetRecorder:
    recorder = Recorder(["a"], 0)
    for s in samples:
        recorder.add(s, timeline())
    return recorder.targets["a"]


def read(recorder: TargetRecorder) -> dict[str, tuple[int, float | None]]:
    """(count, median) of every metric that has values."""
    found = {m.key: recorder.distribution(m.name) for m in ALL_METRICS}
    return {key: (d.count, d.percentile(50)) for key, d in found.items() if d.count}


def test_one_request() -> None:
    found = read(recorded(sample()))
    assert {key: count for key, (count, _) in found.items() if count != 1} == {"chunk_gap_ms": 2}
    assert {key: median for key, (_, median) in found.items()} == pytest.approx(
        {
            "ttft_ms": 19,
            "ttft_from_plan_ms": 20,
            "ttfa_ms": 19,
            "tpot_ms": 15,
            "e2e_ms": 69,
            "e2e_from_plan_ms": 70,
            "send_lag_ms": 1,
            "longest_gap_ms": 20,
            "output_tokens_per_s": 200 / 3,
            "output_chars_per_s": 800 / 3,
            "prompt_tokens": 7,
            "output_tokens": 3,
            "output_chars": 12,
            "tokens_per_chunk": 1,
            "chunk_gap_ms": 10,
        },
        rel=0.0005,
    )


def test_without_its_timeline_only_the_gaps_are_missing() -> None:
    """As when a run is read back from its samples."""
    with_it, without = recorded(sample()), TargetRecorder("a")
    without.add(sample(), None, 0)
    gap = ALL_METRICS.index(CHUNK_GAP)
    assert without.counts[gap].sum() == 0
    assert with_it.counts[gap].sum() == 2
    assert (np.delete(with_it.counts, gap, 0) == np.delete(without.counts, gap, 0)).all()


@pytest.mark.parametrize("phase", ["warmup", "drain"])
def test_other_phases_count_only_where_they_should(phase: str) -> None:
    recorder = recorded(sample(phase=phase), sample(**FAILED, phase=phase), sample(**CUT, phase=phase))
    assert not recorder.counts.any()
    assert not recorder.censored.any()
    assert not recorder.reached.any()
    assert recorder.failed == 0
    assert not any(recorder.tokens.sums.values())
    assert recorder.outcomes[phase] == {"ok": 1, "http_error": 1, "cancelled": 1}
    assert recorder.window_output_tokens == 9  # tokens count where they arrive, not where they were asked for
    assert recorder.last_done_ns == 0


def test_failures_and_cut_offs() -> None:
    recorder = recorded(
        sample(),
        sample(**FAILED),
        sample(**FAILED | {"outcome": "timeout", "error": None}),
        sample(**CUT),
        sample(**CUT | {"first_token_ns": 125 * MS, "done_ns": 400 * MS}),
        sample(**CUT | {"sent_ns": None, "connect_start_ns": None}),
    )
    assert recorder.failed == 2
    assert recorder.failures == {"http_error": 1, "timeout": 1}
    assert recorder.errors.counts == {"HTTP 500": 1, "timeout": 1}
    assert recorder.last_done_ns == 400 * MS
    rows = {m.name: i for i, m in enumerate(FAILURE_METRICS)}
    censored = {name: int(recorder.censored[i].sum()) for name, i in rows.items()}
    reached = {name: int(recorder.reached[i].sum()) for name, i in rows.items()}
    # one that was never sent has waited since its intended time, but for no answer
    assert censored == {"ttft": 1, "ttft_from_plan": 2, "ttfa": 2, "e2e": 2, "e2e_from_plan": 3}
    assert reached == {"ttft": 1, "ttft_from_plan": 1, "ttfa": 0, "e2e": 0, "e2e_from_plan": 0}
    assert recorder.distribution("ttft").count == 1


@pytest.mark.parametrize(
    ("keys", "late"),
    [
        ({"sent_ns": 110 * MS}, 0),
        ({"sent_ns": 110 * MS + 1}, 1),
        ({"sent_ns": 150 * MS, "connect_start_ns": 105 * MS}, 0),
        ({"sent_ns": 150 * MS, "connect_start_ns": 115 * MS}, 1),
        ({"sent_ns": None}, 0),
        ({"sent_ns": 150 * MS, "outcome": "timeout"}, 1),
        ({"sent_ns": 150 * MS, "phase": "warmup"}, 0),
    ],
    ids=str,
)
def test_late_is_the_generators_own_delay(keys: dict[str, Any], late: int) -> None:
    assert recorded(sample(**keys)).late == late


def test_tokens_and_their_sources() -> None:
    recorder = recorded(
        sample(cached_tokens=5, reasoning_tokens=2),
        sample(output_tokens=40, prompt_tokens=None, token_source="events"),
        sample(**FAILED, prompt_tokens=1),
    )
    assert recorder.tokens.sums == {"prompt": 8, "cached": 5, "reasoning": 2, "output": 43}
    assert recorder.tokens.sources == {"usage": 1, "events": 1}
    assert recorder.output_tokens == 43


def test_errors_that_never_repeat_do_not_fill_the_memory() -> None:
    recorder = recorded(*(sample(**FAILED | {"error": f"request {i} failed"}) for i in range(150)))
    assert len(recorder.errors.counts) == 101
    assert recorder.errors.counts["(other errors)"] == 50
    assert sum(recorder.errors.counts.values()) == 150


def test_targets_are_apart() -> None:
    recorder = Recorder(["a", "b"], 0)
    recorder.add(sample(target="b"))
    assert recorder.targets["a"].outcomes == {phase: {} for phase in PHASES}
    assert recorder.targets["b"].outcomes["measure"]["ok"] == 1


def test_a_name_stands_for_one_metric() -> None:
    for names in ([m.name for m in ALL_METRICS], [m.key for m in ALL_METRICS]):
        assert len(set(names)) == len(ALL_METRICS) == len(METRICS) + 1


# the series


def entered(*samples: tuple[Sample, Timeline | None], epoch_ns: int = 0) -> Series:
    series = Series()
    for s, t in samples:
        series.add(s, t, epoch_ns)
    return series


def test_a_request_is_entered_where_its_parts_happened() -> None:
    s = sample(sent_ns=S // 2, first_token_ns=S + 1, last_token_ns=3 * S + 1, done_ns=4 * S, output_tokens=30)
    at = (1000.1, 1500, 2500, 3500)
    epoch = 5 * S
    table = entered((s, timeline(epoch, at)), epoch_ns=epoch).table()
    assert table == {
        "interval_s": 1.0,
        "sent": [1, 0, 0, 0, 0],
        "ok": [0, 0, 0, 0, 1],
        "failed": [0] * 5,
        "output_tokens": [0, 15, 7.5, 7.5, 0],
        "ttft_p50_ms": [pytest.approx(500, rel=0.02), None, None, None, None],
        "ttft_p99_ms": [pytest.approx(500, rel=0.02), None, None, None, None],
    }


def test_without_a_timeline_tokens_are_spread_evenly() -> None:
    s = sample(first_token_ns=S // 2, last_token_ns=5 * S // 2, done_ns=3 * S, output_tokens=40)
    assert entered((s, None)).table()["output_tokens"] == [10, 20, 10, 0]


def test_a_request_that_was_never_sent_ended_all_the_same() -> None:
    table = entered((sample(**FAILED | {"sent_ns": None}), None), (sample(**CUT), None)).table()
    assert (table["sent"], table["ok"], table["failed"]) == ([1], [0], [1])
    assert table["ttft_p50_ms"] == [None]


def test_an_empty_series() -> None:
    assert entered().table()["sent"] == []


REQUESTS = st.tuples(
    st.integers(0, 5 * ROWS * S), st.integers(0, 3000 * S), st.integers(0, 50), st.booleans(), st.booleans()
)


@given(st.lists(REQUESTS, min_size=1, max_size=30))
@settings(max_examples=60)
def test_merging_keeps_every_total(requests: list[tuple[int, int, int, bool, bool]]) -> None:
    """However long a run and in whatever order its requests end."""
    series = Series()
    samples = []
    for sent, took, tokens, good, with_events in requests:
        first, last = sent + took // 3, sent + took // 2
        s = sample(
            outcome="ok" if good else "timeout",
            sent_ns=sent,
            first_token_ns=first,
            last_token_ns=last,
            done_ns=sent + took,
            output_tokens=tokens,
        )
        samples.append(s)
        series.add(s, timeline(0, (first / MS, last / MS)) if with_events else None, 0)
    table = series.table()
    interval = round(table["interval_s"] * S)
    assert interval in {S << i for i in range(12)}
    assert max(s.done_ns for s in samples) < interval * ROWS
    assert len(table["sent"]) <= ROWS
    assert sum(table["ok"]) == sum(s.outcome == "ok" for s in samples)
    assert sum(table["failed"]) == sum(s.outcome != "ok" for s in samples)
    assert sum(table["output_tokens"]) == pytest.approx(
        sum(s.output_tokens or 0 for s in samples), abs=0.05 * len(table["sent"]) + 1e-6
    )
    for i, sent_then in enumerate(table["sent"]):
        assert sent_then == sum((s.sent_ns or 0) // interval == i for s in samples)
