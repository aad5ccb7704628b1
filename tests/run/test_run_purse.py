"""The most that a request can cost, and the purse that is asked for it."""

from math import inf
from typing import Any

import msgspec
import pytest

from loadgen.catalog.price import Price, Tier
from loadgen.run.most import most_output, most_prompt_tokens, most_usd
from loadgen.run.purse import Purse
from loadgen.scenario.model import Target
from loadgen.wire.timeline import Timeline
from loadgen.workload.prompt import Prompt

USER = {"role": "user", "content": "x" * 1000}


def asked(**changes: Any) -> Prompt:
    return msgspec.structs.replace(Prompt([USER], "t", asked_output_tokens=50), **changes)


def of(price: Price | None, **changes: Any) -> Target:
    return msgspec.structs.replace(Target(name="a", model="m"), price=price, **changes)


def chat(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


@pytest.mark.parametrize(
    ("prompt", "low", "high"),
    [
        (asked(), 1000, 1150),
        (asked(asked_prompt_tokens=200), 300, 400),
        (asked(asked_prompt_tokens=5000), 1000, 1150),
        (asked(messages=chat("中" * 100)), 300, 450),
        (asked(messages=[], body={"messages": [USER], "max_tokens": 5}), 1000, 1200),
        (
            asked(messages=chat([{"type": "image_url", "image_url": {"url": "data:" + "x" * 10**6}}])),
            3000,
            3200,
        ),
        (
            asked(messages=chat([{"type": "input_audio", "input_audio": {"data": "x" * 10**6}}])),
            10_000,
            10_200,
        ),
        (asked(messages=[], inputs=("x" * 100, "y" * 200)), 300, 450),
        (asked(messages=[], fill=("x" * 100, "y" * 200)), 300, 450),
        (asked(tools=[{"type": "function", "function": {"description": "z" * 500}}]), 1500, 1750),
    ],
    ids=[
        "text",
        "as asked",
        "shorter than asked",
        "CJK",
        "body",
        "image",
        "sound",
        "inputs",
        "fill",
        "tools",
    ],
)
def test_most_prompt_tokens(prompt: Prompt, low: int, high: int) -> None:
    assert low <= most_prompt_tokens(prompt) <= high


@pytest.mark.parametrize(
    ("target", "prompt", "output"),
    [
        ({}, {}, 50),
        ({}, {"asked_output_tokens": None}, None),
        ({"extra_body": {"max_completion_tokens": 400}}, {}, 400),
        ({"extra_body": {"max_tokens": 7}}, {"asked_output_tokens": None}, 7),
        ({"extra_body": {"n": 3}}, {}, 150),
        ({}, {"body": {"max_tokens": 9, "n": 2}, "asked_output_tokens": None}, 18),
        ({}, {"body": {}, "asked_output_tokens": None}, None),
        ({"endpoint": "embeddings"}, {"asked_output_tokens": None}, 0),
        ({"endpoint": "images"}, {"image": {"n": 4}, "asked_output_tokens": None}, 4),
        ({"endpoint": "images"}, {"asked_output_tokens": None}, 1),
    ],
    ids=str,
)
def test_most_output(target: dict[str, Any], prompt: dict[str, Any], output: int | None) -> None:
    assert most_output(of(None, **target), asked(**prompt)) == output


def test_the_dearest_price_that_can_apply() -> None:
    """A tier may be cheaper than what is below it; with tools the premium is in it."""
    tier = Tier(above=1000, input=0.1, output=0.1)
    price = Price(input=10.0, output=100.0, tiers=(tier,), premium=0.5, cached_input=0.0)
    assert 1000 < most_prompt_tokens(asked()) < 1200
    assert most_usd(of(price), asked()) == pytest.approx(0.01 + 0.005)
    tools = [{"type": "function"}]
    assert most_usd(of(price), asked(tools=tools)) == pytest.approx(1.5 * 0.015)


@pytest.mark.parametrize(
    ("price", "prompt", "usd"),
    [
        (None, {}, inf),
        (Price(input=1.0), {}, inf),
        (Price(input=1.0, output=1.0), {"asked_output_tokens": None}, inf),
        (Price(gpu_hour=3.0), {"asked_output_tokens": None}, 0.0),
        (Price(gpu_hour=3.0), {}, 0.0),
    ],
    ids=["no price", "no price of output", "no cap", "by the hour, no cap", "by the hour"],
)
def test_what_has_no_bound(price: Price | None, prompt: dict[str, Any], usd: float) -> None:
    assert most_usd(of(price), asked(**prompt)) == usd


def ended(status: int = 200, sent_ns: int | None = 1) -> Timeline:
    return Timeline(outcome="ok", done_ns=2, status=status, sent_ns=sent_ns)


def test_a_purse_never_gives_more_than_it_has() -> None:
    target, prompt = of(Price(input=0.0, output=2000.0)), asked()  # 0.10 each
    purse = Purse(0.3)
    held = [purse.hold(target, prompt) for _ in range(3)]
    assert held == [pytest.approx(0.1)] * 3
    purse.settle(0.1, ended(), 0.04)
    purse.settle(0.1, ended(), 0.04)
    assert purse.spent_usd == pytest.approx(0.08)
    assert purse.hold(target, prompt) is not None
    assert purse.hold(target, prompt) is None  # 0.08 spent, 0.2 in flight
    purse.settle(0.1, ended(), 0.0)
    purse.settle(0.1, ended(), 0.0)
    assert purse.empty
    assert purse.hold(target, prompt) is None  # a run that has ended stays so


@pytest.mark.parametrize(
    ("timeline", "usd", "spent"),
    [
        (ended(), 0.02, 0.02),
        (ended(), None, 0.1),
        (ended(429), None, 0.0),
        (ended(500), 0.03, 0.03),
        (ended(sent_ns=None), None, 0.0),
    ],
    ids=["told", "not told", "refused", "failed, but told", "never sent"],
)
def test_what_is_not_told_is_all_spent(timeline: Timeline, usd: float | None, spent: float) -> None:
    purse = Purse(1.0)
    held = purse.hold(of(Price(input=0.0, output=2000.0)), asked())
    assert held is not None
    purse.settle(held, timeline, usd)
    assert purse.spent_usd == pytest.approx(spent)
    assert purse.held_usd == pytest.approx(0.0)
