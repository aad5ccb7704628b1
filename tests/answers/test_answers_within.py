"""A queue that grows is seen where no interval can tell it, and a steady endpoint is not taken for one."""

import re
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from loadgen.answers.within import with_answers
from loadgen.report.figures import unbounded
from loadgen.report.said import footnotes
from loadgen.results.model import ObjectiveReport, Report
from loadgen.results.read import open_run
from tests.results.saved import MS, STARTED, sample, write_run


def saved(folder: Path, ttft_ms: list[float]) -> Path:
    """A run whose requests had these TTFT, in their order."""
    made = []
    for i, ms in enumerate(ttft_ms, 10):
        first = (sample(i).sent_ns or 0) + round(ms * MS)
        made.append(
            msgspec.structs.replace(
                sample(i), first_token_ns=first, last_token_ns=first + 300 * MS, done_ns=first + 301 * MS
            )
        )
    return write_run(folder, made, STARTED + timedelta(0), end_ns=None)[0]


def judged(folder: Path, ttft_ms: list[float], load: dict[str, str]) -> Report:
    """Its report, under such a load."""
    run = open_run(saved(folder, ttft_ms))
    header = msgspec.structs.replace(run.report.run, load=load)
    return with_answers(msgspec.structs.replace(run.report, run=header), run.folder)


NOISE = np.random.default_rng(5).lognormal(0, 0.2, 600)
STEADY = (NOISE * 200).tolist()
GROWING = (NOISE * np.linspace(200, 2_000, 600)).tolist()


@pytest.mark.parametrize(
    ("ttft_ms", "load", "rises"),
    [
        (GROWING, {"rate": "20/s"}, True),
        (GROWING, {"concurrency": "8"}, False),  # nothing queues without end there
        (GROWING, {"stages": "..."}, False),  # meant to change
        (GROWING[:59], {"rate": "20/s"}, False),  # too few to tell
        (STEADY, {"rate": "20/s"}, False),
        ((NOISE * np.linspace(200, 260, 600)).tolist(), {"rate": "20/s"}, False),
        (GROWING[::-1], {"rate": "20/s"}, False),  # a warm-up
    ],
    ids=["growing", "closed", "stages", "few", "steady", "slightly", "falling"],
)
def test_a_queue_that_grows(ttft_ms: list[float], load: dict[str, str], rises: bool, tmp_path: Path) -> None:
    report = judged(tmp_path, ttft_ms, load)
    found = report.targets[0].rising_ttft_ms
    assert (found is not None) is rises
    assert any("TTFT rose throughout the window" in reason for reason in report.verdict.reasons) is rises
    if found is not None:
        assert found[0] == pytest.approx(350, rel=0.1)
        assert found[1] == pytest.approx(1_850, rel=0.1)


@pytest.mark.parametrize(
    ("ttft_ms", "objective", "note"),
    [
        (STEADY, "ttft.p90 <= 10s", ""),
        (STEADY, "ttft.p99 <= 10s", "300 values can't bound p99: 1,000 independent ones could"),
        (GROWING, "ttft.p90 <= 10s", "300 values that count as [0-9]+ can't bound p90: .*"),
        (GROWING, "ttft.p99.9 <= 10s", "300 values can't bound p99.9: 10,000 independent ones could"),
        (STEADY, "error_rate <= 1%", ""),
    ],
)
def test_an_objective_is_as_sure_as_its_percentile(
    ttft_ms: list[float], objective: str, note: str, tmp_path: Path
) -> None:
    run = open_run(saved(tmp_path, ttft_ms))
    slo = (ObjectiveReport(objective, 400.0, met=True),)
    targets = tuple(msgspec.structs.replace(target, slo=slo) for target in run.report.targets)
    told = with_answers(msgspec.structs.replace(run.report, targets=targets), run.folder).targets[0].slo[0]
    assert re.fullmatch(note, told.note)
    assert told.met


def test_the_footnote_tells_how_many_count_where_there_is_no_interval(tmp_path: Path) -> None:
    report = judged(tmp_path, GROWING, {"concurrency": "8"})
    ttft = report.targets[0].metrics["ttft_ms"]
    assert ttft.ci95["p90"] is None
    assert ttft.effective["p90"] < 100
    loose = [(d.effective[p], d.count) for d in unbounded(report) for p in ("p50", "p90") if not d.ci95[p]]
    fewest, of = min(loose)
    assert fewest < 0.9 * of
    takes = "it takes 20 independent ones for p50, 100 for p90, 1,000 for p99"
    slow = f"{of} that share what slows them count as {fewest} where they are fewest"
    assert f"* too few requests for a 95 % interval: {takes}; {slow}" in footnotes(report)
