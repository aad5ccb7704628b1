"""A run whose scenario has objectives: what it says of them, and its exit code."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadgen.api import exit_code
from loadgen.results.model import ObjectiveReport, Report, Verdict
from tests.endpoint import Asked, Endpoint, refusal, stream
from tests.program import only_run, read_report, run_here, target, write_scenario

TEN = {"concurrency": 2, "requests": 10}
MET = {"ttft": {"p50": "1m"}, "output_tokens_per_s": {"p5": 1e-6}, "error_rate": "0%", "goodput": "100%"}


def every_fifth_fails(asked: Asked) -> AsyncIterator[bytes]:
    return refusal(500, "broken") if asked.number % 5 == 4 else stream(gap_s=0.003)


@pytest.mark.parametrize(
    ("answer", "slo", "missed"),
    [
        (lambda _: stream(gap_s=0.003), MET, []),
        (lambda _: stream(gap_s=0.003), MET | {"e2e": {"p1": "1ns"}}, ["e2e.p1", "goodput"]),
        (every_fifth_fails, MET, ["error_rate", "goodput"]),
        (every_fifth_fails, {"ttft": {"p50": "1m", "p90": "1m"}}, ["ttft.p90"]),
    ],
    ids=["met", "too slow", "failures", "a percentile among failures"],
)
def test_what_is_missed_is_told_and_decides(
    tmp_path: Path, answer: Callable[[Asked], AsyncIterator[bytes]], slo: dict[str, Any], missed: list[str]
) -> None:
    with Endpoint(answer) as endpoint:
        path = write_scenario(tmp_path, target("a", endpoint.base_url), load=TEN, slo=slo)
        done = run_here(tmp_path, path)
    (told,) = read_report(only_run(tmp_path / "out"))["targets"]
    assert [one["objective"].split()[0] for one in told["slo"] if not one["met"]] == missed
    if done.report.verdict.state != "invalid":  # a machine that is busy with other things
        assert done.exit_code == (3 if missed else 0)
    rates = told["rates"]
    if "e2e" in slo:
        assert rates["good_requests_per_s"] == 0
    else:
        assert rates["good_requests_per_s"] == rates["requests_per_s"] > 0


@pytest.mark.parametrize(
    ("state", "interrupted", "code"),
    [("valid", False, 3), ("suspect", False, 3), ("invalid", False, 4), ("invalid", True, 130)],
)
def test_what_is_worse_decides_first(state: str, interrupted: bool, code: int, tmp_path: Path) -> None:
    with Endpoint(lambda _: stream()) as endpoint:
        path = write_scenario(tmp_path, target("a", endpoint.base_url), load=TEN)
        report = run_here(tmp_path, path).report
    missed = ObjectiveReport("x", None, met=False)
    assert exit_code(changed(report, state, interrupted, missed)) == code


def changed(report: Report, state: str, interrupted: bool, objective: ObjectiveReport) -> Report:
    return msgspec.structs.replace(
        report,
        verdict=Verdict(state),
        run=msgspec.structs.replace(report.run, interrupted=interrupted),
        targets=tuple(msgspec.structs.replace(t, slo=(objective,)) for t in report.targets),
    )
