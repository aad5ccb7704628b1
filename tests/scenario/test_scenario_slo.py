"""`[slo]` read into objectives, changed on the command line, and written down again."""

from pathlib import Path

from loadgen.scenario.dump import to_toml
from loadgen.scenario.load import load
from loadgen.scenario.overrides import parse_set
from loadgen.scenario.schema import json_schema

KEYS = """
[slo]
ttft.p99 = "500ms"
ttft."p99.9" = "1.5s"
output_tokens_per_s.p5 = 30
error_rate = "0.5%"
goodput = "95%"
"""
SCENARIO = f'name = "s"\n[[targets]]\nname = "a"\nmodel = "m"\n[load]\nrequests = 1\n{KEYS}'


def written(folder: Path) -> Path:
    path = folder / "s.toml"
    path.write_text(SCENARIO)
    return path


def test_objectives(tmp_path: Path) -> None:
    found = load(written(tmp_path)).slo.objectives
    assert [(o.text, o.bound, o.at_least) for o in found] == [
        ("ttft.p99 <= 500ms", 500.0, False),
        ("ttft.p99.9 <= 1s500ms", 1500.0, False),
        ("output_tokens_per_s.p5 >= 30", 30.0, True),
        ("error_rate <= 0.5%", 0.005, False),
        ("goodput >= 95%", 0.95, True),
    ]


def test_set_needs_no_quotes_and_makes_the_tables(tmp_path: Path) -> None:
    sets = [parse_set("slo.ttft.p99=400ms"), parse_set("slo.e2e.p95=9s"), parse_set('slo.ttft."p99.9"=2s')]
    texts = [o.text for o in load(written(tmp_path), sets).slo.objectives]
    assert {"ttft.p99 <= 400ms", "ttft.p99.9 <= 2s", "e2e.p95 <= 9s"} <= set(texts)


def test_what_is_written_down_is_the_same(tmp_path: Path) -> None:
    first = load(written(tmp_path))
    (tmp_path / "s.toml").write_text(to_toml(first))
    assert load(tmp_path / "s.toml").slo == first.slo


def test_the_schema_knows_the_percentiles() -> None:
    ttft = json_schema()["$defs"]["Slo"]["properties"]["ttft"]
    assert "p99.9" in ttft["propertyNames"]["enum"]
    assert ttft["additionalProperties"]["type"] == ["string", "integer"]
