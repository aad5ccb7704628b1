"""The reports of a run folder, written from a `Report`. A new format is a row in `FORMATS`."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from loadgen.answers.within import open_run
from loadgen.report.csv import to_csv
from loadgen.report.markdown import to_markdown
from loadgen.results.folder import write_file, write_report
from loadgen.results.model import Report
from loadgen.results.read import SavedRun


def _html(report: Report, folder: Path) -> str:
    from loadgen.report.html import to_html  # noqa: PLC0415  # jinja2 and plotly are needed at the end only

    return to_html(report, folder)


FORMATS: Final[dict[str, tuple[str, Callable[[Report, Path], str]]]] = {
    "markdown": ("report.md", lambda report, _: to_markdown(report)),
    "csv": ("report.csv", lambda report, _: to_csv(report)),
    "html": ("report.html", _html),
}
"""File and writer of each, in the order of writing: the largest last, so that it costs none of the others."""


def write_reports(folder: Path, report: Report, formats: Collection[str]) -> None:
    """Write report.json and the reports for people that are asked for.

    Raises:
        OutputError: a file can't be written.
    """
    write_report(folder, report)
    _write_for_people(folder, report, formats)


def report_again(path: Path) -> SavedRun:
    """Open a saved run and write its reports again; one that was killed gets its report.json.

    path: see `open_run`.

    Raises:
        OutputError: there is no such run, it can't be read, or a report can't be written.
    """
    run = open_run(path)
    if run.rebuilt:
        write_report(run.folder, run.report)
    _write_for_people(run.folder, run.report, FORMATS)
    return run


def _write_for_people(folder: Path, report: Report, formats: Collection[str]) -> None:
    for name, (file, write) in FORMATS.items():
        if name in formats:
            write_file(folder / file, write(report, folder).encode())
