"""JUnit XML: every objective and every gate a test case, as build servers read them."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from loadgen.answers.gate import GateResult
from loadgen.report.figures import clean
from loadgen.results.folder import write_file
from loadgen.results.model import Report


def write_junit(path: Path, reports: Sequence[Report], gates: Sequence[GateResult] = ()) -> None:
    """Write one test suite a run, and one for the gates.

    Raises:
        OutputError: the file can't be written.
    """
    root = ET.Element("testsuites")
    for report in reports:
        cases = [
            (
                target.name,
                objective.objective,
                None if objective.met else f"measured {objective.measured}",
                True,
            )
            for target in report.targets
            for objective in target.slo
        ]
        state = report.verdict.state
        verdict = None if state != "invalid" else "; ".join(report.verdict.reasons)
        _suite(root, f"{report.run.scenario} {report.run.id}", [("run", "verdict", verdict, True), *cases])
    if gates:
        told = [(f"{g.other} against {g.base}", g.gate.text, _why(g), g.told) for g in gates]
        _suite(root, "gates", told)
    write_file(path, ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _why(gate: GateResult) -> str | None:
    return gate.words if gate.failed or not gate.told else None


def _suite(root: ET.Element, name: str, cases: Sequence[tuple[str, str, str | None, bool]]) -> None:
    """Write a suite; cases: of what, what, why not (None: it holds), whether that is a failure."""
    failed = sum(why is not None and fails for _, _, why, fails in cases)
    skipped = sum(why is not None and not fails for _, _, why, fails in cases)
    counts = {"tests": str(len(cases)), "failures": str(failed), "errors": "0", "skipped": str(skipped)}
    suite = ET.SubElement(root, "testsuite", {"name": clean(name)} | counts)
    for of, what, why, fails in cases:
        case = ET.SubElement(suite, "testcase", classname=clean(of), name=clean(what))
        if why is not None:
            ET.SubElement(case, "failure" if fails else "skipped", message=clean(why))
