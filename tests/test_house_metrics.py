"""docs/metrics.md defines every metric, instant and outcome there is, and no other."""

import re
from pathlib import Path

import msgspec

from loadgen.measure.metrics import ALL_METRICS
from loadgen.measure.recorder import PHASES
from loadgen.measure.sample import Sample
from loadgen.results.model import Instrument, Rates
from loadgen.wire.outcome import OUTCOMES

TEXT = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text("utf-8")


def rows(head: str) -> list[list[str]]:
    """Cells of the table whose first line begins with `head`."""
    table = re.search(rf"^\| {re.escape(head)}.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    assert table, head
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()]


def names(head: str) -> list[str]:
    """Words in backquotes in the first cells of a table."""
    return [name for row in rows(head) for name in re.findall(r"`(\w+)`", row[0])]


def test_metrics() -> None:
    documented = {(name, key.strip("`"), unit) for name, key, unit, _ in rows("metric ")}
    assert documented == {(m.name, m.key, m.unit) for m in ALL_METRICS}


def test_instants() -> None:
    fields = {f for f in Sample.__struct_fields__ if f.endswith("_ns")} - {"longest_gap_ns"}
    assert set(names("in samples.jsonl")) == fields


def test_fields_of_a_sample() -> None:
    others = set(Sample.__struct_fields__) - set(names("in samples.jsonl"))
    assert set(names("key in samples.jsonl")) == others


def test_outcomes() -> None:
    assert sorted(names("outcome")) == sorted(OUTCOMES)


def test_phases() -> None:
    assert tuple(names("`phase`")) == PHASES


def test_rates() -> None:
    assert tuple(names("key | counts")) == Rates.__struct_fields__


def test_figures_of_the_instrument() -> None:
    assert set(names("key in `instrument`")) == {f.encode_name for f in msgspec.structs.fields(Instrument)}
