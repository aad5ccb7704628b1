"""The routed mix beside each target alone, from a scenario to samples and report, under every way to load."""

import json
import shutil
import socket
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from loadgen import open_run
from loadgen.run.closed import PAUSE_NS
from tests.endpoint import Asked, Endpoint, stream
from tests.loads import Done, Sample, run
from tests.program import only_run, target

MIXTURE: list[dict[str, Any]] = [
    {"source": "prompts", "prompts": ["Merge it?", "And this?"], "task": "merge", "risk": "high"},
    {"source": "prompts", "prompts": ["Bug or wish?"], "task": "triage", "weight": 2},
    {"source": "synthetic", "prompt_tokens": {"kind": "uniform", "min": 10, "max": 90}, "task": "review"},
]
ROUTES: list[dict[str, Any]] = [
    {"to": "large", "risk": "high"},
    {"to": "small", "task": ["classification", "triage"]},
    {"to": "small", "prompt_tokens_over": 50},
    {"to": "large"},
]
RULE_OF = {"merge": 0, "triage": 1}
WAYS: dict[str, dict[str, Any]] = {
    "concurrency": {"concurrency": 3, "requests": 24},
    "users": {"users": 3, "requests": 24},
    "one-at-a-time": {"one_at_a_time": True, "requests": 20},
    "rate": {"rate": "60/s", "duration": "400ms"},
    "stages": {"stages": [{"time": "300ms", "from": "20/s", "to": "100/s"}]},
    "burst": {"burst": {"size": 20}},
    "levels": {"levels": [2, 4], "duration": "150ms"},
    "levels-of-rate": {"levels": ["40/s", "80/s"], "duration": "250ms"},
    "capped": {"rate": "100/s", "duration": "300ms", "max_in_flight": 2},
}


def answer(asked: Asked) -> Any:
    return stream(3, first_s=0.002 if asked.model == "small" else 0.01)


def both(endpoint: Endpoint, **of_large: Any) -> list[dict[str, Any]]:
    small = target("small", endpoint.base_url, headers={"x-team": "of small"}, extra_body={"top_p": 0.5})
    return [small, target("large", endpoint.base_url, headers={"x-team": "of large"}, **of_large)]


def rule_of(s: Sample) -> int:
    if s["task"] in RULE_OF:
        return RULE_OF[s["task"]]
    return 2 if s["asked_prompt_tokens"] > 50 else 3


@pytest.mark.parametrize("load", WAYS.values(), ids=WAYS)
def test_the_mix_is_one_more_series_each_request_sent_by_its_route(
    load: dict[str, Any], tmp_path: Path
) -> None:
    with Endpoint(answer) as endpoint:
        scenario = {"targets": both(endpoint), "workload": MIXTURE, "routes": ROUTES, "load": load}
        done = run(tmp_path, scenario)
    mix = done.of("routed")
    assert len(mix) > 8
    assert all(s["outcome"] == "ok" for s in done.samples)
    assert [s["rule"] for s in mix] == [rule_of(s) for s in mix]
    assert all(s["route"] == ROUTES[s["rule"]]["to"] for s in mix)
    assert all(s["risk"] == ("high" if s["task"] == "merge" else None) for s in mix)
    alone = [s for s in done.samples if s["target"] != "routed"]
    assert {(s["route"], s["rule"], s["risk"]) for s in alone} == {(None, None, None)}
    # what arrived is what the samples say: the target's own model, headers and body
    sent = Counter(s["route"] or s["target"] for s in done.samples)
    assert Counter(a.model for a in endpoint.asked) == sent
    assert all(a.headers["x-team"] == f"of {a.model}" for a in endpoint.asked)
    assert all(("top_p" in a.body) == (a.model == "small") for a in endpoint.asked)
    same_sessions_as_alone(done, load)
    shares_add_up(done)


def same_sessions_as_alone(done: Done, load: dict[str, Any]) -> None:
    alone, mix = done.sessions("small"), done.sessions("routed")
    common = alone.keys() & mix.keys()
    assert len(common) > 8
    assert [alone[n][0]["task"] for n in common] == [mix[n][0]["task"] for n in common]
    if done.plan.open_loop:
        assert alone.keys() == mix.keys()
        assert done.arrivals("routed").tolist() == done.arrivals("small").tolist()
    elif "requests" in load:
        assert len(alone) == len(mix) == load["requests"]


