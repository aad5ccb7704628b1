"""Our rows of counts against HdrHistogram's own, and our statistics against the plain way."""

import base64
import gc
import math
import random
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.measure.histogram import (
    BUCKETS,
    DIGITS,
    HIGHEST,
    MIDPOINTS,
    Counts,
    Distribution,
    decode,
    encode,
    indexes,
    order_ranks,
    with_failures,
)
from tests.by_hand import interval_ranks, kaplan_meier, percentile

# most of a histogram's edges are at powers of two
VALUES = st.one_of(
    st.integers(0, 5000),
    st.integers(0, HIGHEST),
    st.builds(
        lambda bits, off: max(0, min(HIGHEST, (1 << bits) + off)), st.integers(0, 31), st.integers(-2, 2)
    ),
)


def row_of(values: Sequence[int]) -> Counts:
    row = np.zeros(BUCKETS, np.int64)
    np.add.at(row, indexes(np.array(values, np.int64)), 1)
    return row


def theirs(values: Sequence[int]) -> Any:
    histogram = HdrHistogram(1, HIGHEST, DIGITS)
    for value in values:
        assert histogram.record_value(value)
    return histogram


def counts_of(histogram: Any) -> list[int]:
    return list(histogram.counts)


@given(st.lists(VALUES, max_size=50))
def test_counts_are_hdr_histograms(values: list[int]) -> None:
    assert row_of(values).tolist() == counts_of(theirs(values))


def test_midpoints_stand_in_the_middle_of_hdr_histograms_buckets() -> None:
    histogram = HdrHistogram(1, HIGHEST, DIGITS)
    assert histogram.counts_len == BUCKETS == len(MIDPOINTS)
    for index in [*range(3000), *range(3000, BUCKETS, 97), BUCKETS - 1]:
        low = histogram.get_value_from_index(index)
        high = histogram.get_highest_equivalent_value(low)
        assert MIDPOINTS[index] == (low + high) / 2, index
    assert (np.diff(MIDPOINTS) > 0).all()


@given(VALUES)
def test_a_midpoint_is_within_a_twentieth_of_a_percent(value: int) -> None:
    middle = MIDPOINTS[indexes(np.array([value]))[0]]
    assert middle == value if value < 2048 else abs(middle - value) <= 0.0005 * value


@pytest.mark.parametrize("value", [-(2**62), -1, HIGHEST + 1, 2**62], ids=str)
def test_values_out_of_range_are_clamped(value: int) -> None:
    """HdrHistogram's record_value drops them without a word."""
    edge = 0 if value < 0 else HIGHEST
    assert indexes(np.array([value])) == indexes(np.array([edge]))
    assert indexes(np.array([[value, 7]])).shape == (1, 2)


@given(st.lists(VALUES, min_size=100, max_size=100), st.integers(1, 100))
def test_percentiles_are_hdr_histograms(values: list[int], percent: int) -> None:
    """They name a bucket by its upper edge, we by its middle."""
    edge = theirs(values).get_value_at_percentile(percent)
    middle = MIDPOINTS[indexes(np.array([edge]))[0]]
    assert Distribution(row_of(values), 1.0).percentile(percent) == middle


@given(
    st.lists(st.integers(0, 2000), min_size=1, max_size=300),
    st.sampled_from([1, 5, 10, 50, 75, 90, 95, 99, 99.9, 100]),
)
def test_percentiles_are_the_smallest_value_not_exceeded(values: list[int], percent: float) -> None:
    assert Distribution(row_of(values), 0.001).percentile(percent) == percentile(values, percent) * 0.001


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=100))
def test_moments(values: list[int]) -> None:
    mean, spread = Distribution(row_of(values), 2.0).moments() or (math.nan, math.nan)
    assert mean == pytest.approx(2 * float(np.mean(values)))
    assert spread == pytest.approx(2 * float(np.std(values)), abs=1e-9)


def test_nothing_recorded_has_no_values() -> None:
    empty = Distribution(row_of([]), 1.0)
    assert (empty.count, empty.percentile(50), empty.moments(), empty.interval(50)) == (0, None, None, None)


# the payload of an interval log


