"""docs/peers.md: every line of scenario in its table is one that a scenario can have."""

import re
from pathlib import Path
from typing import NamedTuple, get_args

import pytest

from loadgen.scenario.load import load
from loadgen.scenario.words import Source

PAGE = Path(__file__).parents[1] / "docs" / "peers.md"
NAMED = 'name = "peers"\n'
TARGET = 'targets = [{ name = "m", model = "m" }]\n'
END = 'load.duration = "60s"\n'  # rows about what is said leave the load to the reader


class Row(NamedTuple):
    tool: str
    there: str
    here: str


def rows() -> list[Row]:
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert all(len(row) in (3, 4) for row in cells), "a table row has another number of cells"
    return [Row(*row[:3]) for row in cells]


ROWS = rows()
MAPPED = [row for row in ROWS if row.here != "**nothing**"]


@pytest.mark.parametrize("row", MAPPED, ids=[f"{r.tool}:{r.there[:40]}" for r in MAPPED])
def test_a_line_of_the_table_is_a_scenario(row: Row, tmp_path: Path) -> None:
    found = re.findall(r"`([^`]+)`(?:<br>|$)", row.here)
    assert "<br>".join(f"`{text}`" for text in found) == row.here
    target = "" if any(text.startswith("targets") for text in found) else TARGET
    end = "" if any(text.startswith("load.") for text in found) else END
    for name in re.findall(r'(?:file|tokenizer) = "([^"]+)"', row.here):
        (tmp_path / name).touch()
    path = tmp_path / "peers.toml"
    path.write_text(NAMED + target + end + "\n".join(found), "utf-8")
    assert load(path, []).targets


def test_every_way_to_load_and_every_source_is_in_the_table() -> None:
    text = " ".join(row.here for row in MAPPED)
    for way in ("concurrency", "users", "one_at_a_time", "rate", "stages", "burst", "trace", "levels"):
        assert f"`load.{way} = " in text
    others = {"code", "prompts", "azure"}  # ours alone
    for source in set(get_args(Source)) - others:
        assert f'workload.source = "{source}"' in text


def test_every_kind_of_endpoint_media_and_objectives_are_in_the_table() -> None:
    text = " ".join(row.here for row in MAPPED)
    for key in ('endpoint = "embeddings"', 'endpoint = "images"', "workload.images", "workload.audio"):
        assert key in text
    assert {row.tool for row in MAPPED if "`slo." in row.here} == {"AIPerf", "vLLM", "k6"}


def test_every_tool_has_rows_that_say_what_is_missing() -> None:
    tools = {row.tool for row in ROWS}
    assert tools == {"AIPerf", "GuideLLM", "vLLM", "k6"}
    assert tools == {row.tool for row in ROWS if row.here == "**nothing**"}