def shares_add_up(done: Done) -> None:
    """Of each level, as its samples say."""
    for reported in (t for t in done.report["targets"] if t["target"] == "routed"):
        window = [s for s in done.of("routed") if s["level"] == reported["level"] and s["phase"] == "measure"]
        found, n = reported["routes"], len(window)
        assert [r["requests"] for r in found["routes"]] == [
            sum(s["rule"] == i for s in window) for i in range(len(ROUTES))
        ]
        to = Counter(s["route"] for s in window)
        assert found["targets"] == {
            name: pytest.approx(to[name] / n, abs=1e-5) for name in ("large", "small")
        }
        escalated = [s for s in window if s["route"] != max(to, key=lambda name: to[name])]
        assert found["escalated"] == pytest.approx(len(escalated) / n, abs=1e-5)
    assert all(t["routes"] is None for t in done.report["targets"] if t["target"] != "routed")


def test_a_trace_in_the_mix(tmp_path: Path) -> None:
    rows = [
        {"prompt": "x" * 4 * n, "timestamp": n / 100, "task": "triage" if n % 3 else "review"}
        for n in range(1, 25)
    ]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = {"source": "jsonl", "file": "p.jsonl", "chars_per_token": 4, "salt": False, "risk": "low"}
    routes = [{"to": "small", "task": "triage"}, {"to": "small", "prompt_tokens_over": 12}, {"to": "large"}]
    with Endpoint(answer) as endpoint:
        scenario = {"targets": both(endpoint), "workload": words, "routes": routes}
        done = run(tmp_path, scenario | {"load": {"trace": {"speed": 2}}})
    rules = [0 if n % 3 else 1 if n > 12 else 2 for n in range(1, 25)]
    assert [s["rule"] for s in done.of("routed")] == rules
    assert done.arrivals("routed").tolist() == done.arrivals("large").tolist()


def test_the_report_is_the_same_when_read_back_from_the_samples(tmp_path: Path) -> None:
    with Endpoint(answer) as endpoint:
        load = {"concurrency": 2, "requests": 30}
        run(tmp_path, {"targets": both(endpoint), "workload": MIXTURE, "routes": ROUTES, "load": load})
    folder = only_run(tmp_path / "out")
    whole = open_run(folder).report.targets[-1]
    shutil.copytree(folder, tmp_path / "killed")
    (tmp_path / "killed" / "report.json").unlink()
    again = open_run(tmp_path / "killed").report.targets[-1]
    assert whole.routes is not None
    assert whole.routes.escalated_of_risk == {"high": 1.0}
    assert again.routes == whole.routes
    assert again.metrics == whole.metrics
    by_route = [g for g in whole.groups if g.by == "route"]
    assert [g.name for g in by_route] == ["large", "small"]
    assert [g for g in again.groups if g.by == "route"] == by_route
    assert sum(g.ok for g in by_route) == whole.requests.ok


WORDS = "word " * 24  # 120 characters: at 4 a token 30 tokens; three answered words are 15 characters


def test_a_conversation_that_grows_beyond_a_bound_changes_its_target(tmp_path: Path) -> None:
    """Turns are of 30, 63.75 and 97.5 tokens, with the answers in between."""
    talk = {"source": "prompts", "prompts": [WORDS], "turns": 3, "chars_per_token": 4, "salt": False}
    routes = [{"to": "small", "prompt_tokens_up_to": 63}, {"to": "large"}]
    with Endpoint(answer) as endpoint:
        targets = both(endpoint, session={"header": "x-session-id"})
        load = {"concurrency": 2, "requests": 6}
        done = run(tmp_path, {"targets": targets, "workload": talk, "routes": routes, "load": load})
    for turns in done.sessions("routed").values():
        assert [s["route"] for s in turns] == ["small", "large", "large"]
    # the new target is told all that was said, and which conversation it is
    asked = [a for a in endpoint.asked if a.model == "large"]
    assert sorted(len(a.body["messages"]) for a in asked) == [1] * 6 + [3] * 12 + [5] * 12
    assert all("x-session-id" in a.headers for a in asked)
    assert not any("x-session-id" in a.headers for a in endpoint.asked if a.model == "small")
    assert done.report["targets"][2]["routes"]["moved"] == 6


