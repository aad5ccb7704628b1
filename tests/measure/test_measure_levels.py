"""Levels of the load, tasks, turns and conversations in the recorder."""

import itertools

import numpy as np
import pytest

from loadgen.measure.groups import GROUP_METRICS, MOST_NAMES, OTHER
from loadgen.measure.metrics import ALL_METRICS
from loadgen.measure.recorder import LevelWindow, Recorder, TargetRecorder
from loadgen.measure.tokens import tokens_between
from tests.measure.test_measure_recorder import CUT, FAILED, MS, S, sample, timeline

LEVELS = (LevelWindow("8", S, 3 * S), LevelWindow("16", 4 * S, 6 * S))


def two_levels() -> Recorder:
    return Recorder(["a", "b"], 0, LEVELS)


def test_every_target_and_level_has_a_recorder_of_its_own() -> None:
    recorder = two_levels()
    assert list(recorder.targets) == ["a @ 8", "a @ 16", "b @ 8", "b @ 16"]
    assert [r.name for r in recorder.at_levels("b")] == ["b @ 8", "b @ 16"]
    recorder.add(sample(level="16", target="b"))
    assert [r.outcomes["measure"]["ok"] for r in recorder.targets.values()] == [0, 0, 0, 1]
    assert list(Recorder(["a", "b"], 0).targets) == ["a", "b"]


@pytest.mark.parametrize("keys", [{"level": "9"}, {"level": "8", "target": "c"}], ids=str)
def test_what_no_recorder_is_for(keys: dict[str, str]) -> None:
    with pytest.raises(KeyError):
        two_levels().add(sample(**keys))


@pytest.mark.parametrize("with_events", [True, False])
def test_what_arrives_in_another_levels_window_counts_there(with_events: bool) -> None:
    """A request of the first level, one third of whose output arrives in the second one's window."""
    recorder = two_levels()
    at = (2900, 3900, 4450)
    keys = {"sent_ns": 2500 * MS, "intended_ns": 2500 * MS, "done_ns": 4600 * MS, "level": "8"}
    tokens = {"first_token_ns": at[0] * MS, "last_token_ns": at[2] * MS, "output_tokens": 3}
    s = sample(**keys, **tokens, window_output_tokens=1.0, window_done=False)
    recorder.add(s, timeline(0, at) if with_events else None)
    first, second = recorder.at_levels("a")
    assert (first.window_output_tokens, first.window_ok, first.left) == (1, 0, 1)
    share = 1.0 if with_events else 3 * 450 / 1550  # without its events it is spread evenly
    assert second.window_output_tokens == pytest.approx(share)
    assert (second.window_ok, second.left) == (1, 0)
    assert not second.counts.any()
    assert all(r.window_ok == r.window_output_tokens == 0 for r in recorder.at_levels("b"))


def test_windows_of_a_run_that_was_stopped_end_there() -> None:
    recorder = two_levels()
    recorder.close(5 * S)
    assert [r.level[1:] for r in recorder.at_levels("a")] == [(S, 3 * S), (4 * S, 5 * S)]
    recorder.close(2 * S)
    assert [r.level[1:] for r in recorder.at_levels("a")] == [(S, 2 * S), (4 * S, 4 * S)]


