"""Runs written as a run writes them, for the tests that read them back."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from loadgen.measure.histogram import BUCKETS, encode, indexes
from loadgen.measure.objective import bounds
from loadgen.measure.recorder import LevelWindow, Recorder
from loadgen.measure.sample import Sample
from loadgen.results.folder import RunFolder, write_report
from loadgen.results.hlog import HlogWriter
from loadgen.results.model import Report, Run
from loadgen.results.summary import RunState, TargetFacts, Vitals, Window, build_report
from loadgen.scenario.lengths import Duration
from loadgen.scenario.slo import Slo
from loadgen.scenario.traffic import Share

STARTED = datetime(2026, 11, 21, 3, 15, 0, tzinfo=UTC)
MS = 1_000_000
SECOND = 1_000 * MS
TARGETS = ("gpt-5.5", "our own, new")
SLO = Slo(ttft={"p90": Duration(203 * MS)}, error_rate=Share(0.5), goodput=Share(0.9))


def sample(i: int, **changes: Any) -> Sample:
    """Request i: sent at i x 100 ms, TTFT 200 ms, 20 tokens in 300 ms more."""
    sent = i * 100 * MS
    made = Sample(
        seq=i,
        target=TARGETS[i % 2],
        task="completion",
        session=i // 2,
        turn=0,
        phase="warmup" if i < 10 else "measure",
        worker=0,
        outcome="ok",
        status=200,
        intended_ns=sent - 50_000,
        sent_ns=sent,
        first_byte_ns=sent + 199 * MS,
        first_token_ns=sent + (200 + i % 7) * MS,
        first_answer_ns=sent + (200 + i % 7) * MS,
        last_token_ns=sent + 500 * MS,
        done_ns=sent + 501 * MS,
        prompt_tokens=100,
        output_tokens=20,
        output_chars=80,
        token_source="usage",
        events=22,
        output_events=20,
        longest_gap_ns=30 * MS,
        first_event_tokens=1.0,
        first_event_chars=4,
        window_output_tokens=20.0,
        window_done=True,
    )
    return msgspec.structs.replace(made, **changes)


def failed(i: int) -> Sample:
    none = dict.fromkeys(
        ("first_token_ns", "first_answer_ns", "last_token_ns", "output_tokens", "token_source")
    )
    return sample(
        i, outcome="http_error", status=503, error="HTTP 503: busy", window_output_tokens=0.0, **none
    )


SAMPLES = [failed(i) if i % 13 == 12 else sample(i) for i in range(100)]


def state(run_id: str, *, complete: bool, end_ns: int | None = 11 * SECOND) -> RunState:
    lag = np.zeros(BUCKETS, np.int64)
    lag[indexes(np.array([40]))] = 100
    run = Run(
        id=run_id,
        scenario="coding",
        description="",
        started_at=STARTED.isoformat(),
        wall_s=11.0,
        window_s=0.0,
        seed=7,
        workers=1,
        digest="ab",
        simulated=False,
        interrupted=False,
        complete=complete,
        host={"cpus": 2},
        labels={"build": "x"},
        load={"concurrency": 2},
        epoch_ns=123,
    )
    facts = tuple(TargetFacts(name, "m", "http://127.0.0.1:1/v1", "chat", False, False) for name in TARGETS)
    vitals = Vitals(encode(lag), 0.4, 0.5)
    return RunState(run, facts, Window(SECOND, end_ns), vitals, 90, objectives=SLO.objectives)


def write_run(
    out: Path, samples: list[Sample] = SAMPLES, started: datetime = STARTED, end_ns: int | None = 11 * SECOND
) -> tuple[Path, Report]:
    """Write a run as a run does; chunk gaps of 15 ms are known of the first target."""
    folder = RunFolder.create(out, "coding", started)
    recorder = Recorder(TARGETS, 0, (LevelWindow("", SECOND, end_ns),), bounds(SLO.objectives))
    writer = HlogWriter(started)
    folder.append_hlog(writer.head())
    folder.write_header(msgspec.json.encode(state(folder.id, complete=False, end_ns=end_ns)))
    gaps, at = np.array([19]), int(indexes(np.array([15_000]))[0])
    for one in samples:
        recorder.add(one)
        folder.append(msgspec.json.encode(one) + b"\n")
        if one.target == TARGETS[0] and one.outcome == "ok" and one.phase == "measure":
            recorder.targets[one.target].counts[-1][at] += 19
            tag = (one.target, "chunk_gap_ms")
            folder.append_hlog(writer.line(tag, one.sent_ns or 0, one.done_ns, gaps, at))
    folder.close()
    report = build_report(state(folder.id, complete=True, end_ns=end_ns), recorder)
    write_report(folder.path, report)
    return folder.path, report


def kill(folder: Path, samples_cut: int = 0, hlog_cut: int = 0) -> None:
    """Leave what a kill -9 leaves: no report, the ends of the files missing."""
    (folder / "report.json").unlink()
    for name, cut in (("samples.jsonl", samples_cut), ("histograms.hlog", hlog_cut)):
        size = (folder / name).stat().st_size
        os.truncate(folder / name, size - cut)
