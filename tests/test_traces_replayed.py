"""Windows of real traces, sped up, against the simulator: what was delivered is what the files say.

The files are not part of the project: Mooncake's (Apache-2.0, kvcache-ai/Mooncake) and Azure's of 2023
(CC-BY 4.0, Azure/AzurePublicDataset). They are looked for beside the checkout (`TRACES`), and read here by
the few lines it takes, not by the readers under test.
"""

import datetime as dt
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.loads import MS, SECOND, never_early, run
from tests.program import target

pytestmark = pytest.mark.slow

TRACES = Path(os.environ.get("LOADGEN_TRACES", Path(__file__).parents[2] / "shared" / "traces"))


def file(name: str) -> Path:
    if not (TRACES / name).is_file():
        pytest.skip(f"{name} is not in {TRACES} (LOADGEN_TRACES says where the traces are)")
    return TRACES / name


class Row(NamedTuple):
    """at_ns: from the file's first arrival."""

    at_ns: int
    prompt: int
    output: int


def mooncake(path: Path) -> list[Row]:
    found = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [Row(r["timestamp"] * MS, r["input_length"], r["output_length"]) for r in found]


def azure(path: Path) -> list[Row]:
    rows = []
    for line in path.read_bytes().decode().split("\r\n")[1:]:
        time, prompt, output = line.split(",")
        whole, _, fraction = time.partition(".")
        seconds = int(dt.datetime.fromisoformat(f"{whole}+00:00").timestamp())
        rows.append(Row(seconds * SECOND + int(fraction.ljust(9, "0")), int(prompt), int(output)))
    return [row._replace(at_ns=row.at_ns - rows[0].at_ns) for row in rows]


class Window(NamedTuple):
    file: str
    source: str
    start_s: int
    length_s: int
    speed: float


@pytest.mark.parametrize(
    "window",
    [
        Window("azure_code_2023.csv", "azure", 600, 60, 25),
        Window("azure_conv_2023.csv", "azure", 1200, 60, 25),
        Window("mooncake_conversation.jsonl", "mooncake", 900, 60, 20),
        Window("mooncake_synthetic.jsonl", "mooncake", 300, 30, 10),
    ],
    ids=lambda w: w.file,
)
def test_a_trace_is_delivered_as_it_stands_in_the_file(tmp_path: Path, window: Window) -> None:
    path = file(window.file)
    rows = (azure if window.source == "azure" else mooncake)(path)
    start, end = window.start_s * SECOND, (window.start_s + window.length_s) * SECOND
    chosen = [(i, row) for i, row in enumerate(rows) if start <= row.at_ns < end]
    assert len(chosen) > 50
    trace = {"start": f"{window.start_s}s", "length": f"{window.length_s}s", "speed": window.speed}
    workload = {"source": window.source, "file": str(path)}
    load = {
        "trace": trace,
        "grace": "1s",
    }  # the simulator may be slower than the trace: its arrivals count here
    done = run(tmp_path, {"targets": [target("m")], "workload": workload, "load": load})

    planned = [(row.at_ns - start) / window.speed for _, row in chosen]
    assert np.abs(done.arrivals("m") - planned).max() <= 1
    by_row = sorted(done.samples, key=lambda s: int(s["session"]))
    assert [s["session"] for s in by_row] == [i for i, _ in chosen]
    for sample, (_, row) in zip(by_row, chosen, strict=True):
        assert (sample["asked_prompt_tokens"], sample["asked_output_tokens"]) == (row.prompt, row.output)
    assert never_early(done.samples)
    arrivals = done.report["instrument"]["arrivals"]
    assert (arrivals["planned"], arrivals["sent"], arrivals["dropped"]) == (len(chosen), len(chosen), 0)


def test_prompts_and_answers_are_as_long_as_in_the_file(tmp_path: Path) -> None:
    """As the server counts them, after the calibration: within 2 % at the median."""
    path = file("azure_code_2023.csv")
    trace = {"start": "600s", "length": "60s", "speed": 25}
    workload = {"source": "azure", "file": str(path), "ignore_eos": True}
    scenario = {"targets": [target("m")], "workload": workload, "load": {"trace": trace, "grace": "4s"}}
    done = run(tmp_path, scenario, probe=True)
    ok = [s for s in done.samples if s["outcome"] == "ok"]
    assert len(ok) > 10
    assert all(s["output_tokens"] == s["asked_output_tokens"] for s in ok)
    off = [s["prompt_tokens"] / s["asked_prompt_tokens"] - 1 for s in ok]
    assert abs(np.median(off)) <= 0.02