def test_left_counts_by_when_a_request_left() -> None:
    recorder = Recorder(["a"], 0, (LevelWindow("", S, 2 * S),))
    for sent in (S - 1, S, 2 * S - 1, 2 * S):
        recorder.add(sample(sent_ns=sent, intended_ns=S // 2, phase="warmup"))
    recorder.add(sample(sent_ns=3 * S, connect_start_ns=S))
    recorder.add(sample(**FAILED | {"sent_ns": None}))
    assert recorder.targets["a"].left == 3


def test_shares_of_all_windows_are_the_whole() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        events = np.sort(rng.integers(0, 100, 9))
        edges = [0, *np.sort(rng.integers(1, 100, 3)).tolist(), 101]
        t = timeline(7, tuple(events / 1))
        span = (int(events[0]) * MS, int(events[-1]) * MS)
        for known in (t, None):
            parts = [
                tokens_between(30, span, (a * MS, b * MS), known, 7) for a, b in itertools.pairwise(edges)
            ]
            assert sum(parts) == pytest.approx(30)
            assert min(parts) >= 0


# groups


def totals(recorder: TargetRecorder) -> np.ndarray:
    rows = [i for i, m in enumerate(ALL_METRICS) if m in GROUP_METRICS]
    return recorder.counts[rows]


def test_one_task_and_one_turn_make_no_tables() -> None:
    recorder = Recorder(["a"], 0)
    for _ in range(5):
        recorder.add(sample(), timeline())
    assert not recorder.targets["a"].by_task.table
    assert not recorder.targets["a"].by_turn.table


def test_groups_are_parts_of_the_whole_however_late_they_begin() -> None:
    recorder = Recorder(["a"], 0)
    one = [sample(), sample(**FAILED), sample(**CUT), sample(phase="warmup", task="w", turn=1)]
    two = [sample(task="u", turn=1), sample(first_token_ns=140 * MS), sample(**FAILED, task="u")]
    for s in (*one, *two):
        recorder.add(s, timeline())
    found = recorder.targets["a"]
    by_task = {n: (g.requests, g.ok, g.failed) for n, g in found.by_task.table.items()}
    assert by_task == {"t": (4, 2, 1), "u": (2, 1, 1)}
    by_turn = {n: (g.requests, g.ok, g.failed) for n, g in found.by_turn.table.items()}
    assert by_turn == {"first": (5, 2, 2), "later": (1, 1, 0)}
    for groups in (found.by_task, found.by_turn):
        assert (np.sum([g.counts for g in groups.table.values()], axis=0) == totals(found)).all()
    assert found.by_task.table["u"].counts.sum(axis=1).tolist() == [1, 1, 1]


def test_tasks_that_never_repeat_do_not_fill_the_memory() -> None:
    recorder = Recorder(["a"], 0)
    for i in range(MOST_NAMES + 50):
        recorder.add(sample(task=f"task {i}"))
    table = recorder.targets["a"].by_task.table
    assert len(table) == MOST_NAMES + 1
    assert table[OTHER].requests == 50


def test_conversations() -> None:
    recorder = Recorder(["a"], 0)
    for keys in (
        {"last_turn": False},
        {"turn": 1},
        {"last_turn": False},
        {"turn": 1, **FAILED},
        {"last_turn": False, **CUT},
        {"turn": 2, "phase": "drain"},
    ):
        recorder.add(sample(**keys))
    found = recorder.targets["a"]
    assert (found.sessions_begun, found.sessions_ended, found.sessions_failed) == (3, 1, 1)


# asked for and got


def test_asked_against_got() -> None:
    recorder = Recorder(["a"], 0)
    recorder.add(sample(asked_prompt_tokens=5, asked_output_tokens=6))  # it got 7 and 3
    recorder.add(sample())
    found = recorder.targets["a"]
    medians = {
        name: (found.distribution(name).count, found.distribution(name).percentile(50))
        for name in ("asked_prompt_tokens", "prompt_tokens_of_asked", "output_tokens_of_asked")
    }
    assert medians == {
        "asked_prompt_tokens": (1, 5),
        "prompt_tokens_of_asked": (1, pytest.approx(1.4)),
        "output_tokens_of_asked": (1, pytest.approx(0.5)),
    }


def test_prompt_tokens_count_for_the_cache_only_where_it_is_told() -> None:
    recorder = Recorder(["a"], 0)
    for s in (sample(cached_tokens=0), sample(cached_tokens=5), sample()):
        recorder.add(s)
    found = recorder.targets["a"]
    assert (found.tokens.sums["cached"], found.tokens.prompt_told, found.tokens.requests_told) == (5, 14, 2)
    assert found.tokens.sums["prompt"] == 21


def test_dropped_arrivals_are_their_levels() -> None:
    recorder = two_levels()
    recorder.drop("a", "16")
    recorder.drop("a", "16", 4)
    assert {n: r.dropped for n, r in recorder.targets.items() if r.dropped} == {"a @ 16": 5}
