"""Saved runs of two targets, to be compared."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from loadgen.measure.sample import Sample
from loadgen.results.folder import write_report
from loadgen.results.read import open_run
from tests.results.saved import MS, STARTED, TARGETS, failed, sample, write_run

REQUESTS = 1_200


def requests(factors: tuple[float, float] = (1, 1), *, seed: int = 1, failing: int = 0) -> list[Sample]:
    """Requests of two targets in turn: log-normal TTFT around 200 ms times the target's factor."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(10, 10 + 2 * REQUESTS):
        one = sample(i)
        sent = one.sent_ns or 0
        first = sent + round(200 * MS * factors[i % 2] * float(rng.lognormal(0, 0.2)))
        times = {
            "first_token_ns": first,
            "first_answer_ns": first,
            "last_token_ns": first + 300 * MS,
            "done_ns": first + 301 * MS,
        }
        made.append(failed(i) if failing and i % failing == 1 else msgspec.structs.replace(one, **times))
    return made


def grows(one: Sample) -> Sample:
    """The same request, but of the second target; each of its answers is 20 ms later than the one before."""
    if one.target == TARGETS[0]:
        return one
    late = 10 * MS * one.seq
    later = {
        name: (getattr(one, name) or 0) + late
        for name in ("first_token_ns", "first_answer_ns", "last_token_ns", "done_ns")
    }
    return msgspec.structs.replace(one, **later)


def saved(out: Path, hours: int = 0, **kind: Any) -> Path:
    folder, report = write_run(out, requests(**kind), started=STARTED + timedelta(hours=hours), end_ns=None)
    targets = tuple(msgspec.structs.replace(target, slo=()) for target in report.targets)
    write_report(folder, msgspec.structs.replace(report, targets=targets))
    return folder


def changed(folder: Path, **run: Any) -> Path:
    """Change what the report says of its run, or of its verdict."""
    report = open_run(folder).report
    verdict = run.pop("verdict", report.verdict)
    models = run.pop("models", None)
    targets = report.targets
    if models is not None:
        targets = tuple(msgspec.structs.replace(t, model=m) for t, m in zip(targets, models, strict=True))
    new = msgspec.structs.replace(
        report, run=msgspec.structs.replace(report.run, **run), verdict=verdict, targets=targets
    )
    write_report(folder, new)
    return folder
