import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import OutputError
from loadgen.measure.histogram import BUCKETS, Counts, indexes
from loadgen.results import hlog
from loadgen.results.hlog import HlogWriter, Tag, format_tag, parse_tag

STARTED = datetime(2026, 11, 21, 3, 15, 0, 250_000, UTC)
SECOND = 1_000_000_000
NAMES = (
    "plain",
    "our model",
    "a,b",
    "Tag=a,1.0,",
    "meta/llama-3:8b",
    "50% off",
    "模型",
    "tab\tand\nline",
    "#c",
)


def counts_of(*values: int) -> Counts:
    counts = np.zeros(BUCKETS, np.int64)
    np.add.at(counts, indexes(np.array(values, np.int64)), 1)
    return counts


def write_log(path: Path, intervals: list[tuple[Tag, int, int, Counts]]) -> None:
    writer = HlogWriter(STARTED)
    path.write_bytes(writer.head() + b"".join(writer.line(*interval) for interval in intervals))


def example(path: Path) -> dict[Tag, Counts]:
    """Two intervals of one target, one of another; returns the sums."""
    first, second, other = counts_of(200_000, 210_000, 3_000_000), counts_of(200_000), counts_of(7_500)
    write_log(
        path,
        [
            (("a", "ttft_ms"), 0, 5 * SECOND, first),
            (("b b", "output_tokens_per_s"), 0, 5 * SECOND, other),
            (("a", "ttft_ms"), 5 * SECOND, 9 * SECOND + SECOND // 2, second),
        ],
    )
    return {("a", "ttft_ms"): first + second, ("b b", "output_tokens_per_s"): other}


def same(read: dict[Tag, Counts], expected: dict[Tag, Counts]) -> bool:
    return read.keys() == expected.keys() and all((read[tag] == expected[tag]).all() for tag in read)


def test_intervals_are_summed_by_tag(tmp_path: Path) -> None:
    expected = example(tmp_path / "h.hlog")
    assert same(hlog.read(tmp_path / "h.hlog"), expected)


def test_file_begins_as_the_format_says() -> None:
    lines = HlogWriter(STARTED).head().decode().splitlines()
    assert lines[0] == "#[Histogram log format version 1.3]"
    assert re.fullmatch(r"#\[StartTime: 1795230900\.250 \(seconds since epoch\), 2026-11-21 .*\]", lines[1])
    assert lines[2] == "#[BaseTime: 1795230900.250 (seconds since epoch)]"
    assert lines[3] == '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [("ttft_ms", 212_000, 212.0), ("output_tokens_per_s", 61_500, 61.5), ("output_tokens", 96, 96.0)],
)
def test_maximum_is_in_the_reported_unit(key: str, value: int, shown: float) -> None:
    line = HlogWriter(STARTED).line(("a", key), SECOND, 3 * SECOND, counts_of(5, value)).decode()
    tag, start, length, top, payload = line.rstrip("\n").split(",")
    assert (tag, start, length) == (f"Tag=a/{key}", "1.000", "2.000")
    assert float(top) == pytest.approx(shown, rel=1e-3)
    assert payload.startswith("HISTF")


def test_hdr_histograms_own_reader_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "h.hlog"
    given_counts = {name: counts_of(*range(100, 3_000_000, 77_777 * (i + 1))) for i, name in enumerate(NAMES)}
    write_log(
        path,
        [
            ((name, "ttft_ms"), i * SECOND, (i + 2) * SECOND, c)
            for i, (name, c) in enumerate(given_counts.items())
        ],
    )
    reader = HistogramLogReader(str(path), HdrHistogram(1, 3_600_000_000, 3))
    found = {}
    while (histogram := reader.get_next_interval_histogram()) is not None:
        name, key = parse_tag(histogram.get_tag())
        assert key == "ttft_ms"
        found[name] = histogram
    reader.close()
    assert list(found) == list(NAMES)
    assert reader.get_start_time_sec() == STARTED.timestamp()
    for i, (name, counts) in enumerate(given_counts.items()):
        assert found[name].get_total_count() == counts.sum()
        assert np.array_equal(np.ctypeslib.as_array(found[name].counts), counts)
        assert found[name].get_start_time_stamp() == pytest.approx((STARTED.timestamp() + i) * 1000)
        assert found[name].get_end_time_stamp() == pytest.approx((STARTED.timestamp() + i + 2) * 1000)


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("gpt-5.5", "gpt-5.5/ttft_ms"),
        ("our model", "our%20model/ttft_ms"),
        ("meta/llama:8b", "meta/llama:8b/ttft_ms"),
        ("a,b=c%", "a%2Cb%3Dc%25/ttft_ms"),
        ("é", "%C3%A9/ttft_ms"),
    ],
)
def test_tag_reads_as_in_urls(name: str, tag: str) -> None:
    assert format_tag((name, "ttft_ms")) == tag


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_every_name_survives_as_tag(name: str) -> None:
    text = format_tag((name, "e2e_ms"))
    assert not re.search(r"[,\s=#\"]", text)
    assert text.isascii()
    assert parse_tag(text) == (name, "e2e_ms")


@pytest.mark.parametrize("cut", [1, 2, 40, 70])
def test_cut_off_last_line_is_left_out(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "h.hlog"
    expected = example(path)
    path.write_bytes(path.read_bytes()[:-cut])
    expected["a", "ttft_ms"] -= counts_of(200_000)
    assert same(hlog.read(path), expected)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(b"HISTF", b"HISTX", id="payload"),
        pytest.param(b",0.000,5.000,", b",", id="columns"),
        pytest.param(b"HISTF", b"", id="base64"),
        pytest.param(b"HISTF", b"\xff\xfe", id="bytes"),
    ],
)
def test_broken_line_is_named(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = tmp_path / "h.hlog"
    example(path)
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(OutputError, match=r"h\.hlog:5: is not a line of an interval log"):
        hlog.read(path)


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"h\.hlog: can't be read: No such file"):
        hlog.read(tmp_path / "h.hlog")
