"""A target's cost out of what its requests cost: months, free tokens, machines by the hour, levels."""

from typing import Any

import pytest

from loadgen.catalog.price import Price
from loadgen.measure.recorder import LevelWindow, Recorder
from loadgen.measure.spending import Spending
from loadgen.results.cost import MONTH_S, Work, cost
from loadgen.results.model import Cost
from loadgen.results.summary import TargetFacts, Window, target_report
from tests.results.saved import SECOND, sample

NOTHING = (0.0, 0, 0)


def spent(usd: float, **counts: int) -> Spending:
    """Of the window alone."""
    found = Spending()
    found.usd = found.window_usd = usd
    found.with_cost = found.requests = counts.pop("requests", 10)
    for name, n in counts.items():
        setattr(found, name, n)
    return found


def made(price: Price | None, spending: Spending, **work: Any) -> Cost:
    given = {"done": 10, "output_tokens": 100.0, "window_s": 36.0, "good": 5, "month": 1000.0} | work
    return cost(price, "somebody", spending, NOTHING, Work(**given))


@pytest.mark.parametrize(
    ("price", "each_usd", "tokens", "month_usd"),
    [
        (Price(input=8.0, output=8.0, premium=0.2, free_tokens=500_000), 0.0096, 1000, 91.20),
        (Price(input=6.5, output=6.5, premium=0.15, free_tokens=750_000), 0.007475, 1000, 69.14375),
        (Price(input=8.0, output=8.0), 0.008, 1000, 80.00),
        (Price(input=8.0, output=8.0, free_tokens=20_000_000), 0.008, 1000, 0.0),
    ],
    ids=["gpt-5.5", "gemini-3.5-flash", "nothing free", "all free"],
)
def test_a_month_of_ten_million_agentic_tokens(
    price: Price, each_usd: float, tokens: int, month_usd: float
) -> None:
    """10,000 requests of 1,000 tokens; the first two are the articles' own figures."""
    spending = spent(10 * each_usd, prompt_tokens=6 * tokens, output_tokens=4 * tokens)
    found = made(price, spending, month=10_000.0)
    assert found.usd_per_month == pytest.approx(month_usd)
    assert found.usd_per_request == pytest.approx(each_usd)  # what a run is charged has nothing free in it


def test_a_machine_by_the_hour() -> None:
    """Two GPUs of 2.50 for 36 s."""
    found = made(Price(gpu_hour=2.5, gpus=2), Spending())
    assert found.usd == found.window_usd == pytest.approx(0.05)
    assert found.usd_per_request == pytest.approx(0.005)
    assert found.usd_per_million_output_tokens == pytest.approx(500.0)
    assert found.usd_per_thousand_good_requests == pytest.approx(10.0)
    assert found.usd_per_month == pytest.approx(5 * 730)
    assert found.requests_without_cost == 0


def test_images_have_a_cost_each_and_none_by_token() -> None:
    found = made(Price(image=0.02, at_least=True), spent(0.4, images=20, output_tokens=5000))
    assert found.usd_per_image == pytest.approx(0.02)
    assert found.usd_per_million_output_tokens is None
    assert found.at_least


def test_nothing_told_is_not_0() -> None:
    found = made(Price(input=1.0, output=1.0), spent(0.0, requests=0, without_cost=7))
    assert (found.usd, found.window_usd, found.usd_per_request, found.usd_per_month) == (None,) * 4
    assert found.requests_without_cost == 7


@pytest.mark.parametrize("open_loop", [False, True], ids=["closed loop", "open loop"])
def test_the_traffic_of_a_month(open_loop: bool) -> None:
    """Of 10 requests begun in 10 s one fails: 0.9 a second are achieved, 1 was offered."""
    recorder = Recorder(["gpt-5.5"], 0, (LevelWindow("", 0, 10 * SECOND),))
    for i in range(10):
        outcome = {"outcome": "http_error", "error": "no"} if i == 3 else {}
        one = sample(2 * i, phase="measure", cost_usd=None if i == 3 else 0.5, **outcome)
        recorder.add(one)
    facts = TargetFacts(
        "gpt-5.5", "m", "", "chat", False, False, Price(input=1.0), "somebody", before=(0.25, 2, 1)
    )
    per_s = None if open_loop else 0.9
    target = target_report(facts, recorder.targets["gpt-5.5"], Window(0, 10 * SECOND), month_per_s=per_s)
    assert target.cost is not None
    assert target.cost.month_requests == round((1.0 if open_loop else 0.9) * MONTH_S)
    assert target.cost.usd_per_month == pytest.approx(0.5 * target.cost.month_requests)
    assert (target.cost.usd, target.cost.before_usd) == (4.75, 0.25)
    assert target.cost.requests_without_cost == 2