def test_a_target_that_takes_part_in_routes_only(tmp_path: Path) -> None:
    with Endpoint(answer) as endpoint:
        targets = both(endpoint, alone=False)
        load = {"concurrency": 2, "requests": 20}
        done = run(tmp_path, {"targets": targets, "workload": MIXTURE, "routes": ROUTES, "load": load})
    assert [t["name"] for t in done.report["targets"]] == ["small", "routed"]
    assert done.plan.targets == 2
    to_large = [s for s in done.of("routed") if s["route"] == "large"]
    assert len(to_large) == sum(a.model == "large" for a in endpoint.asked) > 0


def test_the_mix_has_connections_of_its_own(tmp_path: Path) -> None:
    """With one connection allowed to each target: one is made for it alone, one for its part of the mix."""
    with Endpoint(answer) as endpoint:
        targets = [t | {"max_connections": 1} for t in both(endpoint)]
        load = {"concurrency": 3, "requests": 24}
        done = run(tmp_path, {"targets": targets, "workload": MIXTURE, "routes": ROUTES, "load": load})
    made = Counter((s["target"], s["route"]) for s in done.samples if s["connect_start_ns"] is not None)
    ways = [("small", None), ("large", None), ("routed", "small"), ("routed", "large")]
    assert made == dict.fromkeys(ways, 1)
    assert endpoint.connections == 4


def test_a_dead_target_in_the_mix_is_called_no_more_often_than_alone(tmp_path: Path) -> None:
    with Endpoint(answer) as endpoint, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead: dict[str, Any] = target("dead", f"http://127.0.0.1:{closed.getsockname()[1]}/v1", alone=False)
        short = [w | {"task": "ask"} for w in MIXTURE[1:2]]
        both_ways = [*short, short[0] | {"risk": "high"}]
        routes = [{"to": "dead", "risk": "high"}, {"to": "small"}]
        load = {"concurrency": 1, "duration": "600ms"}
        scenario = {"targets": [both(endpoint)[0], dead], "workload": both_ways, "routes": routes}
        done = run(tmp_path, scenario | {"load": load})
    found = 0
    for before, after in pairwise(done.of("routed")):
        if before["route"] == "dead":
            assert after["intended_ns"] == before["done_ns"] + PAUSE_NS
            found += 1
    assert found
    assert {s["outcome"] for s in done.of("routed") if s["route"] == "dead"} == {"connect_error"}


def test_simulated_targets_and_the_price_of_each_route(tmp_path: Path) -> None:
    """A price of the target decides, not the model's in the catalogue."""
    dear, cheap = {"input": 1e6, "output": 0.0}, {"input": 1.0, "output": 0.0}
    targets = [target("small", price=cheap), target("large", price=dear)]
    load = {"concurrency": 4, "requests": 16}
    brief = [w | {"output_tokens": 2} for w in MIXTURE]
    done = run(tmp_path, {"targets": targets, "workload": brief, "routes": ROUTES, "load": load})
    assert done.report["run"]["simulated"]
    assert all(t["simulated"] for t in done.report["targets"])
    for s in done.of("routed"):
        each = {"small": 1e-6, "large": 1.0}[s["route"]]
        assert s["cost_usd"] == pytest.approx(s["prompt_tokens"] * each), json.dumps(s)
    mix = done.report["targets"][2]
    of_rule: dict[int, float] = {}
    for s in done.of("routed"):
        of_rule[s["rule"]] = of_rule.get(s["rule"], 0.0) + s["cost_usd"]
    told = {i: r["usd"] for i, r in enumerate(mix["routes"]["routes"]) if r["usd"] is not None}
    assert told == pytest.approx(of_rule)
    assert mix["cost"]["usd"] == pytest.approx(sum(of_rule.values()))
    assert mix["cost"]["price"] is None


def test_on_the_simulator_the_mix_has_engines_of_its_own(tmp_path: Path) -> None:
    """The same words unmarked: an engine in common would serve the later of the two from its cache."""
    words = {"source": "synthetic", "prompt_tokens": 300, "output_tokens": 2, "salt": False}
    scenario = {"targets": [target("gpt-5.4-mini")], "workload": words, "routes": [{"to": "gpt-5.4-mini"}]}
    done = run(tmp_path, scenario | {"load": {"concurrency": 2, "requests": 6}})
    assert len(done.of("routed")) == len(done.of("gpt-5.4-mini")) == 6
    assert {s["cached_tokens"] for s in done.samples} == {0}
