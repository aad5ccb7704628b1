"""A queue that grows is seen where no interval can tell it, and a steady endpoint is not taken for one."""

from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from loadgen.answers.within import with_answers
from loadgen.results.model import Report
from loadgen.results.read import open_run
from tests.results.saved import MS, STARTED, sample, write_run


def judged(folder: Path, ttft_ms: list[float], load: dict[str, str]) -> Report:
    """The report of a run whose requests had these TTFT, in their order."""
    made = []
    for i, ms in enumerate(ttft_ms, 10):
        first = (sample(i).sent_ns or 0) + round(ms * MS)
        made.append(
            msgspec.structs.replace(
                sample(i), first_token_ns=first, last_token_ns=first + 300 * MS, done_ns=first + 301 * MS
            )
        )
    run = open_run(write_run(folder, made, STARTED + timedelta(0), end_ns=None)[0])
    header = msgspec.structs.replace(run.report.run, load=load)
    return with_answers(msgspec.structs.replace(run.report, run=header), run.folder)


NOISE = np.random.default_rng(5).lognormal(0, 0.2, 600)
GROWING = (NOISE * np.linspace(200, 2_000, 600)).tolist()


@pytest.mark.parametrize(
    ("ttft_ms", "load", "rises"),
    [
        (GROWING, {"rate": "20/s"}, True),
        (GROWING, {"concurrency": "8"}, False),  # nothing queues without end there
        (GROWING, {"stages": "..."}, False),  # meant to change
        (GROWING[:59], {"rate": "20/s"}, False),  # too few to tell
        ((NOISE * 200).tolist(), {"rate": "20/s"}, False),
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
