"""report.html: the report as one page that works offline, on a phone, in print and in the dark.

What comes from outside is escaped where it is put: by jinja2 in the page, by its `tojson` in the data of the
plots, by `label` in plotly's texts. A policy in the page's head lets nothing be loaded, no other script run.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import jinja2
from plotly.offline import get_plotlyjs

from loadgen.errors import LoadgenError
from loadgen.report import figures
from loadgen.report.compare import answer, legend, measured, pairs, table_of
from loadgen.report.grids import Grid, environment, errors, instrument, sections
from loadgen.report.plots import Plot, Rows, Span, distribution, over_time, spectrum
from loadgen.report.requests import Request, by_prompt_length, pick, timeline
from loadgen.report.said import notes
from loadgen.results import hlog
from loadgen.results.folder import HEADER, HISTOGRAMS, SAMPLES, SCENARIO
from loadgen.results.model import Report
from loadgen.results.read import read_lines, read_state
from loadgen.units import NS_PER_S, format_number

_SPECTRA: Final = (("ttft_ms", "TTFT"), ("e2e_ms", "end to end"))
_SPREADS: Final = (
    ("ttft_ms", "TTFT", "requests"),
    ("chunk_gap_ms", "chunk gap", "gaps"),
    ("tokens_per_chunk", "tokens per event", "requests"),
)
_KEYS: Final = frozenset(key for key, *_ in (*_SPECTRA, *_SPREADS))
_Found = TypeVar("_Found")


def to_html(report: Report, folder: Path) -> str:
    """Write the page of a run. folder: of the run; what of its files can't be read is said in the page."""
    missing: list[str] = []
    run, targets = report.run, report.targets
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("loadgen.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    scripts = [get_plotlyjs(), templates.get_template("report.js").render()]
    plots = list(_plots(report, folder, missing))
    return templates.get_template("report.html").render(
        report=report,
        run=run,
        name=figures.clean(run.scenario),
        verdict=report.verdict,
        alerts=figures.alerts(report),
        measured=measured(report),
        answer=answer(report),
        pairs=[table_of(rows) for rows in pairs(report)],
        pairs_note=legend(report.comparison),
        names=[(figures.clean(t.name), figures.subtitle(t)) for t in targets],
        times_in=figures.TIMES_IN,
        figures=[figures.counts(targets, open_loop=run.open_loop), *figures.distributions(targets)],
        notes=notes(report),
        sections=sections(report),
        errors=errors(targets),
        plots=plots,
        drawn={p.id: p.figure for p in plots},
        scenario=_try((folder / SCENARIO).read_text, missing),
        missing=[text.replace(f"{folder}/", "") for text in missing],
        load=figures.describe_load(run.load),
        targets=_targets(report),
        environment=[
            ("run", run.id),
            ("started at", run.started_at),
            ("window", f"{format_number(run.window_s)} s"),
            ("seed", run.seed),
            *environment(report).rows,
        ],
        instrument=instrument(report).rows,
        scripts=scripts,
        hashes=[_hash(script) for script in scripts],
    )


def _plots(report: Report, folder: Path, missing: list[str]) -> Iterator[Plot]:
    """Yield what there is to be drawn; what can't be read is added to `missing`."""
    rows: Rows = _try(lambda: hlog.read(folder / HISTOGRAMS, _KEYS), missing) or {}
    picked = _try(
        lambda: pick(read_lines(folder / SAMPLES, Request), [t.name for t in report.targets]), missing
    )
    several = [
        *(spectrum(report, rows, *which) for which in _SPECTRA),
        *(distribution(report, rows, *which) for which in _SPREADS[:2]),
        over_time(report, _phases(report, folder, missing)),
        timeline(picked) if picked else None,
        by_prompt_length(picked) if picked else None,
        distribution(report, rows, *_SPREADS[2]),
    ]
    yield from (plot for plot in several if plot is not None)


def _try(read: Callable[[], _Found], missing: list[str]) -> _Found | None:
    """Read a file of the run; where it can't be, the page is made without it and says so."""
    try:
        return read()
    except LoadgenError as error:
        missing.append(str(error))
    except OSError as error:
        missing.append(f"{error.filename}: can't be read: {error.strerror}")
    return None


def _phases(report: Report, folder: Path, missing: list[str]) -> list[Span]:
    """Return warm-up, window (or the level of each) and drain, in order of time; none where not known."""
    state = _try(lambda: read_state(folder / HEADER), missing)
    if state is None:
        return []
    windows = [(level.label, level.start_ns, level.end_ns) for level in state.levels]
    windows = windows or [("window", state.window.start_ns, state.window.end_ns)]
    spans: list[Span] = []
    reached_s = 0.0
    for name, start_ns, end_ns in windows:
        start_s = start_ns / NS_PER_S
        end_s = start_s + report.run.window_s if end_ns is None else end_ns / NS_PER_S
        spans += [Span("warm-up", reached_s, start_s), Span(name, start_s, end_s)]
        reached_s = end_s
    ends_s = [len(t.series["sent"]) * t.series["interval_s"] for t in report.targets if t.series]
    spans.append(Span("drain", reached_s, max(map(float, ends_s), default=0.0)))
    return [span for span in spans if span.end_s > span.start_s]


def _targets(report: Report) -> Grid:
    rows = []
    for name, t in {figures.name_of(t): t for t in report.targets}.items():
        url = f"{figures.clean(t.base_url)}{' INSECURE' if t.insecure else ''}"
        rows.append((name, figures.clean(t.model), t.endpoint, url))
    return Grid("Targets", ("target", "model", "endpoint", "base URL"), tuple(rows))


def _hash(script: str) -> str:
    """Return the source expression by which a Content-Security-Policy knows a script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
