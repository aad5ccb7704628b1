"""Measured against true: a client's record of every request beside the reference server's, by response id.

All instants are nanoseconds of CLOCK_MONOTONIC, which `time.perf_counter_ns` reads too on Linux. loadgen's
are offsets from the run's epoch in its files (`run.epoch_ns` of report.json) and absolute here.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Instants = npt.NDArray[np.int64]
Milliseconds = npt.NDArray[np.float64]

QUANTITIES: Final = ("ttft", "sent half", "receive half", "mean gap", "longest gap")


@dataclass(frozen=True, slots=True)
class Truth:
    """One answered request as the server saw it. Definitions: the head of reference_server.c."""

    received_ns: int
    written_ns: Instants  # of every output event, at least one
    request_bytes: int


@dataclass(frozen=True, slots=True)
class Timing:
    """One successful request as a client saw it."""

    response_id: str
    sent_ns: int
    first_token_ns: int
    last_token_ns: int
    longest_gap_ns: int  # 0 for an answer of one event


def _rows(path: Path) -> list[dict[str, str]]:
    """Read a log of words between blanks under one header line."""
    header, *lines = path.read_text().splitlines()
    names = header.split()
    return [dict(zip(names, line.split(), strict=True)) for line in lines]


def read_truth(folder: Path) -> dict[str, Truth]:
    """Read server.log and server.events: the requests that were answered with a whole stream."""
    instants = np.fromfile(folder / "server.events", dtype=np.int64)
    truth = {}
    for row in _rows(folder / "server.log"):
        if row["state"] == "done" and row["status"] == "200":
            begin = int(row["offset"])
            truth[row["response_id"]] = Truth(
                received_ns=int(row["received"]),
                written_ns=instants[begin : begin + int(row["events"])],
                request_bytes=int(row["request_bytes"]),
            )
    return truth


def read_client_log(path: Path) -> list[Timing]:
    """Read the reference client's log."""
    return [
        Timing(
            response_id=row["response_id"],
            sent_ns=int(row["sent"]),
            first_token_ns=int(row["first"]),
            last_token_ns=int(row["last"]),
            longest_gap_ns=int(row["longest_gap"]),
        )
        for row in _rows(path)
    ]


def read_samples(run_folder: Path) -> list[Timing]:
    """Read the successful requests of a run folder, of every phase."""
    epoch_ns = json.loads((run_folder / "report.json").read_bytes())["run"]["epoch_ns"]
    with (run_folder / "samples.jsonl").open() as lines:
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [
        Timing(
            response_id=row["response_id"],
            sent_ns=epoch_ns + row["sent_ns"],
            first_token_ns=epoch_ns + row["first_token_ns"],
            last_token_ns=epoch_ns + row["last_token_ns"],
            longest_gap_ns=row["longest_gap_ns"] or 0,
        )
        for row in rows
        if row["outcome"] == "ok"
    ]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What pairing found.

    errors_ms: for each of QUANTITIES one value a request. ttft = (first_token - sent) - (first written -
    received), and it is the sum of its halves: sent half = received - sent, receive half = first_token -
    first written. mean gap and longest gap: measured - true, of answers with at least two events.
    true_gaps_ms: every gap between two successive events of one answer, as written.
    unpaired: requests that only one side calls a success. impossible: a half below zero, a message
    that arrived before it left: one of the two clocks or logs is wrong.
    """

    errors_ms: dict[str, Milliseconds]
    true_gaps_ms: Milliseconds
    requests: int
    events: int
    unpaired: int
    impossible: int


def pair(timings: Iterable[Timing], truth: dict[str, Truth]) -> Comparison:
    """Lay every request beside the truth about it."""
    errors: dict[str, list[float]] = {name: [] for name in QUANTITIES}
    gaps: list[Instants] = []
    seen: set[str] = set()
    strangers = events = 0
    for timing in timings:
        true = truth.get(timing.response_id)
        if true is None or timing.response_id in seen:
            strangers += 1
            continue
        seen.add(timing.response_id)
        events += len(true.written_ns)
        first_ns, last_ns = int(true.written_ns[0]), int(true.written_ns[-1])
        sent_half, receive_half = true.received_ns - timing.sent_ns, timing.first_token_ns - first_ns
        errors["sent half"].append(sent_half)
        errors["receive half"].append(receive_half)
        errors["ttft"].append(sent_half + receive_half)
        if len(true.written_ns) > 1:
            true_gaps = np.diff(true.written_ns)
            gaps.append(true_gaps)
            span_ns = timing.last_token_ns - timing.first_token_ns
            errors["mean gap"].append((span_ns - (last_ns - first_ns)) / len(true_gaps))
            errors["longest gap"].append(timing.longest_gap_ns - int(true_gaps.max()))
    in_ms = {name: np.array(values, dtype=np.float64) / 1e6 for name, values in errors.items()}
    return Comparison(
        errors_ms=in_ms,
        true_gaps_ms=np.concatenate(gaps) / 1e6 if gaps else np.empty(0),
        requests=len(seen),
        events=events,
        unpaired=strangers + len(truth) - len(seen),
        impossible=int(((in_ms["sent half"] < 0) | (in_ms["receive half"] < 0)).sum()),
    )


def percentile(values: Milliseconds, percent: float) -> float:
    """The smallest value that at least `percent` % of the values don't exceed; nan without values."""
    return float(np.percentile(values, percent, method="inverted_cdf")) if len(values) else float("nan")
