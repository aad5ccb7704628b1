"""A run folder opened again: its report, its samples; rebuilt from the samples when the run was killed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from loadgen import __version__
from loadgen.errors import OutputError
from loadgen.measure.arrivals import Arrivals
from loadgen.measure.metrics import ALL_METRICS, CHUNK_GAP
from loadgen.measure.objective import bounds
from loadgen.measure.recorder import LevelWindow, Recorder
from loadgen.measure.sample import Sample
from loadgen.results import hlog
from loadgen.results.folder import HEADER, HISTOGRAMS, LATEST, REPORT, SAMPLES
from loadgen.results.model import FORMAT, Report, Verdict
from loadgen.results.summary import RunState, Window, build_report
from loadgen.units import NS_PER_S

_WHAT_RUNS: Final = "`loadgen runs` lists the runs there are"
_DAMAGED: Final = "the file was changed or damaged after the run"
_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class SavedRun:
    """A run read back.

    folder: where its files lie. file: its report.json. rebuilt: there was none; the report was made from the
    samples; its intervals, comparison and verdict are provisional (`answers.within.open_run` has the others).
    notes: what of the files could not be read, in words.
    """

    folder: Path
    file: Path
    report: Report
    rebuilt: bool = False
    notes: tuple[str, ...] = ()

    def samples(self) -> Iterator[Sample]:
        """Read samples.jsonl line by line. What a killed run left of its last line is passed over.

        Raises:
            OutputError: the file is missing, or a line in its middle is broken.
        """
        return read_samples(self.folder / SAMPLES)


class RunSummary(msgspec.Struct, frozen=True):
    """One line of `loadgen runs`. verdict: "incomplete" for a run without a readable report.json.

    started_at: ISO 8601, UTC. requests: begun in the window, of all targets. duration_s: of the whole run.
    interrupted: stopped by the user. complete: false for a run that was killed, or that is still going on.
    """

    scenario: str
    id: str
    path: str
    latest: bool
    started_at: str
    targets: tuple[str, ...]
    simulated: bool
    verdict: str
    requests: int | None
    duration_s: float | None
    interrupted: bool = False
    complete: bool = False


def open_run(path: Path) -> SavedRun:
    """Open a run: its folder, a scenario's folder (its latest run), a `latest` link or a report.json.

    Raises:
        OutputError: there is no such run, or it can't be read.
    """
    if path.is_file():
        report, notes = _read_report(path)
        return SavedRun(path.parent, path, report, notes=notes)
    folder = _find_folder(path)
    file = folder / REPORT
    if file.is_file():
        report, notes = _read_report(file)
        return SavedRun(folder, file, report, notes=notes)
    return SavedRun(folder, file, _rebuild(folder), rebuilt=True)


def list_runs(out: Path) -> list[RunSummary]:
    """List the runs below a folder of reports, newest first; none when there is no such folder."""
    if not out.is_dir():
        return []
    folders = [run for scenario in _folders(out) for run in _folders(scenario) if _is_run(run)]
    return [_summary(folder) for folder in sorted(folders, key=lambda f: f.name, reverse=True)]


def read_samples(path: Path) -> Iterator[Sample]:
    """Read a samples.jsonl; see `SavedRun.samples`."""
    return read_lines(path, Sample)


def read_lines(path: Path, row: type[_Row]) -> Iterator[_Row]:
    """Read a samples.jsonl as rows of another type, for instance one with fewer columns, which is quicker."""
    decode = msgspec.json.Decoder(row).decode
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    if not line.endswith(b"\n"):
                        return
                    raise OutputError(f"{path}:{number}", f"is not a sample: {error}", _DAMAGED) from None
    except OSError as error:
        raise OutputError(str(path), f"can't be read: {error.strerror}") from None


def _find_folder(path: Path) -> Path:
    if not path.is_dir():
        what = "is a link to nothing" if path.is_symlink() else "there is no such run"
        raise OutputError(str(path), what, _WHAT_RUNS)
    if _is_run(path):
        return path.resolve()
    if _is_run(path / LATEST):
        return (path / LATEST).resolve()
    # a file system without symbolic links, or the latest was deleted: the names begin with the time
    runs = sorted((f for f in _folders(path) if _is_run(f)), key=lambda f: f.name)
    if not runs:
        raise OutputError(str(path), f"is no run folder: it has neither {REPORT} nor {HEADER}", _WHAT_RUNS)
    return runs[-1]


def _folders(path: Path) -> list[Path]:
    """Folders in a folder, links left out; none where it can't be read."""
    try:
        return [f for f in path.iterdir() if f.is_dir() and not f.is_symlink()]
    except OSError:
        return []


