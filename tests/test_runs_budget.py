"""A run ends before it costs more than its budget, whatever the load; where it can't be kept none begins."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from loadgen.api import RunOptions
from loadgen.api import run as carry_out
from loadgen.errors import ScenarioError
from loadgen.scenario.load import load as read
from tests.endpoint import END, HEAD, Endpoint, content, finish, stream
from tests.loads import Done, run

PRICE = {"input": 0.0, "output": 2500.0}  # 4 tokens are asked for: 0.01 each; 3 come: 0.0075
EACH_USD = 0.0075
WORDS = {"source": "prompts", "prompts": ["Count to 3.", "Count to 4."], "output_tokens": 4}
NAMES = ("a", "b")


def scenario(base_url: str, max_usd: float, load: dict[str, Any], **words: Any) -> dict[str, Any]:
    targets = [{"name": n, "model": n, "base_url": base_url, "price": PRICE} for n in NAMES]
    load = {"duration": "20s", "grace": "5s"} | load
    return {"targets": targets, "workload": WORDS | words, "load": load, "budget": {"max_usd": max_usd}}


def spent(done: Done) -> float:
    """What all targets cost; the samples say the same."""
    usd = sum(t["cost"]["usd"] or 0 for t in done.report["targets"])
    before = sum(t["cost"]["before_usd"] or 0 for t in done.report["targets"])
    assert usd - before == pytest.approx(sum(s["cost_usd"] or 0 for s in done.samples))
    return float(usd)


@pytest.mark.parametrize(
    ("load", "words"),
    [
        ({"concurrency": 4}, {}),
        ({"concurrency": 4, "warmup": "10s"}, {}),
        ({"one_at_a_time": True}, {}),
        ({"levels": [2, 4], "concurrency": 2}, {}),
        ({"rate": "100/s"}, {}),
        ({"rate": "1000/s", "max_in_flight": 3}, {}),
        ({"concurrency": 4}, {"turns": 3}),
        ({"concurrency": 4}, {"turns": 3, "think_time": "5ms"}),
        ({"users": 4}, {"turns": 3, "think_time": "5ms"}),
        ({"rate": "200/s", "max_in_flight": 3}, {"turns": 3}),
    ],
    ids=[
        "closed loop",
        "in the warm-up",
        "one at a time",
        "levels",
        "open loop",
        "open loop with a cap",
        "conversations",
        "conversations that think",
        "users",
        "conversations with a cap",
    ],
)
def test_a_run_ends_before_it_costs_more(tmp_path: Path, load: dict[str, Any], words: dict[str, Any]) -> None:
    with Endpoint(lambda _: stream(3, first_s=0.002)) as endpoint:
        done = run(tmp_path, scenario(endpoint.base_url, 0.5, load, **words))
    assert done.report["run"]["stopped_by"] == "budget"
    assert not done.report["run"]["interrupted"]
    # nearly all of it, but for what those in flight (and those not decoded yet) could have cost and did not
    assert 0.3 < spent(done) <= 0.5
    assert {s["outcome"] for s in done.samples} == {"ok"}
    if "turns" in words:
        turns = [len(s) for name in NAMES for s in done.sessions(name).values()]
        ended = [s for s in done.samples if s["last_turn"]]
        assert len(ended) == turns.count(3) < len(turns)  # some are left where they were


def _no_usage() -> AsyncIterator[bytes]:
    async def answer() -> AsyncIterator[bytes]:
        yield HEAD + b"\r\n" + content("one ") + finish() + END

    return answer()


def test_what_an_answer_does_not_tell_counts_as_the_most(tmp_path: Path) -> None:
    with Endpoint(lambda _: _no_usage()) as endpoint:
        done = run(tmp_path, scenario(endpoint.base_url, 0.2, {"concurrency": 2}))
    assert len(done.samples) == 20
    assert [s["cost_usd"] for s in done.samples] == [None] * 20
    costs = [t["cost"] for t in done.report["targets"]]
    assert [c["usd"] for c in costs] == [None, None]
    assert sum(c["requests_without_cost"] for c in costs) == 20


def test_probe_and_calibration_count(tmp_path: Path) -> None:
    """16 tokens of the probe's answer, 1 of each of the calibration's."""
    words = {"source": "synthetic", "prompts": None, "prompt_tokens": 20}
    with Endpoint(lambda asked: stream(min(3, asked.body["max_tokens"]))) as endpoint:
        made = scenario(endpoint.base_url, 0.5, {"concurrency": 2})
        made["workload"] = {k: v for k, v in (WORDS | words).items() if v is not None}
        done = run(tmp_path, made, probe=True)
    first, second = (t["cost"]["before_usd"] for t in done.report["targets"])
    assert second == pytest.approx(EACH_USD)
    assert first == pytest.approx(EACH_USD + 72 * 0.0025)
    assert 0.4 < spent(done) <= 0.5


def mistakes(tmp_path: Path, made: dict[str, Any], *, probe: bool = False) -> list[str]:
    path = tmp_path / "s.toml"
    path.write_text(tomli_w.dumps({"name": "s", **made}), "utf-8")
    with pytest.raises(ScenarioError) as caught:
        carry_out(read(path, []), RunOptions(tmp_path / "out", probe=probe))
    assert not (tmp_path / "out").exists()
    return [str(problem) for problem in caught.value.problems]


URL = "http://127.0.0.1:9/v1"
CANT = "budget.max_usd: can't be kept for"


@pytest.mark.parametrize(
    ("target", "words", "told"),
    [
        ({"price": {"input": 1.0}}, {}, f'{CANT} "b": unknown price; write targets.price'),
        ({"model": "nobody-knows"}, {}, f'{CANT} "b": unknown price; write targets.price'),
        (
            {"price": {"input": 1.0, "output": 1.0, "at_least": True}},
            {},
            f'{CANT} "b": only a lower bound of its price is known; write targets.price',
        ),
        (
            {"model": "gpt-5.4"},
            {"output_tokens": None},
            f'{CANT} "b": answers have no cap; write workload.output_tokens',
        ),
    ],
    ids=["no price of output", "no price", "a lower bound", "no cap"],
)
def test_a_budget_that_cannot_be_kept(
    tmp_path: Path, target: dict[str, Any], words: dict[str, Any], told: str
) -> None:
    workload = {k: v for k, v in (WORDS | words).items() if v is not None}
    made = scenario(URL, 1.0, {"concurrency": 1}) | {"workload": workload}
    made["targets"][1] = {"name": "b", "model": "b", "base_url": URL} | target
    assert told in mistakes(tmp_path, made)


def test_a_budget_that_does_not_reach_for_the_probe(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream(3)) as endpoint:
        (told,) = mistakes(tmp_path, scenario(endpoint.base_url, 0.03, {"concurrency": 1}), probe=True)
        assert not endpoint.asked
    assert re.match(
        r"budget\.max_usd: does not reach for probe, calibration and a first request, which may take USD \d",
        told,
    )
