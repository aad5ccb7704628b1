"""A run of the library in this process, and what it left, for tests of the ways to load."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tomli_w
from numpy.typing import NDArray

from loadgen.api import RunOptions
from loadgen.api import run as carry_out
from loadgen.plan.plan import Plan, build
from loadgen.scenario.load import load
from loadgen.workload.source import open_prompts
from tests.program import apart_from_pytest, read_report, read_samples

MS = 1_000_000
SECOND = 1_000 * MS
Sample = dict[str, Any]


class Done(NamedTuple):
    """samples: in the order of their intended times. plan: laid down again from the run's own scenario."""

    samples: list[Sample]
    report: Any
    plan: Plan
    exit_code: int

    def of(self, target: str) -> list[Sample]:
        return [s for s in self.samples if s["target"] == target]

    def sessions(self, target: str) -> dict[int, list[Sample]]:
        """The turns of each of a target's conversations."""
        found: dict[int, list[Sample]] = {}
        for s in sorted(self.of(target), key=lambda s: int(s["turn"])):
            found.setdefault(s["session"], []).append(s)
        return found

    def arrivals(self, target: str) -> NDArray[np.int64]:
        """When its sessions were meant to begin, sorted."""
        return np.array(sorted(s["intended_ns"] for s in self.of(target) if not s["turn"]), dtype=np.int64)


def run(folder: Path, scenario: dict[str, Any], *, probe: bool = False) -> Done:
    """Carry out a scenario; its paths are relative to the folder. probe: also measure the targets' tokens."""
    path = folder / "s.toml"
    path.write_text(tomli_w.dumps({"name": "s", "report": {"formats": []}, **scenario}), "utf-8")
    with apart_from_pytest():
        result = carry_out(load(path, []), RunOptions(folder / "out", probe=probe))
    samples = sorted(read_samples(result.folder), key=lambda s: (s["intended_ns"], s["seq"]))
    again = load(result.folder / "scenario.toml", [])
    plan = build(again, open_prompts(again.workloads, again.seed))
    assert plan.digest == result.report.run.digest
    return Done(samples, read_report(result.folder), plan, result.exit_code)


def most_at_once(intervals: list[tuple[int, int]]) -> int:
    """The most intervals [from, to) that cover one instant."""
    steps = sorted([(begin, 1) for begin, _ in intervals] + [(end, -1) for _, end in intervals])
    return int(np.cumsum([step for _, step in steps]).max(initial=0))


def in_flight(samples: list[Sample]) -> list[tuple[int, int]]:
    """From sent to done, of the requests that left."""
    return [(s["sent_ns"], s["done_ns"]) for s in samples if s["sent_ns"] is not None]


def never_early(samples: list[Sample]) -> bool:
    return all(s["sent_ns"] is None or s["sent_ns"] >= s["intended_ns"] for s in samples)
