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
            (target.name, objective.objective, None if objective.met else f"measured {objective.measured}")
            for target in report.targets
            for objective in target.slo
        ]
        state = report.verdict.state
        verdict = None if state != "invalid" else "; ".join(report.verdict.reasons)
        _suite(root, f"{report.run.scenario} {report.run.id}", [("run", "verdict", verdict), *cases])
    if gates:
        _suite(
            root,
            "gates",
            [(f"{g.other} against {g.base}", g.gate.text, g.words if g.failed else None) for g in gates],
        )
    write_file(path, ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _suite(root: ET.Element, name: str, cases: Sequence[tuple[str, str, str | None]]) -> None:
    failed = sum(failure is not None for _, _, failure in cases)
    suite = ET.SubElement(
        root, "testsuite", name=clean(name), tests=str(len(cases)), failures=str(failed), errors="0"
    )
    for of, what, failure in cases:
        case = ET.SubElement(suite, "testcase", classname=clean(of), name=clean(what))
        if failure is not None:
            ET.SubElement(case, "failure", message=clean(failure))