@given(st.lists(VALUES, max_size=50))
@settings(max_examples=50)
def test_hdr_histogram_reads_what_we_write(values: list[int]) -> None:
    read = HdrHistogram.decode(encode(row_of(values)))
    expected = theirs(values)
    assert counts_of(read) == counts_of(expected)
    assert (read.total_count, read.get_min_value(), read.get_max_value()) == (
        expected.total_count,
        expected.get_min_value(),
        expected.get_max_value(),
    )
    assert read.get_value_at_percentile(90) == expected.get_value_at_percentile(90)


@given(st.lists(VALUES, max_size=50))
@settings(max_examples=50)
def test_we_read_what_hdr_histogram_writes(values: list[int]) -> None:
    assert decode(theirs(values).encode().decode()).tolist() == row_of(values).tolist()


def test_counts_beyond_32_bits() -> None:
    row = row_of([3, 3_000_000])
    row *= 2**40
    assert decode(encode(row)).tolist() == row.tolist()


def changed(at: int, by: bytes) -> str:
    """A payload of which uncompressed bytes were changed; its lengths and cookies are still right."""
    data = base64.b64decode(encode(row_of([5, 7, 3000])))
    inner = bytearray(zlib.decompress(data[8:]))
    inner[at : at + len(by)] = by
    packed = zlib.compress(inner)
    return base64.b64encode(data[:4] + struct.pack(">I", len(packed)) + packed).decode()


def test_encoding_leaves_no_histograms_behind() -> None:
    """hdrh's are in reference cycles, and during a run the collector is off."""

    def histograms() -> int:
        return sum(isinstance(o, HdrHistogram) for o in gc.get_objects())

    encode(row_of([1]))
    gc.freeze()  # so that only what is made from now on is looked through
    gc.disable()
    try:
        for n in range(20):
            encode(row_of([n * 1000]))
        assert histograms() == 0
    finally:
        gc.enable()
        gc.unfreeze()


NO_PAYLOADS = {
    "nothing": "",
    "not ASCII": "§§",
    "base64 of something": base64.b64encode(b"something else altogether").decode(),
    "half of one": encode(row_of([5, 7]))[:20],
    "another range": HdrHistogram(1, 1000, 3).encode().decode(),
    "counts beyond its range": changed(40, b"\xbf\x9a\x0c\x02"),  # 100,000 zeros, then a count
    "a range too small for its counts": changed(24, struct.pack(">q", 10)),
}


@pytest.mark.parametrize("payload", NO_PAYLOADS.values(), ids=list(NO_PAYLOADS))
def test_what_is_no_payload_is_told(payload: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)histogram|ASCII"):
        decode(payload)


@given(st.lists(st.lists(VALUES, max_size=20), max_size=5))
@settings(max_examples=50)
def test_merging_is_recording_all(parts: list[list[int]]) -> None:
    merged = np.sum([row_of(part) for part in parts] or [row_of([])], axis=0)
    assert merged.tolist() == row_of([v for part in parts for v in part]).tolist()
    into = HdrHistogram(1, HIGHEST, DIGITS)
    for part in parts:
        into.add(theirs(part))
    assert merged.tolist() == counts_of(into)


# intervals


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
def test_interval_ranks_are_those_of_exact_binomial_sums(p: float) -> None:
    for n in [*range(1, 80), 200, 367, 368, 369]:
        assert order_ranks(n, p) == interval_ranks(n, round(p * 100)), n


@pytest.mark.parametrize(("p", "least"), [(0.5, 6), (0.9, 36), (0.99, 368), (0.999, 3688)], ids=str)
def test_how_many_values_bound_a_percentile(p: float, least: int) -> None:
    assert order_ranks(least - 1, p) is None
    assert order_ranks(least, p) is not None


@pytest.mark.parametrize("p", [0.0, 1.0, -1.0, 2.0])
def test_the_ends_have_no_interval(p: float) -> None:
    assert order_ranks(1000, p) is None


def test_ranks_of_a_huge_sample_are_those_of_the_normal_law() -> None:
    low, high = order_ranks(10**8, 0.9) or (0, 0)
    spread = math.sqrt(10**8 * 0.9 * 0.1)
    assert low == pytest.approx(0.9e8 - 1.95996 * spread, abs=3)
    assert high == pytest.approx(0.9e8 + 1.95996 * spread, abs=3)


