"""Every closed loop, and what ends a window early, from a scenario to its samples."""

from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.endpoint import Asked, Endpoint, refusal, stream
from tests.loads import MS, Done, in_flight, most_at_once, never_early, run
from tests.program import target

SHORT = {"source": "prompts", "prompts": ["Count to ten."], "output_tokens": 4}
TALK = SHORT | {"turns": 3, "think_time": "60ms"}


def spans(done: Done, name: str) -> list[tuple[int, int]]:
    """From the beginning of each conversation to its end."""
    return [(turns[0]["intended_ns"], turns[-1]["done_ns"]) for turns in done.sessions(name).values()]


def think_times_kept(done: Done, name: str, think_ns: int, *, exactly: bool) -> None:
    found = 0
    for turns in done.sessions(name).values():
        for before, after in pairwise(turns):
            waited = after["intended_ns"] - before["done_ns"]
            assert waited == think_ns if exactly else waited >= think_ns
            found += 1
    assert found


def test_one_at_a_time_over_all_targets(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream(3, gap_s=0.01)) as endpoint:
        targets = [target(name, endpoint.base_url) for name in ("a", "b")]
        load = {"one_at_a_time": True, "requests": 12}
        done = run(tmp_path, {"targets": targets, "workload": SHORT, "load": load})
    assert most_at_once(in_flight(done.samples)) == 1
    assert [s["target"] for s in done.samples] == ["a", "b"] * 12
    assert [s["session"] for s in done.of("a")] == [s["session"] for s in done.of("b")] == [*range(12)]
    # each is meant to leave when the one before it, of whichever target, has ended
    assert all(b["intended_ns"] == a["done_ns"] for a, b in pairwise(done.samples))
    assert never_early(done.samples)


@pytest.mark.parametrize("simulated", [True, False], ids=["simulator", "endpoint"])
def test_users_keep_their_place_while_they_think(tmp_path: Path, simulated: bool) -> None:
    with Endpoint(lambda _: stream(2, first_s=0.02)) as endpoint:
        url = None if simulated else endpoint.base_url
        load = {"users": 3, "duration": "1s" if simulated else "500ms"}
        done = run(tmp_path, {"targets": [target("a", url)], "workload": TALK, "load": load})
    think_times_kept(done, "a", 60 * MS, exactly=True)
    assert most_at_once(spans(done, "a")) == 3
    assert never_early(done.samples)
    sessions = done.sessions("a")
    assert sorted(sessions) == [*range(len(sessions))]
    assert all([s["turn"] for s in turns] == [0, 1, 2] for turns in sessions.values())
    assert all([s["last_turn"] for s in turns] == [False, False, True] for turns in sessions.values())
    # a user thinks before the next conversation too
    ends = {end + 60 * MS for _, end in spans(done, "a")}
    assert all(begin in ends for begin, _ in spans(done, "a") if begin)
    assert len(sessions) > 3


def test_places_are_free_while_a_session_thinks(tmp_path: Path) -> None:
    """Under `concurrency` so many requests are under way, and more conversations than that."""
    with Endpoint(lambda _: stream(2, first_s=0.04)) as endpoint:
        load = {"concurrency": 3, "duration": "500ms"}
        scenario = {"targets": [target("a", endpoint.base_url)], "workload": TALK, "load": load}
        done = run(tmp_path, scenario)
    think_times_kept(done, "a", 60 * MS, exactly=False)
    # when the window ends, what thinks need not wait for a place any more
    before = [(sent, min(end, 490 * MS)) for sent, end in in_flight(done.samples) if sent < 490 * MS]
    assert most_at_once(before) == 3
    assert most_at_once(spans(done, "a")) > 3
    assert never_early(done.samples)


