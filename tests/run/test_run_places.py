"""What a run sends and when: phases, counts, places, grace, each against a real server."""

import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.endpoint import Answer, Asked, Endpoint, content, raw, silence, stream
from tests.program import ended_well, read_report, read_samples, reasons, run_here, target, write_scenario

MS = 1_000_000


def test_phases_are_those_of_the_intended_time(tmp_path: Path) -> None:
    load = {"concurrency": 3, "warmup": "200ms", "duration": "400ms", "ramp": "100ms"}
    with Endpoint(lambda _: stream(2, gap_s=0.02)) as endpoint:
        path = write_scenario(tmp_path, target("a", endpoint.base_url), load=load)
        run = run_here(tmp_path, path)
    samples = read_samples(run.folder)
    assert {s["phase"] for s in samples} == {"warmup", "measure"}
    assert all(s["phase"] == ("warmup" if s["intended_ns"] < 200 * MS else "measure") for s in samples)
    assert all(s["intended_ns"] < 600 * MS for s in samples)  # nothing begins after the window
    assert any(s["done_ns"] > 600 * MS for s in samples)  # what has begun is let end
    # a place is free the moment its former answer is complete; the first starts are spread over the ramp
    done = {s["done_ns"] for s in samples}
    starts = sorted(s["intended_ns"] for s in samples if s["intended_ns"] not in done)
    assert starts == [0, 100 * MS // 3, 200 * MS // 3]
    assert all(s["sent_ns"] >= s["intended_ns"] for s in samples)
    assert max(_at_once(samples)) == 3
    assert run.report.targets[0].window_s == 0.4


def _at_once(samples: list[dict[str, Any]]) -> list[int]:
    """How many requests were in flight after each instant at which one began or ended."""
    steps = sorted([(s["sent_ns"], 1) for s in samples] + [(s["done_ns"], -1) for s in samples])
    flying, counts = 0, []
    for _, step in steps:
        flying += step
        counts.append(flying)
    return counts


@pytest.mark.parametrize("concurrency", [1, 4, 30])
@pytest.mark.parametrize("ends", [{}, {"warmup": "200ms"}, {"duration": "60s"}], ids=str)
def test_exactly_as_many_requests_as_asked_for(
    tmp_path: Path, concurrency: int, ends: dict[str, str]
) -> None:
    """For each target, however fast it is; the warm-up comes on top."""

    def answer(asked: Asked) -> AsyncIterator[bytes]:
        return stream(2, gap_s=0.05 if asked.model == "slow" and asked.of_model % 5 == 0 else 0)

    load = {"concurrency": concurrency, "requests": 20, **ends}
    with Endpoint(answer) as endpoint:
        targets = [target(name, endpoint.base_url) for name in ("slow", "fast")]
        run = run_here(tmp_path, write_scenario(tmp_path, *targets, load=load))
        sent = len(endpoint.asked)
    samples = read_samples(run.folder)
    assert len(samples) == sent
    counts = Counter((s["target"], s["phase"]) for s in samples)
    assert counts["slow", "measure"] == counts["fast", "measure"] == 20
    assert bool(counts["slow", "warmup"]) == ("warmup" in ends)
    for name in ("slow", "fast"):
        sessions = sorted(s["session"] for s in samples if s["target"] == name)
        assert sessions == list(range(len(sessions)))  # none twice, none left out: the same for both
    assert run.report.instrument.arrivals == {"planned": 40, "begun": 40}
    assert ended_well(run.exit_code, tmp_path / "out")


@pytest.mark.parametrize(
    ("load", "on_end"),
    [({"requests": 12, "duration": "50s"}, "cycle"), ({"duration": "50s"}, "stop")],
    ids=["requests", "prompts"],
)
def test_a_target_that_has_no_more_to_send_ends_its_window(
    tmp_path: Path, load: dict[str, Any], on_end: str
) -> None:
    """Duration or count, whichever comes first: rates are over the time in which there was load."""

    def answer(asked: Asked) -> AsyncIterator[bytes]:
        return stream(2, gap_s=0.1 if asked.model == "slow" else 0)

    (tmp_path / "twelve.jsonl").write_text('{"prompt": "hi"}\n' * 12)
    workload = {"source": "jsonl", "file": "twelve.jsonl", "on_end": on_end}
    with Endpoint(answer) as endpoint:
        targets = [target(name, endpoint.base_url) for name in ("slow", "fast")]
        path = write_scenario(tmp_path, *targets, load=load | {"concurrency": 4}, workload=workload)
        run = run_here(tmp_path, path)
    samples = read_samples(run.folder)
    for t in run.report.targets:
        last_ns = max(s["done_ns"] for s in samples if s["target"] == t.name)
        assert t.requests.sent == t.requests.ok == 12
        assert t.window_s == last_ns / 1e9 < 20
        assert t.rates.requests_per_s == pytest.approx(12 / t.window_s, rel=1e-4)
        assert t.rates.output_tokens_per_s == pytest.approx(24 / t.window_s, rel=1e-4)
    assert run.report.targets[0].window_s > run.report.targets[1].window_s
    assert run.report.run.window_s == run.report.targets[0].window_s


def test_a_run_does_not_wait_for_places_that_would_find_nothing_to_send(tmp_path: Path) -> None:
    load = {"concurrency": 10, "requests": 12, "ramp": "100s"}
    with Endpoint(lambda _: stream()) as endpoint:
        targets = [target(name, endpoint.base_url) for name in "ab"]
        run = run_here(tmp_path, write_scenario(tmp_path, *targets, load=load))
    assert [t.requests.ok for t in run.report.targets] == [12, 12]
    assert run.report.run.wall_s < 50


def test_a_slow_target_does_not_hold_up_a_fast_one(tmp_path: Path) -> None:
    load = {"concurrency": 2, "duration": "500ms", "grace": "100ms"}
    with Endpoint(lambda asked: silence() if asked.model == "slow" else stream()) as endpoint:
        targets = [target(name, endpoint.base_url) for name in ("slow", "fast")]
        run = run_here(tmp_path, write_scenario(tmp_path, *targets, load=load))
    slow, fast = run.report.targets
    assert slow.requests.outcomes == {"cancelled": 2}
    assert fast.requests.sent > 50


def test_answers_that_outlast_the_window_do_not_shorten_or_stretch_it(tmp_path: Path) -> None:
    """All requests have been sent before its end, the last answers come after it."""
    load = {"concurrency": 3, "requests": 5, "duration": "200ms"}
    with Endpoint(lambda a: stream(2, gap_s=0.4 if a.number > 1 else 0)) as endpoint:
        run = run_here(tmp_path, write_scenario(tmp_path, target("a", endpoint.base_url), load=load))
    (t,) = run.report.targets
    assert (t.requests.ok, t.window_s) == (5, 0.2)
    assert t.rates.requests_per_s == 10  # two of them ended inside it


def test_targets_take_turns_in_going_first(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream(2, gap_s=0.3)) as endpoint:
        targets = [target(name, endpoint.base_url) for name in "abc"]
        load = {"concurrency": 3, "requests": 3, "ramp": "90ms"}
        run = run_here(tmp_path, write_scenario(tmp_path, *targets, load=load))
    begun = sorted(read_samples(run.folder), key=lambda sample: sample["connect_start_ns"])
    assert [sample["target"] for sample in begun] == list("abcbcacab")


def test_a_server_that_never_answers(tmp_path: Path) -> None:
    """Cut at the end of the grace time: cancelled, censored, and the window as planned."""
    load = {"concurrency": 5, "duration": "300ms", "grace": "200ms"}
    with Endpoint(lambda _: silence()) as endpoint:
        run = run_here(tmp_path, write_scenario(tmp_path, target("a", endpoint.base_url), load=load))
    (t,) = run.report.targets
    assert (t.requests.sent, t.requests.cancelled, t.requests.failed) == (5, 5, 0)
    assert t.window_s == 0.3
    assert t.rates.offered_requests_per_s == pytest.approx(5 / 0.3, rel=1e-4)
    assert t.rates.requests_per_s == 0
    samples = read_samples(run.folder)
    assert {s["error"] for s in samples} == {"cut off: still running at the end of the grace time"}
    # not before the grace time was over, but for the milliseconds in which the loop's timers tick
    assert all(s["done_ns"] >= 495 * MS for s in samples)
    assert all(s["first_byte_ns"] is None and s["output_tokens"] is None for s in samples)
    raw_target = read_report(run.folder)["targets"][0]
    for key in ("ttft_ms", "e2e_ms", "ttft_from_plan_ms"):
        dist = raw_target["metrics"][key]
        assert dist["count"] == 0
        assert dist["p50"] is None
        start = "intended_ns" if "from_plan" in key else "sent_ns"
        waited = max((s["done_ns"] - s[start]) / MS for s in samples)
        above = {"above": pytest.approx(waited, rel=0.0006)}
        assert dist["with_failures"] == {"count": 5, "p50": above, "p90": above, "p99": above}
    assert run.exit_code == 4
    told = "a: none of 5 requests succeeded: all were cut off; give a longer grace time"
    assert reasons(read_report(run.folder)) == [told]


async def _half(tokens: int) -> AsyncIterator[bytes]:
    """Begin a good answer and fall silent."""
    yield await anext(stream())
    for _ in range(tokens):
        yield content("word ")
    async for _ in silence():
        yield b""


def test_what_had_come_before_the_cut_counts(tmp_path: Path) -> None:
    """A first token that was there is a TTFT among all requests; its tokens arrived."""
    load = {"concurrency": 3, "duration": "300ms", "grace": "100ms"}
    with Endpoint(lambda asked: _half(4) if asked.number else silence()) as endpoint:
        run = run_here(tmp_path, write_scenario(tmp_path, target("a", endpoint.base_url), load=load))
    (t,) = run.report.targets
    assert t.requests.outcomes == {"cancelled": 3}
    assert t.tokens.output == 8
    assert t.tokens.sources == {}  # how tokens of cut-off answers were counted says nothing
    assert t.rates.output_tokens_per_s == pytest.approx(8 / 0.3, rel=1e-4)
    raw_target = read_report(run.folder)["targets"][0]
    all_ttft = raw_target["metrics"]["ttft_ms"]["with_failures"]
    assert all_ttft["count"] == 3
    assert all_ttft["p50"] < 300
    assert "above" in all_ttft["p99"]
    assert "above" in raw_target["metrics"]["e2e_ms"]["with_failures"]["p50"]


CONNECTIONS: dict[str, tuple[Answer, dict[str, Any], int]] = {
    "kept": (lambda _: stream(), {}, 6),
    "closed after every answer": (lambda _: stream(close=True), {}, 60),
    "fewer than places": (lambda _: stream(2, gap_s=0.01), {"max_connections": 2}, 2),
    "one for all, closed every time": (lambda _: stream(close=True), {"max_connections": 1}, 60),
}


@pytest.mark.parametrize(("answer", "keys", "opened"), CONNECTIONS.values(), ids=list(CONNECTIONS))
def test_connections(tmp_path: Path, answer: Answer, keys: dict[str, Any], opened: int) -> None:
    load = {"concurrency": 6, "requests": 60}
    with Endpoint(answer) as endpoint:
        path = write_scenario(tmp_path, target("a", endpoint.base_url, **keys), load=load)
        run = run_here(tmp_path, path)
        assert endpoint.connections == opened
        assert endpoint.most_open <= keys.get("max_connections", 6) + ("closed" in str(answer))
    assert run.report.targets[0].requests.outcomes == {"ok": 60}
    connected = [s["connect_start_ns"] is not None for s in read_samples(run.folder)]
    assert sum(connected) == opened


def test_a_run_of_less_than_a_second_knows_its_instrument_too(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream()) as endpoint:
        load = {"concurrency": 6, "requests": 60}
        run = run_here(tmp_path, write_scenario(tmp_path, target("a", endpoint.base_url), load=load))
    instrument = run.report.instrument
    assert instrument.connections_max == 6
    assert instrument.cpu_share is not None
    assert instrument.cpu_share_max is not None
    assert 0 < instrument.cpu_share <= instrument.cpu_share_max
    assert instrument.rss_mb_max is not None
    assert instrument.rss_mb_max > 10
    assert instrument.loop_lag_ms.count > 0
    assert instrument.instants == ("kernel" if sys.platform == "linux" else "loop")
    assert instrument.clock_set_ms == 0


def test_a_connection_the_server_gave_up_is_no_failure(tmp_path: Path) -> None:
    """It closes without having said so; the next request goes out again on a fresh one, and that is told."""
    with Endpoint(lambda asked: raw() if asked.of_connection else stream()) as endpoint:
        path = write_scenario(tmp_path, target("a", endpoint.base_url), load={"requests": 10})
        run = run_here(tmp_path, path)
    (t,) = run.report.targets
    assert t.requests.outcomes == {"ok": 10}
    attempts = [s["attempts"] for s in read_samples(run.folder)]
    assert set(attempts) == {1, 2}
    assert t.requests.resent == attempts.count(2)
