"""Every rule fires on the report that it is for, in words, and is silent on a good one."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from loadgen.results.model import Dist, Report, TargetReport, Verdict
from loadgen.verdict.rules import FALSE_ALARM, FEW, OFF_PLAN, RULES, judge, tail_bound
from tests.verdict.made import GOOD, arrivals, moved, report, target

SILENT = {
    "a good run": report(),
    "two good targets": report(target("a"), target("b")),
    "at every limit": report(target(outcomes={"ok": FEW}, send_lag_ms=10.0), lag_ms=1.0, cpu=0.85),
    "failures are the endpoint's": report(target(outcomes={"ok": 950, "http_error": 49, "cancelled": 1})),
    "nothing known of the generator": report(lag_ms=None, cpu=None),
    "no TTFT where only whole answers came": report(target(ttft_ms=None), lag_ms=0.9),
    "arrivals as planned": report(arrivals=arrivals()),
    "one arrival in a hundred late": report(arrivals=arrivals(off_plan=10)),
    "the rate almost as planned": report(arrivals=arrivals(rate_delivered_per_s=49.8)),
    "too short to have a rate": report(arrivals=arrivals(rate_delivered_per_s=40.0, span_s=0.5)),
    "a burst has no rate": report(arrivals=arrivals(rate_planned_per_s=None, rate_delivered_per_s=None)),
    "the cap held back one in a hundred": report(arrivals=arrivals(delayed=10), load={"max_in_flight": 8}),
    "known as closely as asked for": report(
        load={"until": [{"metric": "ttft", "percentile": 99.0, "relative": 0.05}]}, stopped_by="duration"
    ),
    "ended by until": report(load={"until": [{"metric": "e2e", "percentile": 97.0}]}, stopped_by="until"),
    "the cap dropped some": report(arrivals=arrivals(sent=900, dropped=100, rate_delivered_per_s=45.0)),
    "the budget ended it": report(arrivals=arrivals(rate_delivered_per_s=45.0), stopped_by="budget"),
    "the cap made them wait": report(target(send_lag_ms=900.0), arrivals=arrivals(delayed=500)),
    "drift that may be chance": report(moved(1.4, (1.11, 1.7), 0.01)),
    "drift of less than a tenth": report(moved(1.12, (1.09, 1.15), 1e-9)),
    "a template in the cache": report(msgspec.structs.replace(target(), cached_before=0.5)),
    "tokens all from events": report(target(sources={"events": GOOD})),
}


@pytest.mark.parametrize("good", SILENT.values(), ids=list(SILENT))
def test_silence(good: Report) -> None:
    assert judge(good).verdict == Verdict("valid")


KNEW = "it knew these prompts, the salt is that of an earlier run: set workload.salt to true for a cold one"
LESS = "it used 30% of a core, so something else kept it from running: use a quieter machine"
LOST = "were cut off: its figures are of those few"
LATE = "a longer ramp, fewer streams or more max_connections"
FULL = "max_in_flight = 8 requests were under way"
LOWER = "a higher cap, or a lower rate"
MORE = "until asked for 5%: a longer run, or a percentile that needs fewer requests"
CAP = {"rate": "50/s", "max_in_flight": 8}
UNTIL = {"until": [{"metric": "ttft", "percentile": 99.0, "relative": 0.05}]}


def known(p99: float, ci95: tuple[float, float] | None) -> TargetReport:
    ttft = Dist(count=GOOD, p50=200.0, p99=p99, ci95={"p50": (199.0, 201.0), "p99": ci95})
    return msgspec.structs.replace(target(), metrics=target().metrics | {"ttft_ms": ttft})


FIRES: dict[str, tuple[str, Report, str, list[str]]] = {
    "the cap dropped": (
        "held back by the cap",
        report(arrivals=arrivals(sent=400, dropped=600), load=CAP | {"over_cap": "drop"}),
        "suspect",
        [f"600 of 1,000 arrivals were dropped, {FULL}: the figures are of the rest: {LOWER}"],
    ),
    "the cap made wait": (
        "held back by the cap",
        report(arrivals=arrivals(sent=980, dropped=20, delayed=300), load=CAP),
        "suspect",
        [
            (
                f"320 of 1,000 arrivals had to wait, 20 of them in vain until the end, {FULL}: "
                f"only TTFT from plan counts that: {LOWER}"
            )
        ],
    ),
    "not known so closely": (
        "until",
        report(known(300.0, (280.0, 330.0)), load=UNTIL, stopped_by="duration"),
        "suspect",
        [f"a: ttft p99 is known within 10%, {MORE}"],
    ),
    "not bounded": (
        "until",
        report(known(300.0, None), load=UNTIL, stopped_by="requests"),
        "suspect",
        [f"a: ttft p99 is not bounded, {MORE}"],
    ),
    "late in a burst": (
        "arrivals off their plan",
        report(arrivals=arrivals(off_plan=400), load={"burst": {"size": 200}}),
        "suspect",
        [
            (
                "400 of 1,000 arrivals were delivered more than 1 ms after their planned time: "
                "many were planned for one moment, and leave one after the other: "
                "read TTFT from plan, which counts it, or make the burst smaller"
            )
        ],
    ),
    "late loop": (
        "loop lag",
        report(lag_ms=3.21),
        "suspect",
        [f"the generator was late by 3.21 ms at p99, and so may be its TTFT: {LESS}"],
    ),
    "late loop, and no TTFT to compare with": (
        "loop lag",
        report(target(ttft_ms=None, outcomes={"ok": 50}), lag_ms=50.0),
        "suspect",
        [f"the generator was late by 50.0 ms at p99, and so may be its TTFT: {LESS}"],
    ),
    "late by 10 ms, which is less than a tenth of the TTFT": (
        "loop lag",
        report(target(ttft_ms=200.0), lag_ms=19.9),
        "suspect",
        [f"the generator was late by 19.9 ms at p99, and so may be its TTFT: {LESS}"],
    ),
    "late by more than a tenth of the TTFT": (
        "loop lag, gross",
        report(target("slow", ttft_ms=5000.0), target("fast", ttft_ms=200.0), lag_ms=20.5),
        "invalid",
        [f"the generator was late by 20.5 ms at p99, too much for this TTFT: {LESS}"],
    ),
    "late by more than 10 ms where the TTFT is short": (
        "loop lag, gross",
        report(target(ttft_ms=30.0), lag_ms=10.5),
        "invalid",
        [f"the generator was late by 10.5 ms at p99, too much for this TTFT: {LESS}"],
    ),
    "late where the kernel says when reads arrived": (
        "loop lag",
        report(lag_ms=50.0, instants="kernel"),
        "suspect",
        [
            (
                "the generator was late by 50.0 ms at p99, and so were its requests, and shorter gaps may be "
                f"missing: {LESS}"
            )
        ],
    ),
    "a clock that was set": (
        "clock",
        report(clock_set_ms=3.5, instants="kernel"),
        "suspect",
        [
            (
                "the system's clock was set by 3.50 ms in all, and requests of that moment are wrong by as "
                "much: have it adjusted by its speed alone"
            )
        ],
    ),
    "busy": ("CPU share", report(cpu=0.934), "suspect", ["the generator was 93% busy: lower the load"]),
    "requests left late": (
        "send lag",
        report(target("a"), target("b", send_lag_ms=12.5)),
        "suspect",
        [f"b: requests left 12.5 ms after their time at p99: {LATE}"],
    ),
    "arrivals late": (
        "arrivals off their plan",
        report(arrivals=arrivals(off_plan=40)),
        "suspect",
        [f"40 of 1,000 arrivals were delivered more than 1 ms after their planned time: {LESS}"],
    ),
    "an arrival early": (
        "arrivals off their plan",
        report(arrivals=arrivals(max_early_ns=20_000)),
        "suspect",
        ["requests left up to 0.020 ms before their planned time: report this as a bug"],
    ),
    "another rate than planned": (
        "arrival rate",
        report(arrivals=arrivals(rate_delivered_per_s=49.7)),
        "suspect",
        [f"49.7 arrivals/s were delivered of 50.0 planned (for each target): {LESS}"],
    ),
    "prompts of an earlier run": (
        "warm cache",
        report(msgspec.structs.replace(target(), cached_before=0.934), target("b")),
        "suspect",
        [f"a: 93% of the prompt tokens came from the server's cache: {KNEW}"],
    ),
    "many cut off": (
        "cut off",
        report(target("a", outcomes={"ok": 200, "cancelled": 101}), target("b")),
        "suspect",
        [
            (
                "a: 101 of 301 requests still ran at the end of the grace time and were cut off, the "
                "slow ones first: a longer grace, or a lower load"
            )
        ],
    ),
    "slower and slower": (
        "drift",
        report(moved(1.31, (1.2, 1.4), 1e-9)),
        "suspect",
        [
            (
                "a: TTFT of the window's second half is 31 % above that of its first, at the median: "
                "the endpoint had not settled: a longer warmup and window, or a lower load"
            )
        ],
    ),
    "still warming up": (
        "drift",
        report(moved(0.7, (0.6, 0.8), 1e-9, 3.5)),
        "suspect",
        [
            (
                "a: TTFT of the window's second half is 30 % below that of its first, at the median: "
                "its first 3.5 s were still warming up: a longer warmup"
            )
        ],
    ),
    "a window shorter than a request": (
        "short window",
        report(target("a", e2e_ms=20_500.0), target("b", e2e_ms=19_900.0)),
        "suspect",
        [
            (
                "a: the window is 20 s long and a request takes 20,500 ms at the median: rates in it "
                "say little: make it longer"
            )
        ],
    ),
    "nothing was sent": (
        "no success",
        report(target("a"), target("b", outcomes={})),
        "invalid",
        ["b: no request began in the measurement window: make it longer"],
    ),
    "all failed": (
        "no success",
        report(target(outcomes={"http_error": 7, "timeout": 1}, errors={"HTTP 500: no": 7, "late": 1})),
        "invalid",
        ["a: none of 8 requests succeeded: HTTP 500: no"],
    ),
    "all were cut off": (
        "no success",
        report(target(outcomes={"cancelled": 5})),
        "invalid",
        ["a: none of 5 requests succeeded: all were cut off; give a longer grace time"],
    ),
    "failures of this machine": (
        "errors of this machine",
        report(target(outcomes={"ok": 99, "client_error": 2}, errors={"too many open files": 2})),
        "invalid",
        ["a: 2 requests failed on this machine, not at the endpoint: too many open files"],
    ),
    "late because busy": (
        "loop lag",
        report(lag_ms=3.21, cpu=0.8),
        "suspect",
        ["the generator was late by 3.21 ms at p99, and so may be its TTFT: lower the load"],
    ),
    "many failures": (
        "failures",
        report(target(outcomes={"ok": 900, "http_error": 100}, errors={"HTTP 500: no": 100})),
        "suspect",
        ["a: 100 of 1,000 requests failed, most often: HTTP 500: no"],
    ),
    "most failed or were cut off": (
        "most were lost",
        report(
            target("a", outcomes={"ok": 490, "cancelled": 510}),
            target("b", outcomes={"ok": 100, "http_error": 300}, errors={"HTTP 500: no": 300}),
        ),
        "invalid",
        [
            f"a: only 490 of 1,000 requests were answered, 0 failed and 510 {LOST}; lower the load",
            f"b: only 100 of 400 requests were answered, 300 failed and 0 {LOST}; most often: HTTP 500: no",
        ],
    ),
    "a queue that grows": (
        "rising",
        report(msgspec.structs.replace(target(), rising_ttft_ms=(234.0, 2156.0))),
        "suspect",
        [
            (
                "a: TTFT rose throughout the window, from 234 to 2,156 ms at the median: it does not keep "
                "up, and its figures depend on how long the window is: lower the load"
            )
        ],
    ),
    "too few": (
        "few samples",
        report(target("a", outcomes={"ok": FEW - 1}), target("b", outcomes={"ok": 1})),
        "suspect",
        [
            f"{name}: {n} successful requests are too few: "
            "measure at least 36, to bound p90 100, to bound p99 1,000"
            for name, n in (("a", 35), ("b", 1))
        ],
    ),
    "tokens counted in two ways": (
        "token sources",
        report(target(sources={"events": 4, "usage": 996})),
        "suspect",
        ["a: tokens were counted in different ways (4 by events, 996 by usage): token figures are mixed"],
    ),
    "interrupted": (
        "unfinished",
        report(interrupted=True),
        "suspect",
        ["interrupted by the user: the window was closed after 20.0 s"],
    ),
    "killed": (
        "unfinished",
        report(complete=False),
        "suspect",
        ["the run was killed, or still goes on: this is what it had written down by then"],
    ),
}


@pytest.mark.parametrize(("rule", "bad", "state", "reasons"), FIRES.values(), ids=list(FIRES))
def test_a_rule_fires_alone(rule: str, bad: Report, state: str, reasons: list[str]) -> None:
    firing = {r.name: (r.state, list(r.reasons(bad))) for r in RULES if list(r.reasons(bad))}
    assert firing == {rule: (state, reasons)}
    assert judge(bad).verdict == Verdict(state, tuple(reasons))


@pytest.mark.parametrize("n", [1, 20, 300, 5_000, 200_000])
def test_the_rule_for_arrivals_raises_hardly_any_false_alarm(n: int) -> None:
    """In at most 0.2 % of runs that are as late as a good run may be: one arrival in a hundred."""
    late = np.random.default_rng(7).binomial(n, OFF_PLAN, 50_000)
    alarms = sum(
        int(runs) for k, runs in enumerate(np.bincount(late)) if tail_bound(n, k, OFF_PLAN) < FALSE_ALARM
    )
    assert alarms <= 100


@pytest.mark.parametrize(("n", "k"), [(20, 5), (300, 15), (5_000, 90), (200_000, 2_300)])
def test_the_rule_for_arrivals_sees_what_it_is_for(n: int, k: int) -> None:
    assert tail_bound(n, k, OFF_PLAN) < FALSE_ALARM
    assert tail_bound(n, n, OFF_PLAN) < FALSE_ALARM


def test_no_rule_is_left_out_here() -> None:
    assert {rule for rule, *_ in FIRES.values()} == {r.name for r in RULES}


def test_the_worst_state_wins_and_its_reasons_come_first() -> None:
    bad = report(target("a", outcomes={"ok": 5}), target("b", outcomes={"timeout": 3}), cpu=0.99)
    verdict = judge(bad).verdict
    assert verdict.state == "invalid"
    assert [r.split(":")[0] for r in verdict.reasons] == ["b", "the generator was 99% busy", "a"]


def test_the_rest_of_the_report_stays() -> None:
    bad = report(cpu=0.99)
    judged = judge(bad)
    assert msgspec.structs.replace(judged, verdict=bad.verdict) == bad
    assert judge(judged) == judged


@pytest.mark.parametrize("make", [r.reasons for r in RULES], ids=[r.name for r in RULES])
def test_every_reason_is_one_line(make: Callable[[Report], Any]) -> None:
    for _, bad, _, _ in FIRES.values():
        assert all("\n" not in reason for reason in make(bad))


def test_the_kernels_instants_do_not_depend_on_the_loop() -> None:
    assert judge(report(lag_ms=9.9, instants="kernel")).verdict.state == "valid"
    assert judge(report(clock_set_ms=3.5)).verdict.state == "valid"  # which then nothing is measured by


@pytest.mark.parametrize(
    ("waited", "cpu", "remedy"),
    [
        (0.015, 0.7, "something else had its core 1.5% of the time: use a quieter machine, or real-time"),
        (0.004, 0.7, "lower the load"),
        (0.015, 0.9, "lower the load"),
        (None, 0.7, "lower the load"),
    ],
)
def test_why_the_generator_was_late(waited: float | None, cpu: float, remedy: str) -> None:
    late = report(lag_ms=3.21)
    fared = msgspec.structs.replace(late.instrument, core_waited_share=waited, cpu_share=cpu)
    reasons = judge(msgspec.structs.replace(late, instrument=fared)).verdict.reasons
    assert any(reason.partition("TTFT: ")[2].startswith(remedy) for reason in reasons)


def test_what_left_late_as_the_loop_was_has_the_loops_remedy() -> None:
    late = report(target("b", send_lag_ms=12.5), lag_ms=12.0, instants="kernel")
    assert f"b: requests left 12.5 ms after their time at p99: {LESS}" in judge(late).verdict.reasons
