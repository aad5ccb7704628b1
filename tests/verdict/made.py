"""Reports that the rules of the verdict are shown."""

from typing import Any

import msgspec

from loadgen.results.model import (
    FORMAT,
    Dist,
    Drift,
    Instrument,
    Rates,
    Report,
    Requests,
    Run,
    TargetReport,
    Tokens,
    Verdict,
)

GOOD = 1000


def dist(p50: float | None, p99: float | None, count: int = GOOD) -> Dist:
    return Dist(count=count, p50=p50, p99=p99, ci95={"p99": None if p99 is None else (p99, p99)})


def target(
    name: str = "a",
    *,
    outcomes: dict[str, int] | None = None,
    errors: dict[str, int] | None = None,
    ttft_ms: float | None = 200.0,
    send_lag_ms: float | None = 0.3,
    e2e_ms: float | None = 900.0,
    sources: dict[str, int] | None = None,
) -> TargetReport:
    found = {"ok": GOOD} if outcomes is None else outcomes
    ok, cancelled, sent = found.get("ok", 0), found.get("cancelled", 0), sum(found.values())
    counted = {"usage": ok} if sources is None else sources
    return TargetReport(
        name=name,
        model="m",
        base_url="http://h/v1",
        endpoint="chat",
        simulated=False,
        insecure=False,
        window_s=20.0,
        requests=Requests(sent, ok, sent - ok - cancelled, cancelled, found, 0, 0, 0, {"measure": found}),
        tokens=Tokens(1, 0, 0, 1, "mixed" if len(counted) > 1 else "usage", counted),
        rates=Rates(50, 50, 5000, 50),
        errors=errors or {},
        metrics={
            "ttft_ms": dist(ttft_ms, ttft_ms),
            "send_lag_ms": dist(0.1, send_lag_ms),
            "e2e_ms": dist(e2e_ms, e2e_ms),
        },
        series={},
    )


def moved(ratio: float, ci95: tuple[float, float], p_value: float, unsettled_s: float = 0.0) -> TargetReport:
    return msgspec.structs.replace(target(), drift=Drift(ratio, ci95, p_value, unsettled_s))


def report(
    *targets: TargetReport,
    lag_ms: float | None = 0.2,
    cpu: float | None = 0.3,
    arrivals: dict[str, Any] | None = None,
    instants: str = "loop",
    clock_set_ms: float = 0.0,
    **run: Any,
) -> Report:
    defaults: dict[str, Any] = {
        "id": "r",
        "scenario": "s",
        "description": "",
        "started_at": "2026-01-01T00:00:00+00:00",
        "wall_s": 24.4,
        "window_s": 20.0,
        "seed": 0,
        "workers": 1,
        "digest": "",
        "simulated": False,
        "interrupted": False,
        "complete": True,
        "host": {},
        "labels": {},
        "load": {},
        "epoch_ns": 0,
    }
    return Report(
        format=FORMAT,
        loadgen="0",
        run=Run(**defaults | run),
        verdict=Verdict("valid"),
        instrument=Instrument(
            dist(0.1, lag_ms),
            dist(0.1, 0.3),
            cpu,
            cpu,
            0.0,
            0,
            10,
            50.0,
            arrivals or {},
            instants=instants,
            clock_set_ms=clock_set_ms,
        ),
        targets=targets or (target(),),
    )


def arrivals(**keys: Any) -> dict[str, Any]:
    """1,000 arrivals at 50/s, delivered as planned."""
    good: dict[str, Any] = {"planned": 1000, "sent": 1000, "dropped": 0, "delayed": 0, "off_plan": 0}
    good |= {"max_early_ns": 0, "rate_planned_per_s": 50.0, "rate_delivered_per_s": 50.0, "span_s": 20.0}
    return good | keys
