"""Invented reports: a target with the figures a test cares for, the rest plausible."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadgen.results.model import (
    Dist,
    Instrument,
    Rates,
    Report,
    Requests,
    Run,
    TargetReport,
    Tokens,
    Verdict,
    WithFailures,
)
from tests.endpoint import Asked, Endpoint, refusal, stream
from tests.program import run_here, target, write_scenario

NOTHING = Dist(count=0)
VALID = Verdict("valid")


def make_dist(middle: float, count: int = 1000, *, bounded: bool = True, **changes: Any) -> Dist:
    """A distribution around `middle`; p99 is 4 x middle."""
    factors = {
        "p1": 0.5,
        "p5": 0.6,
        "p10": 0.7,
        "p50": 1,
        "p75": 1.5,
        "p90": 2,
        "p95": 3,
        "p99": 4,
        "p999": 5,
    }
    interval = (0.95 * middle, 1.05 * middle)
    made = Dist(
        count=count,
        mean=1.2 * middle,
        stddev=middle,
        min=middle / 3,
        max=6 * middle,
        ci95={
            "p50": interval,
            "p90": (interval[0] * 2, interval[1] * 2),
            "p99": (interval[0] * 4, interval[1] * 4) if bounded else None,
        },
    )
    return msgspec.structs.replace(made, **{p: f * middle for p, f in factors.items()} | changes)


def all_requests(dist: Dist) -> Dist:
    """The same with `with_failures`, of a target without failures."""
    found = WithFailures(count=dist.count, p50=dist.p50, p90=dist.p90, p99=dist.p99)
    return msgspec.structs.replace(dist, with_failures=found)


def make_target(name: str = "gpt-5.5", ok: int = 1000, **changes: Any) -> TargetReport:
    ttft = all_requests(make_dist(200, ok)) if ok else NOTHING
    e2e = all_requests(make_dist(1000, ok)) if ok else NOTHING
    metrics = {
        "ttft_ms": ttft,
        "ttft_from_plan_ms": ttft,
        "tpot_ms": make_dist(14, ok) if ok else NOTHING,
        "e2e_ms": e2e,
        "output_tokens_per_s": make_dist(70, ok) if ok else NOTHING,
        "chunk_gap_ms": make_dist(13, 50 * ok) if ok else NOTHING,
    }
    made = TargetReport(
        name=name,
        model=name,
        base_url="https://llm.example.com/v1",
        endpoint="chat",
        simulated=False,
        insecure=False,
        window_s=20.0,
        requests=make_requests(ok),
        tokens=Tokens(100 * ok, 0, 0, 60 * ok, "usage" if ok else None, {"usage": ok} if ok else {}),
        rates=Rates(ok / 20, ok / 20, 60 * ok / 20, ok / 20),
        errors={},
        metrics=metrics,
        series={},
    )
    return msgspec.structs.replace(made, **changes)


def make_requests(ok: int, outcomes: dict[str, int] | None = None, **changes: int) -> Requests:
    """outcomes: beside ok."""
    outcomes = outcomes or {}
    cancelled = outcomes.get("cancelled", 0)
    failed = sum(outcomes.values()) - cancelled
    made = Requests(
        sent=ok + failed + cancelled,
        ok=ok,
        failed=failed,
        cancelled=cancelled,
        outcomes={"ok": ok, **outcomes},
        dropped=0,
        late=0,
        resent=0,
        phases={},
    )
    return msgspec.structs.replace(made, **changes)


def make_report(*targets: TargetReport, verdict: Verdict = VALID, **run: Any) -> Report:
    facts: dict[str, Any] = {
        "id": "20261121T031500Z-3f2a9c",
        "scenario": "code_completion",
        "description": "Completions in an editor",
        "started_at": "2026-11-21T03:15:00+00:00",
        "wall_s": 24.3,
        "window_s": 20.0,
        "seed": 7,
        "workers": 1,
        "digest": "abcdef",
        "simulated": any(t.simulated for t in targets),
        "interrupted": False,
        "complete": True,
        "host": {"platform": "Linux", "cpus": 2},
        "labels": {"build": "abc123"},
        "load": {"concurrency": 32, "ramp_s": 2.5, "duration_s": 20.0, "requests": None},
        "epoch_ns": 1,
    }
    return Report(
        format=1,
        loadgen="0.1.0",
        run=Run(**facts | run),
        verdict=verdict,
        instrument=Instrument(
            make_dist(0.1), make_dist(0.2), 0.43, 0.61, 12.5, 1, 32, 180.0, {"planned": None, "begun": 1000}
        ),
        targets=targets,
    )


class Invent:
    """What the tests of this room build reports with."""

    dist = staticmethod(make_dist)
    target = staticmethod(make_target)
    requests = staticmethod(make_requests)
    report = staticmethod(make_report)


@pytest.fixture
def invent() -> type[Invent]:
    return Invent


EVIL = "</script><script>alert(1)</script>"
EVIL_TOO = '<img src="http://127.0.0.1:9/x.png" onerror="alert(2)"> & $x$ %{y} <b>bold</b>'


@pytest.fixture(scope="session")
def evil_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with HTML in the names of its targets, its task, a label and an error's text."""

    def answer(asked: Asked) -> AsyncIterator[bytes]:
        fails = asked.model == EVIL_TOO and asked.of_model % 4 == 3
        return refusal(500, f"no {EVIL_TOO}") if fails else stream(4, first_s=0.01, gap_s=0.002)

    folder = tmp_path_factory.mktemp("evil")
    workload = {"source": "jsonl", "file": "prompts.jsonl", "output_tokens": 4, "task": "<i>task</i>"}
    with Endpoint(answer) as endpoint:
        path = write_scenario(
            folder,
            *(target(name, endpoint.base_url) for name in (EVIL, EVIL_TOO)),
            load={"concurrency": 2, "requests": 100, "duration": "30s", "warmup": "0.1s"},
            workload=workload,
            description=EVIL,
            report={"formats": ["html"], "labels": {EVIL_TOO: EVIL}},
        )
        return run_here(folder, path).folder
