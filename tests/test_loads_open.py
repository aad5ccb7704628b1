"""Every open loop from a scenario to its samples: what left is what was planned, arrival by arrival."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.endpoint import Endpoint, stream
from tests.loads import MS, Done, in_flight, most_at_once, never_early, run
from tests.program import target

SHORT = {"source": "prompts", "prompts": ["Count to ten."], "output_tokens": 4}
EVEN = {"arrivals": "constant", "duration": "1s"}
SIX_SIGMA = 6.0  # false alarms: fewer than one in 10^8


def delivered(done: Done, *names: str) -> None:
    """Every planned arrival left, at its time or after it, at every target."""
    for name in names:
        assert done.arrivals(name).tolist() == done.plan.when_ns.tolist()
    assert never_early(done.samples)
    arrivals = done.report["instrument"]["arrivals"]
    assert arrivals["planned"] == arrivals["sent"] + arrivals["dropped"]
    assert arrivals["dropped"] == 0


@pytest.mark.parametrize(
    ("law", "cv"),
    [
        pytest.param({"arrivals": "constant"}, 0.0, id="constant", marks=pytest.mark.slow),
        pytest.param({}, 1.0, id="poisson"),
        pytest.param({"arrivals": "gamma", "burstiness": 0.25}, 2.0, id="gamma", marks=pytest.mark.slow),
    ],
)
def test_a_rate_on_the_simulator(tmp_path: Path, law: dict[str, Any], cv: float) -> None:
    load = {"rate": "120/s", "warmup": "250ms", "duration": "1s", **law}
    done = run(tmp_path, {"targets": [target("a"), target("b")], "workload": SHORT, "load": load})
    delivered(done, "a", "b")
    gaps = np.diff(done.plan.when_ns)
    if not cv:
        assert np.ptp(gaps) <= 1
        assert len(gaps) + 1 == 150
    # a renewal process counts mean ± CV * sqrt(mean) events, for many of them
    assert abs(len(gaps) + 1 - 150) <= SIX_SIGMA * cv * math.sqrt(150) + 1
    phases = [s["phase"] for s in done.of("a")]
    assert phases == ["warmup" if s["intended_ns"] < 250 * MS else "measure" for s in done.of("a")]
    assert {s["outcome"] for s in done.samples} == {"ok"}
    for t in done.report["targets"]:
        window = phases.count("measure")
        assert t["requests"]["sent"] == window
        assert t["rates"]["offered_requests_per_s"] == pytest.approx(window)


def test_another_seed_has_other_arrivals_and_the_same_has_the_same(tmp_path: Path) -> None:
    seen = []
    with Endpoint(lambda _: stream()) as endpoint:
        for i, seed in enumerate((1, 1, 2)):
            folder = tmp_path / str(i)
            folder.mkdir()
            load = {"rate": "150/s", "duration": "200ms"}
            t = target("a", endpoint.base_url)
            done = run(folder, {"seed": seed, "targets": [t], "workload": SHORT, "load": load})
            delivered(done, "a")
            seen.append(done.arrivals("a").tolist())
    assert seen[0] == seen[1] != seen[2]


def test_a_count_of_requests_ends_a_rate(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream()) as endpoint:
        load = {"rate": "200/s", "warmup": "200ms", "requests": 50}
        done = run(tmp_path, {"targets": [target("a", endpoint.base_url)], "workload": SHORT, "load": load})
    delivered(done, "a")
    assert sum(s["phase"] == "measure" for s in done.samples) == 50
    assert done.samples[0]["phase"] == "warmup"
    assert done.report["run"]["stopped_by"] == "requests"


def test_stages(tmp_path: Path) -> None:
    """Up in a straight line, then even, then down by another law; the stages are the duration."""
    stages = [
        {"time": "500ms", "from": "0/s", "to": "240/s"},
        {"time": "250ms", "from": "240/s", "arrivals": "constant"},
        {"time": "500ms", "from": "240/s", "to": "0/s"},
    ]
    done = run(tmp_path, {"targets": [target("a")], "workload": SHORT, "load": {"stages": stages}})
    delivered(done, "a")
    when = done.arrivals("a")
    counts = np.histogram(when, [0, 500 * MS, 750 * MS, 1250 * MS])[0]
    for count, mean, is_random in zip(counts, (60, 60, 60), (1, 0, 1), strict=True):
        assert abs(count - mean) <= SIX_SIGMA * is_random * math.sqrt(mean) + 1
    even = np.diff(when[(when >= 500 * MS) & (when < 750 * MS)])
    assert np.ptp(even) <= 1
    # a rise from 0: a quarter of its arrivals in the first half
    first = int((when < 250 * MS).sum())
    assert abs(first - counts[0] / 4) <= SIX_SIGMA * math.sqrt(counts[0] * 3 / 16)


def test_a_burst_again_and_again(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream(2, first_s=0.3)) as endpoint:
        load = {"burst": {"size": 20, "every": "600ms"}, "duration": "1s"}
        done = run(tmp_path, {"targets": [target("a", endpoint.base_url)], "workload": SHORT, "load": load})
        assert endpoint.most_open == 20
    delivered(done, "a")
    assert done.arrivals("a").tolist() == [0] * 20 + [600 * MS] * 20
    assert most_at_once(in_flight(done.samples)) == 20


def test_one_burst_ends_the_run(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream()) as endpoint:
        load = {"burst": {"size": 30}}
        done = run(tmp_path, {"targets": [target("a", endpoint.base_url)], "workload": SHORT, "load": load})
    delivered(done, "a")
    assert done.arrivals("a").tolist() == [0] * 30


@pytest.mark.parametrize("over", ["delay", "drop"])
def test_a_cap_on_requests_in_flight(tmp_path: Path, over: str) -> None:
    """80 arrivals in half a second, a server that serves 40: nothing is lost from the counts."""
    with Endpoint(lambda _: stream(2, first_s=0.05)) as endpoint:
        load = {
            "rate": "160/s",
            "arrivals": "constant",
            "duration": "500ms",
            "max_in_flight": 4,
            "over_cap": over,
        }
        done = run(tmp_path, {"targets": [target("a", endpoint.base_url)], "workload": SHORT, "load": load})
        assert endpoint.most_open <= 4
    assert len(done.plan.when_ns) == 80
    assert most_at_once(in_flight(done.samples)) <= 4
    assert never_early(done.samples)
    planned, arrived = done.plan.when_ns.tolist(), done.arrivals("a").tolist()
    (t,) = done.report["targets"]
    dropped, arrivals = t["requests"]["dropped"], done.report["instrument"]["arrivals"]
    assert t["requests"]["sent"] == t["requests"]["ok"] == len(arrived)
    assert (arrivals["planned"], arrivals["sent"], arrivals["dropped"]) == (80, len(arrived), dropped)
    ttft = t["metrics"]["ttft_from_plan_ms"]
    if over == "delay":
        assert arrived == planned  # never re-based
        assert (dropped, arrivals["delayed"] > 20) == (0, True)
        assert ttft["p90"] > 150  # the wait is in the figures: the last of 80 waits for about half a second
        held = f"{arrivals['delayed']} of 80 arrivals had to wait, max_in_flight = 4"
    else:
        assert set(arrived) <= set(planned)
        assert len(arrived) + dropped == 80
        assert dropped > 20
        assert ttft["with_failures"]["count"] == 80
        assert "above" in ttft["with_failures"]["p99"]
        held = f"{dropped} of 80 arrivals were dropped, max_in_flight = 4"
    assert any(reason.startswith(held) for reason in done.report["verdict"]["reasons"])


def test_what_waits_at_the_end_of_the_grace_time_is_dropped(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream(2, first_s=0.5)) as endpoint:
        load = {
            "rate": "80/s",
            "arrivals": "constant",
            "duration": "500ms",
            "grace": "300ms",
            "max_in_flight": 2,
        }
        done = run(tmp_path, {"targets": [target("a", endpoint.base_url)], "workload": SHORT, "load": load})
    (t,) = done.report["targets"]
    assert t["requests"]["dropped"] > 20
    assert t["requests"]["sent"] + t["requests"]["dropped"] == 40
    waited = sum(s["sent_ns"] - s["intended_ns"] > 50 * MS for s in done.samples)
    arrivals = done.report["instrument"]["arrivals"]
    assert (
        waited <= arrivals["delayed"] <= t["requests"]["sent"]
    )  # those that waited in vain are not among them


def test_prompts_that_do_not_suffice_end_the_plan(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream(2)) as endpoint:
        words = SHORT | {"on_end": "stop", "prompts": [f"Count to {n}." for n in range(12)]}
        load = {"rate": "40/s", "arrivals": "constant", "duration": "1s"}
        done = run(tmp_path, {"targets": [target("a", endpoint.base_url)], "workload": words, "load": load})
    arrivals = done.report["instrument"]["arrivals"]
    assert done.report["run"]["stopped_by"] == "prompts"
    assert (arrivals["planned"], arrivals["sent"]) == (12, 12)
    assert arrivals["rate_planned_per_s"] == pytest.approx(40)


def test_a_trace_of_ones_own(tmp_path: Path) -> None:
    """The timestamps of a JSON Lines file, a part of it, ten times as fast, twice."""
    (tmp_path / "p.jsonl").write_text(
        "".join(f'{{"prompt": "Say {i}.", "timestamp": {100 + i * 0.25}}}\n' for i in range(20))
    )
    words = {"source": "jsonl", "file": "p.jsonl", "output_tokens": 4}
    with Endpoint(lambda _: stream()) as endpoint:
        load = {"trace": {"start": "1s", "length": "2s", "speed": 10, "repeat": 2}}
        done = run(tmp_path, {"targets": [target("a", endpoint.base_url)], "workload": words, "load": load})
        said = [a.body["messages"][-1]["content"] for a in endpoint.asked]
    delivered(done, "a")
    assert done.arrivals("a").tolist() == [i * 25 * MS for i in range(16)]
    assert [s["session"] for s in done.samples] == [*range(4, 12)] * 2
    assert [text.rpartition("Say ")[2] for text in said] == [f"{i}." for i in range(4, 12)] * 2
