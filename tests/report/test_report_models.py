"""The tables of the catalogue, as the terminal has them."""

import json

from click.testing import CliRunner, Result

from loadgen.cli import main


def models(*args: str) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(main, ["models", *args])


def test_the_catalogue_fits_80_columns_and_says_who_says_so() -> None:
    text = models().output
    assert max(map(len, text.splitlines())) <= 80
    lines = text.splitlines()
    tiers = lines[lines.index(next(line for line in lines if line.startswith("gemini-3.1-pro "))) + 1]
    assert tiers.split() == ["over", "200,000", "4.00", "18.00"]
    flat = " ".join(text.split())
    assert "sources disagree about reasoning: yes (A), no (B)" in flat
    assert "sources disagree about context tokens: 1,000,000 (A), 1,000,000 (B), 1,048,576 (C)" in flat
    assert "gpt-image-1-mini: an image from 0.005" in flat
    assert 'E: article E, "GPT-5.4 Mini vs Claude Sonnet 4.6 API" (April to June 2026)' in flat


def test_what_is_not_known_is_a_dash() -> None:
    row = next(line for line in models().output.splitlines() if line.startswith("gpt-image-1-mini "))
    assert row.split() == ["gpt-image-1-mini", "-", "-", "2.00", "-", "C"]


def test_json_is_the_catalogue() -> None:
    found = {model["name"]: model for model in json.loads(models("--json").output)}
    gemini = found["gemini-3.1-pro"]
    assert gemini["aliases"] == ["gemini-3.1-pro-preview"]
    assert gemini["price"]["tiers"][0] == {
        "above": 200000,
        "input": 4.0,
        "output": 18.0,
        "cached_input": None,
    }
    assert gemini["capabilities"]["reasoning"] == {"A": True, "B": False}
    assert gemini["facts"]["C"]["context_tokens"] == 1_048_576
    assert found["gpt-5.5"]["facts"]["D"]["notes"]


def test_a_mix_without_tokens_has_no_sums() -> None:
    lines = models("cost", "gpt-5.5", "gpt-5.4", "--mix", "3:1").output.splitlines()
    assert [lines[i].split() for i in (0, 2, 3)] == [
        ["USD", "a", "million", "tokens"],
        ["gpt-5.5", "8.00"],
        ["gpt-5.4", "5.63"],
    ]


def test_a_sum_with_its_support_and_notes() -> None:
    done = models("cost", "gemini-3.5-flash", "gpt-5.4", "--input", "10M", "--month")
    lines = [line.split() for line in done.output.splitlines()]
    assert ["gemini-3.5-flash", "69.14", "0.00", "0.00", "69.14", "6.50"] in lines
    assert ["with", "support", "2,069.14"] in lines
    assert ["gpt-5.4", "25.00", "0.00", "0.00", "25.00", "2.50"] in lines
    assert max(map(len, done.output.splitlines())) <= 80
