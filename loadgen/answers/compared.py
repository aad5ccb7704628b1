"""`loadgen compare`, but its words: open the runs, compare them, hold them against gates."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from loadgen.answers.compare import Pair, compare_all
from loadgen.answers.decision import Decision, decide
from loadgen.answers.gate import GateResult, judge_gates, parse_gate
from loadgen.answers.pairing import LAST_GOOD, last_good, pairs_of
from loadgen.answers.sides import sides_of_run
from loadgen.answers.within import open_run
from loadgen.errors import ScenarioError
from loadgen.results.model import Report


class Compared(msgspec.Struct, frozen=True):
    """What `compare` found.

    reports: of all runs. decisions: where the runs are of several scenarios; then there are no pairs. notes:
    why there are none, as of a first run that has no baseline yet.
    """

    pairs: tuple[Pair, ...] = ()
    decisions: tuple[Decision, ...] = ()
    gates: tuple[GateResult, ...] = ()
    reports: tuple[Report, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> Any:
        """Return it as plain values: lists and dicts."""
        return msgspec.to_builtins(
            {
                "comparison": [row for pair in self.pairs for row in pair.rows],
                "flags": [
                    {"base": pair.base.name, "other": pair.other.name, "flags": pair.flags}
                    for pair in self.pairs
                ],
                "decisions": [
                    {"scenario": d.scenario}
                    | {
                        aspect: {"winner": w.name, "shown": w.shown, "row": w.row}
                        for aspect, w in d.winners.items()
                    }
                    for d in self.decisions
                ],
                "notes": self.notes,
                "gates": [
                    {
                        "gate": g.gate.text,
                        "base": g.base,
                        "other": g.other,
                        "failed": g.failed,
                        "told": g.told,
                        "words": g.words,
                    }
                    for g in self.gates
                ],
            }
        )


def compare(runs: Sequence[str], *, baseline: str | None = None, fail_if: Sequence[str] = ()) -> Compared:
    """Compare saved runs; see `answers.pairing`. runs: paths, those of one side joined by commas.

    baseline: a target or run, or "last-good": the latest good run before these of the same plan. Runs of
    several scenarios, each of several targets, give the decision table instead of pairs.

    Raises:
        OutputError: a run can't be read. ScenarioError: there is nothing to compare, or a gate is wrong.
    """
    gates = [parse_gate(text) for text in fail_if]
    if empty := [side for side in runs if not side.strip(",")]:
        raise ScenarioError("compare", f'"{empty[0]}" names no run', "give the folder of one")
    groups = [[open_run(Path(path)) for path in side.split(",") if path] for side in runs]
    opened = [run for group in groups for run in group]
    reports = tuple(run.report for run in opened)
    if len(opened) > 1 and len({run.report.run.scenario for run in opened}) == len(opened):
        if gates or baseline:
            what = "needs runs of one scenario: those given are of several"
            raise ScenarioError("--fail-if" if gates else "--baseline", what, "compare them one by one")
        return Compared(decisions=tuple(decide([sides_of_run(run) for run in opened])), reports=reports)
    if baseline == LAST_GOOD:
        before = last_good(opened)
        if isinstance(before, str):
            return Compared(reports=reports, notes=(before,))
        groups, baseline = [[before], *groups], None
    pairs = tuple(compare_all(pairs_of(groups, baseline)))
    return Compared(pairs, gates=tuple(judge_gates(gates, pairs)), reports=reports)