def test_levels_of_places(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream(2, first_s=0.02)) as endpoint:
        targets = [target(name, endpoint.base_url) for name in ("a", "b")]
        load = {"levels": [1, 4, 2], "warmup": "50ms", "duration": "250ms"}
        done = run(tmp_path, {"targets": targets, "workload": SHORT, "load": load})
    for i, (label, most) in enumerate((("1", 1), ("4", 4), ("2", 2))):
        start = i * 300 * MS
        for name in ("a", "b"):
            mine = [s for s in done.of(name) if s["level"] == label]
            window = [s for s in mine if s["phase"] == "measure"]
            assert all(start <= s["intended_ns"] < start + 300 * MS for s in mine)
            assert all(s["intended_ns"] >= start + 50 * MS for s in window)
            assert most_at_once(in_flight(mine)) == most
            (row,) = [t for t in done.report["targets"] if t["name"] == f"{name} @ {label}"]
            assert (row["target"], row["level"]) == (name, label)
            assert row["requests"]["sent"] == len(window) > 0
            assert row["window_s"] == pytest.approx(0.25)


def test_levels_of_rates(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream()) as endpoint:
        t = target("a", endpoint.base_url)
        load = {"levels": ["40/s", "160/s"], "arrivals": "constant", "warmup": "50ms", "duration": "250ms"}
        done = run(tmp_path, {"targets": [t], "workload": SHORT, "load": load})
    assert done.arrivals("a").tolist() == done.plan.when_ns.tolist()
    assert never_early(done.samples)
    counts = Counter((s["level"], s["phase"]) for s in done.samples)
    assert set(counts) == {(level, phase) for level in ("40/s", "160/s") for phase in ("warmup", "measure")}
    assert abs(counts["40/s", "measure"] - 10) <= 1
    assert abs(counts["160/s", "measure"] - 40) <= 1


def test_until_the_percentiles_are_tight(tmp_path: Path) -> None:
    until = [{"metric": "ttft", "percentile": 50, "relative": "50%"}]
    with Endpoint(lambda _: stream(2, first_s=0.01)) as endpoint:
        load = {"concurrency": 4, "duration": "40s", "until": until}
        scenario = {"targets": [target("a", endpoint.base_url)], "workload": SHORT, "load": load}
        done = run(tmp_path, scenario)
    assert done.report["run"]["stopped_by"] == "until"
    assert done.report["run"]["window_s"] < 40
    ttft = done.report["targets"][0]["metrics"]["ttft_ms"]
    low, high = ttft["ci95"]["p50"]
    assert max(high - ttft["p50"], ttft["p50"] - low) <= 0.5 * ttft["p50"]
    assert all(s["outcome"] == "ok" for s in done.samples)


def test_too_many_errors_stop_a_run(tmp_path: Path) -> None:
    def answer(asked: Asked) -> AsyncIterator[bytes]:
        well = asked.number < 30 or asked.number % 2
        return stream(2, first_s=0.01) if well else refusal(500, "out of memory")

    with Endpoint(answer) as endpoint:
        load = {"concurrency": 2, "duration": "40s", "stop_at_errors": {"share": "20%", "over": "1s"}}
        scenario = {"targets": [target("a", endpoint.base_url)], "workload": SHORT, "load": load}
        done = run(tmp_path, scenario)
    assert done.report["run"]["stopped_by"] == "errors"
    assert done.report["run"]["window_s"] < 40
    outcomes = Counter(s["outcome"] for s in done.samples)
    assert 20 <= outcomes["http_error"] < outcomes["ok"]
    assert done.report["verdict"]["state"] != "invalid"
    assert done.exit_code == 3


@pytest.mark.parametrize(
    ("load", "by"),
    [
        ({"concurrency": 2, "requests": 6}, "requests"),
        ({"concurrency": 2, "duration": "300ms"}, "duration"),
        ({"concurrency": 2, "requests": 100_000, "duration": "300ms"}, "duration"),
        ({"rate": "50/s", "duration": "300ms"}, "duration"),
    ],
    ids=["requests", "duration", "whichever is first", "rate"],
)
def test_what_ended_a_run_is_told(tmp_path: Path, load: dict[str, Any], by: str) -> None:
    with Endpoint(lambda _: stream(2, first_s=0.01)) as endpoint:
        scenario = {"targets": [target("a", endpoint.base_url)], "workload": SHORT, "load": load}
        done = run(tmp_path, scenario)
    assert done.report["run"]["stopped_by"] == by