@pytest.mark.parametrize(("n", "p"), [(20, 0.5), (60, 0.9), (500, 0.5), (500, 0.99)], ids=str)
def test_intervals_cover_the_true_quantile(n: int, p: float) -> None:
    """95 % at least, and not by being needlessly wide: 20,000 samples of an exponential law."""
    runs = 20_000
    samples = np.sort(np.random.default_rng(7).exponential(size=(runs, n)), axis=1)
    low, high = order_ranks(n, p) or (0, 0)
    truth = -math.log(1 - p)
    inside = ((samples[:, low - 1] <= truth) & (truth <= samples[:, high - 1])).mean()
    assert 0.95 - 3 * math.sqrt(0.95 * 0.05 / runs) <= inside <= 0.985


# all requests: completed, failed and cut off

TIMES = st.lists(st.integers(0, 60), max_size=40)


@given(done=TIMES, censored=TIMES, failed=st.integers(0, 30))
@settings(max_examples=300)
def test_with_failures_is_kaplan_and_meiers_estimate(
    done: list[int], censored: list[int], failed: int
) -> None:
    percents = (1, 10, 50, 90, 99)
    found = with_failures(row_of(done), row_of(censored), failed, 1.0, percents)
    for percent in percents:
        kind, value = kaplan_meier(done, censored, failed, percent)
        assert found[percent] == ((value,) if kind == "above" else value), percent


@given(done=TIMES, failed=st.integers(0, 30))
def test_without_cut_offs_failures_are_values_above_all(done: list[int], failed: int) -> None:
    values = [*map(float, done), *[math.inf] * failed]
    found = with_failures(row_of(done), row_of([]), failed, 1.0, (50, 90, 99))
    for percent, value in found.items():
        exact = percentile(values, percent) if values else math.inf
        assert (exact == math.inf) if isinstance(value, tuple) else (exact == value)


@given(done=TIMES, censored=TIMES, failed=st.integers(0, 10))
def test_with_failures_is_monotonic(done: list[int], censored: list[int], failed: int) -> None:
    """A higher percentile is no lower, and one more failure makes none lower."""

    def reached(failed: int) -> list[float]:
        found = with_failures(row_of(done), row_of(censored), failed, 1.0, range(1, 100))
        return [math.inf if isinstance(v, tuple) else v for v in found.values()]

    assert reached(failed) == sorted(reached(failed))
    assert all(more >= less for more, less in zip(reached(failed + 1), reached(failed), strict=True))


ABOVE: dict[str, tuple[list[int], list[int], int, dict[float, float | tuple[float]]]] = {
    "only failures": ([], [], 5, {50: (0.0,), 99: (0.0,)}),
    "only cut-offs": ([], [10, 30], 0, {50: (15.0,), 99: (15.0,)}),
    "one in ten failed": ([*range(1, 10)], [], 1, {50: 2.5, 90: 4.5, 99: (4.5,)}),
    "the last was cut off": ([10, 20], [500], 0, {50: 10.0, 99: (250.0,)}),
    "cut off before the rest": ([20, 30], [10], 0, {50: 10.0, 99: 15.0}),
    "a fast failure is not fast": ([100], [], 1, {50: 50.0, 90: (50.0,)}),
}


@pytest.mark.parametrize(("done", "censored", "failed", "expected"), ABOVE.values(), ids=list(ABOVE))
def test_percentiles_among_failures(
    done: list[int], censored: list[int], failed: int, expected: dict[float, float | tuple[float]]
) -> None:
    assert with_failures(row_of(done), row_of(censored), failed, 0.5, list(expected)) == expected


def test_products_over_thousands_of_buckets_do_not_drift() -> None:
    """A million requests, of which exactly one in fifty failed: p98 is the last value, not above it."""
    values = random.Random(3).choices(range(200_000), k=98_000)
    done, nothing = row_of(values) * 10, row_of([])
    found = with_failures(done, nothing, 20_000, 1.0, (50, 98, 98.0002))
    last = Distribution(done, 1.0).at_rank(980_000)
    assert found == {50: Distribution(done, 1.0).at_rank(500_000), 98: last, 98.0002: (last,)}
