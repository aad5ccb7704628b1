"""`histograms.hlog`: HdrHistogram's interval log, format 1.3, one line a target, metric and interval.

Readable by the HdrHistogram tools of other languages (HistogramLogProcessor, HistogramLogAnalyzer).
The tag of a line is `<target>/<metric key>`. A tag can't hold commas, spaces or line ends, so the target's
name is percent-encoded as in URLs (UTF-8; `/` and `:` stay): "our model" gives `our%20model/ttft_ms`.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import numpy as np

from loadgen.errors import OutputError
from loadgen.measure.histogram import MIDPOINTS, Counts, decode, encode
from loadgen.measure.metrics import ALL_METRICS
from loadgen.units import NS_PER_S

FILE: Final = "histograms.hlog"
Tag = tuple[str, str]
"""(target, metric key)"""

_LEGEND: Final = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'
_SCALES: Final = {metric.key: metric.scale for metric in ALL_METRICS}


class HlogWriter:
    """Makes the lines of an interval log.

    started_at: the wall clock at the run's epoch, to which the intervals are relative (None: now).
    """

    def __init__(self, started_at: datetime | None = None) -> None:
        self._started_at = started_at or datetime.now(UTC)

    def head(self) -> bytes:
        """Return the lines that come first: format, start and base time, legend."""
        start_s = f"{self._started_at.timestamp():.3f} (seconds since epoch)"
        return (
            "#[Histogram log format version 1.3]\n"
            f"#[StartTime: {start_s}, {self._started_at.isoformat(sep=' ', timespec='seconds')}]\n"
            f"#[BaseTime: {start_s}]\n"
            f"{_LEGEND}\n"
        ).encode("ascii")

    def line(self, tag: Tag, start_ns: int, end_ns: int, counts: Counts, first: int = 0) -> bytes:
        """Return the line of one interval. About 0.1 ms.

        start_ns, end_ns: offsets from the epoch. counts: shape (n,), what was recorded in the interval, from
        counter number `first` on.
        The column Interval_Max is in the metric's reported unit (ms for times).
        """
        used = np.flatnonzero(counts)
        top = float(MIDPOINTS[first + used[-1]]) * _SCALES.get(tag[1], 1.0) if len(used) else 0.0
        start_s, length_s = start_ns / NS_PER_S, (end_ns - start_ns) / NS_PER_S
        text = f"Tag={format_tag(tag)},{start_s:.3f},{length_s:.3f},{top:.3f},{encode(counts, first)}\n"
        return text.encode("ascii")


def format_tag(tag: Tag) -> str:
    """Write (target, metric key) as the tag of a line."""
    return f"{quote(tag[0], safe='/:')}/{tag[1]}"


def parse_tag(text: str) -> Tag:
    """Read a tag as `format_tag` wrote it."""
    target, _, key = text.rpartition("/")
    return unquote(target), key


def read(path: Path, keys: Collection[str] | None = None) -> dict[Tag, Counts]:
    """Sum all intervals of a log by tag. What a killed run left of its last line is ignored.

    keys: only these metrics, which is quicker (a line takes 0.2 ms); None: all.

    Raises:
        OutputError: the file can't be read, or a line in its middle is broken.
    """
    sums: dict[Tag, Counts] = {}
    for number, line in _whole_lines(path):
        if not line.startswith("Tag="):
            continue
        try:
            text, _, _, _, payload = line[4:].split(",", 4)
            tag = parse_tag(text)
            if keys is not None and tag[1] not in keys:
                continue
            counts = decode(payload)
        except ValueError as error:
            place, remedy = f"{path}:{number}", "the file was changed or damaged after the run"
            raise OutputError(place, f"is not a line of an interval log ({error})", remedy) from None
        if tag in sums:
            sums[tag] += counts
        else:
            sums[tag] = counts
    return sums


def _whole_lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    yield number, line[:-1].decode("ascii", "replace")
    except OSError as error:
        raise OutputError(str(path), f"can't be read: {error.strerror}") from None
