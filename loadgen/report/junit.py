"""JUnit XML: every objective and every gate a test case, as build servers read them."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from loadgen.answers.gate import GateResult
from loadgen.report.compare import gate_state
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
        state = "failure" if report.verdict.state == "invalid" else ""
        cases = [("run", "verdict", state, "; ".join(report.verdict.reasons))]
        cases += [
            (target.name, one.objective, "" if one.met else "failure", f"measured {one.measured}")
            for target in report.targets
            for one in target.slo
        ]
        _suite(root, f"{report.run.scenario} {report.run.id}", cases)
    if gates:
        states = {"failed": "failure", "not told": "skipped", "passed": ""}
        told = [(f"{g.other} against {g.base}", g.gate.text, states[gate_state(g)], g.words) for g in gates]
        _suite(root, "gates", told)
    write_file(path, ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _suite(root: ET.Element, name: str, cases: Sequence[tuple[str, str, str, str]]) -> None:
    """Write a suite; cases: of what, what, "failure" or "skipped" where it does not hold, and why."""
    states = [state for _, _, state, _ in cases]
    failed, skipped = str(states.count("failure")), str(states.count("skipped"))
    counts = {"tests": str(len(cases)), "failures": failed, "errors": "0", "skipped": skipped}
    suite = ET.SubElement(root, "testsuite", {"name": clean(name)} | counts)
    for of, what, state, why in cases:
        case = ET.SubElement(suite, "testcase", classname=clean(of), name=clean(what))
        if state:
            ET.SubElement(case, state, message=clean(why))
