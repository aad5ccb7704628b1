"""The reports of a run folder, written from a `Report`."""

from collections.abc import Iterable
from pathlib import Path

from loadgen.results.folder import write_report
from loadgen.results.model import Report


def write_reports(folder: Path, report: Report, formats: Iterable[str]) -> None:
    """Write report.json and the reports for people that are asked for.

    Raises:
        OutputError: a file can't be written.
    """
    write_report(folder, report)