def _is_run(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (REPORT, HEADER, SAMPLES))


# report.json


class _Head(msgspec.Struct):
    format: int
    loadgen: str = "?"


def _read_report(path: Path) -> tuple[Report, tuple[str, ...]]:
    """Read a report.json; of a newer format what can be read, and notes on what can't."""
    data = _read_bytes(path)
    remedy = _WHAT_RUNS
    try:
        head = msgspec.json.decode(data, type=_Head)
        if head.format <= FORMAT:
            return msgspec.json.decode(data, type=Report), ()
        remedy = f"read it with loadgen {head.loadgen}, which wrote it"
        report, left_out = _read_newer(msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what = f"is no report that loadgen {__version__} can read: {error}"
        raise OutputError(str(path), what, remedy) from None
    note = f"{path.name} has format {head.format} (loadgen {head.loadgen}), this is loadgen {__version__}"
    rest = f"left out: {', '.join(left_out)}" if left_out else "what is new in it is not shown"
    return report, (f"{note}; {rest}",)


def _read_newer(raw: Any) -> tuple[Report, list[str]]:
    """Read a report of a newer format: values of another kind are left out where there is a default."""
    left_out: list[str] = []
    while True:
        try:
            return msgspec.convert(raw, Report), left_out
        except msgspec.ValidationError as error:
            place = re.search(r"at `\$\.([^`]+)`", str(error))
            if place is None or not _remove(raw, place[1]):
                raise
            left_out.append(place[1])


def _remove(raw: Any, place: str) -> bool:
    """Take out the value at a place such as `targets[0].cost`; False when it can't be found."""
    *parents, last = re.findall(r"\.\.\.|[^.\[\]]+", place)  # ... is any key: not a place to be found
    try:
        for step in parents:
            raw = raw[int(step)] if isinstance(raw, list) else raw[step]
        del raw[int(last) if isinstance(raw, list) else last]
    except (KeyError, TypeError, ValueError, IndexError):
        return False
    return True


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OutputError(str(path), f"can't be read: {error.strerror}") from None


# a killed run


def _rebuild(folder: Path) -> Report:
    """Make the report of a run that was killed, out of run.json, samples and histograms."""
    state = read_state(folder / HEADER)
    levels = state.levels or (LevelWindow("", state.window.start_ns, state.window.end_ns),)
    recorder = Recorder([t.name for t in state.targets], 0, levels, bounds(state.objectives))
    arrivals = Arrivals()
    reached_ns = 0
    for sample in read_samples(folder / SAMPLES):
        try:
            recorder.add(sample)
        except KeyError:
            place = f"{folder / SAMPLES}: request {sample.seq}"
            what = f'has a target that {HEADER} has not: "{sample.target}"'
            if any(t.name == sample.target for t in state.targets):
                what = f'has a level that {HEADER} has not: "{sample.level}"'
            raise OutputError(place, what, _DAMAGED) from None
        reached_ns = max(reached_ns, sample.done_ns)
        left_ns = sample.connect_start_ns if sample.connect_start_ns is not None else sample.sent_ns
        if state.run.open_loop and not sample.turn and left_ns is not None:
            arrivals.note(sample.intended_ns, left_ns, sample.target)
    _add_gaps(recorder, folder / HISTOGRAMS)
    state = msgspec.structs.replace(
        state,
        # a window that was still open ends with the last answer: a rate over its planned length means nothing
        window=_cut(state.window, reached_ns),
        levels=tuple(_cut_level(v, reached_ns) for v in state.levels),
        arrivals=_arrivals(state, arrivals) if state.run.open_loop else {},
        run=msgspec.structs.replace(
            state.run, complete=False, wall_s=max(state.run.wall_s, reached_ns / NS_PER_S)
        ),
    )
    report = build_report(state, recorder)
    return msgspec.structs.replace(report, verdict=Verdict("suspect", ("the run was killed",)))


def _cut(window: Window, reached_ns: int) -> Window:
    if window.end_ns is None:
        return window
    return Window(window.start_ns, max(window.start_ns, min(window.end_ns, reached_ns)))


def _cut_level(level: LevelWindow, reached_ns: int) -> LevelWindow:
    cut = _cut(Window(level.start_ns, level.end_ns), reached_ns)
    return LevelWindow(level.label, cut.start_ns, cut.end_ns)


def _arrivals(state: RunState, arrivals: Arrivals) -> dict[str, Any]:
    arrivals.dropped = sum(state.dropped.values())  # those of the warm-up are not known
    return arrivals.summary(None, len(state.targets), delayed=int(state.arrivals.get("delayed", 0)))


def read_state(path: Path) -> RunState:
    """Read a run.json.

    Raises:
        OutputError: it is missing or can't be read.
    """
    if not path.exists():
        what = "is missing: the run was killed before it had written anything"
        raise OutputError(str(path), what, "nothing can be read back; run it again")
    try:
        return msgspec.json.decode(_read_bytes(path), type=RunState)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OutputError(str(path), f"can't be read: {error}", _DAMAGED) from None


def _add_gaps(recorder: Recorder, path: Path) -> None:
    """Take the chunk gaps from the histograms, the one thing that samples don't have."""
    if not path.exists():
        return
    row = ALL_METRICS.index(CHUNK_GAP)
    for (target, key), counts in hlog.read(path).items():
        if key == CHUNK_GAP.key and target in recorder.targets:
            recorder.targets[target].counts[row] += counts


# the list


class _GlanceRun(msgspec.Struct):
    started_at: str
    wall_s: float
    simulated: bool = False
    interrupted: bool = False
    complete: bool = False


class _GlanceRequests(msgspec.Struct):
    sent: int


class _GlanceTarget(msgspec.Struct):
    name: str
    target: str = ""
    requests: _GlanceRequests | None = None


class _Glance(msgspec.Struct):
    """The part of report.json (or run.json) that the list shows."""

    run: _GlanceRun
    targets: tuple[_GlanceTarget, ...]
    verdict: Verdict = Verdict("incomplete")


def _summary(folder: Path) -> RunSummary:
    glance = _glance(folder / REPORT) or _glance(folder / HEADER)
    targets = glance.targets if glance else ()
    sent = [t.requests.sent for t in targets if t.requests is not None]
    latest = folder.parent / LATEST
    return RunSummary(
        scenario=folder.parent.name,
        id=folder.name,
        path=str(folder),
        latest=latest.is_dir() and latest.resolve() == folder.resolve(),
        started_at=glance.run.started_at if glance else "",
        targets=tuple(dict.fromkeys(t.target or t.name for t in targets)),
        simulated=glance.run.simulated if glance else False,
        verdict=glance.verdict.state if glance else "incomplete",
        requests=sum(sent) if sent else None,
        duration_s=glance.run.wall_s if glance else None,
        interrupted=glance.run.interrupted if glance else False,
        complete=glance.run.complete if glance else False,
    )


def _glance(path: Path) -> _Glance | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Glance)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
