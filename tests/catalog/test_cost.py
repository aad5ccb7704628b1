"""What requests cost, and the sums of the articles, through the command."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from loadgen.catalog.cost import request_usd
from loadgen.catalog.price import Price, Tier
from loadgen.cli import main


def command(*args: str) -> Any:
    done = CliRunner().invoke(main, ["models", *args])
    assert done.exit_code == 0, done.output
    return done


def cost(*args: str) -> list[Any]:
    found: list[Any] = json.loads(command("cost", *args, "--json").output)
    return found


BOTH = ("gemini-3.1-pro", "gpt-5.4")


@pytest.mark.parametrize(
    ("args", "per_million"),
    [
        ((*BOTH, "--mix", "3:1"), [4.5, 5.625]),
        (("gemini-3.1-pro-preview", "--mix", "3:1", "--prompt-tokens", "250k"), [7.5]),
        (("gemini-3.1-pro", "--mix", "3:1", "--prompt-tokens", "200k"), [4.5]),
        (("gemini-3.1-pro", "--mix", "3:1", "--prompt-tokens", "200001"), [7.5]),
        (("gemini-3.1-pro", "gpt-4o-2024-11-20", "--mix", "70:30"), [5.0, 4.75]),
        (("gemini-3.1-pro", "gpt-4o-2024-11-20", "--input", "7M", "--output", "3M"), [5.0, 4.75]),
        (("gpt-image-1-mini", "--mix", "3:1"), [None]),
    ],
    ids=["A", "A upper tier", "at the bound", "above it", "B", "of the traffic", "unknown"],
)
def test_a_million_tokens_mixed(args: tuple[str, ...], per_million: list[float | None]) -> None:
    assert [one["usd_per_million_mixed"] for one in cost(*args)] == per_million


@pytest.mark.parametrize(
    ("args", "usd"),
    [
        ((*BOTH, "--input", "75M", "--output", "25M", "--month"), [450.0, 562.5]),
        (("gemini-3.1-pro", "gpt-4o-2024-11-20", "--input", "800M", "--output", "250M"), [4600.0, 4500.0]),
        (("gpt-5.5", "gemini-3.5-flash", "--input", "10M", "--month"), [91.2, 69.14375]),
        (("gpt-5.5", "gemini-3.5-flash", "--input", "6M", "--output", "4M", "--month"), [91.2, 69.14375]),
        (("gpt-5.5", "--input", "10M", "--month", "--no-premium"), [76.0]),
        (("gpt-5.5", "gemini-3.5-flash", "--input", "10M"), [80.0, 65.0]),
        (("gpt-5.5", "--input", "400k", "--month"), [0.0]),
        (("gpt-5.4-mini", "claude-sonnet-4-6", "--input", "5M", "--output", "1M"), [8.25, 30.0]),
        (("gpt-image-1-mini", "--output", "1M"), [None]),
    ],
    ids=["A", "B", "D", "D mixed", "no premium", "list prices", "all free", "E", "unknown"],
)
def test_sums(args: tuple[str, ...], usd: list[float | None]) -> None:
    bills = cost(*args)
    assert [one["usd"] for one in bills] == usd
    for one in bills:
        if one["usd"] is not None:
            assert one["usd"] == pytest.approx(one["input_usd"] + one["cached_usd"] + one["output_usd"])
        assert one["source"].startswith("article ")


def test_support_stands_beside_the_sum() -> None:
    (flash,) = cost("gemini-3.5-flash", "--input", "10M", "--month")
    assert (flash["fees_usd"], flash["usd"]) == (2000.0, 69.14375)
    text = command("cost", "gemini-3.5-flash", "--input", "10M", "--month").output
    assert "69.14" in text
    assert "2,069.14" in text
    assert "(our reading)" in " ".join(text.split())


def test_cached_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        '[sources.own]\ntitle = "t"\ndate = "d"\n[models.x.own]\n'
        "price = { input = 2, output = 4, cached_input = 0.5, batch_discount = 0.5 }\n[models.y.own]\n"
    )
    monkeypatch.setenv("LOADGEN_MODELS", str(path))
    tokens = ("--input", "10M", "--cached", "4M")
    (one,) = cost("x", *tokens)
    assert (one["input_usd"], one["cached_usd"], one["usd"]) == (12.0, 2.0, 14.0)
    (one,) = cost("x", *tokens, "--batch")
    assert one["usd"] == 7.0
    (one,) = cost("gpt-5.4", *tokens)
    assert one["cached_usd"] == 10.0
    assert "costs as input" in one["notes"][0]
    (one,) = cost("y", *tokens)
    assert (one["usd"], one["source"], one["notes"]) == (None, "", ["no source gives a price"])


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("gpt-5.6", "--mix", "3:1"), 'no model "gpt-5.6" is in the catalogue; did you mean "gpt-5.5"?'),
        (("gpt-5.5",), "no tokens are given; say --input, --output or --mix"),
        (("gpt-5.5", "--input", "1.5x"), '--input: "1.5x" is not a count; write it like'),
        (("gpt-5.5", "--mix", "3"), '--mix: "3" is not a mix'),
        (("gpt-5.5", "--mix", "nan:1"), '--mix: "nan:1" is not a mix'),
        (("gpt-5.5", "--input", "1M", "--cached", "2M"), "--cached: is more than --input"),
    ],
)
def test_mistakes(args: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(main, ["models", "cost", *args])
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout


TIERED = Price(
    input=2,
    output=12,
    cached_input=0.5,
    premium=0.1,
    tiers=(Tier(above=200_000, input=4, output=18), Tier(above=500_000, input=5, output=20, cached_input=1)),
)


@pytest.mark.parametrize(
    ("price", "prompt", "cached", "output", "usd"),
    [
        (TIERED, 200_000, 0, 1_000, 0.412),
        (TIERED, 200_001, 0, 1_000, 0.818004),
        (TIERED, 200_001, 100_000, 1_000, 0.818004),
        (TIERED, 600_000, 500_000, 0, 1.0),
        (TIERED, 100_000, 50_000, 0, 0.125),
        (Price(input=2), 100, 0, 100, None),
        (Price(input=2), 100, 0, 0, 0.0002),
        (Price(output=2), 100, 0, 0, None),
        (Price(), 0, 0, 0, 0.0),
        (Price(gpu_hour=2), 100, 0, 1, None),
    ],
    ids=[
        "at",
        "above",
        "cached as input",
        "top",
        "cached",
        "no output price",
        "none needed",
        "no input price",
        "nothing",
        "gpu",
    ],
)
def test_one_request(price: Price, prompt: int, cached: int, output: int, usd: float | None) -> None:
    found = request_usd(price, prompt_tokens=prompt, cached_tokens=cached, output_tokens=output)
    assert found is None if usd is None else found == pytest.approx(usd, rel=1e-12)


def test_an_image_is_paid_by_the_piece_and_agents_pay_more() -> None:
    image = Price(input=2, image=0.005)
    assert request_usd(
        image, prompt_tokens=1_000, cached_tokens=0, output_tokens=900, images=2
    ) == pytest.approx(0.012)
    assert request_usd(TIERED, prompt_tokens=1, cached_tokens=0, output_tokens=0, images=1) is None
    usd = request_usd(TIERED, prompt_tokens=100_000, cached_tokens=0, output_tokens=0, agentic=True)
    assert usd == pytest.approx(0.22)
