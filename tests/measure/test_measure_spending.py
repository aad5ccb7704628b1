"""The cost of a request by its usage: every kind of price and of endpoint."""

from typing import Any

import msgspec
import pytest

from loadgen.catalog.price import Price, Tier
from loadgen.measure.spending import cost_usd
from loadgen.scenario.model import Target
from loadgen.wire.timeline import Timeline, Usage
from loadgen.workload.prompt import Prompt

PLAIN = Price(input=2.0, output=10.0)
CACHED = Price(input=2.0, output=10.0, cached_input=0.5)
TIERS = Price(input=2.0, output=10.0, tiers=(Tier(above=200, input=4.0, output=20.0),))
AGENTIC = Price(input=8.0, output=8.0, premium=0.2)
IMAGES = Price(input=2.0, image=0.005, at_least=True)
TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("price", "usage", "more", "usd"),
    [
        (PLAIN, Usage(100, 10), {}, 300e-6),
        (PLAIN, Usage(100, 10, cached_tokens=60), {}, 300e-6),
        (CACHED, Usage(100, 10, cached_tokens=60), {}, 210e-6),
        (CACHED, Usage(100, 10, cached_tokens=1000), {}, 150e-6),
        (PLAIN, Usage(100, 0), {}, 200e-6),
        (TIERS, Usage(200, 10), {}, 500e-6),
        (TIERS, Usage(201, 10), {}, 1004e-6),
        (AGENTIC, Usage(100, 25), {}, 1000e-6),
        (AGENTIC, Usage(100, 25), {"tools": [TOOL]}, 1200e-6),
        (AGENTIC, Usage(100, 25), {"body": {"tools": [TOOL]}}, 1200e-6),
        (AGENTIC, Usage(100, 25), {"extra_body": {"tools": [TOOL]}}, 1200e-6),
        (IMAGES, Usage(50, 272), {"endpoint": "images", "images": 3}, 15100e-6),
        (Price(image=0.04), None, {"endpoint": "images", "images": 2}, 0.08),
        (IMAGES, None, {"endpoint": "images", "images": 2}, None),
        (Price(input=0.02), Usage(500), {"endpoint": "embeddings"}, 10e-6),
        (PLAIN, Usage(500), {"endpoint": "embeddings"}, 1000e-6),
        (PLAIN, None, {}, None),
        (PLAIN, Usage(None, 10), {}, None),
        (PLAIN, Usage(100), {}, None),
        (Price(input=2.0), Usage(100, 10), {}, None),
        (Price(gpu_hour=2.5), Usage(100, 10), {}, None),
        (None, Usage(100, 10), {}, None),
    ],
    ids=[
        "input and output",
        "cached at the price of input",
        "cached at its own",
        "more cached than there is",
        "nothing answered",
        "at the end of a tier",
        "above it",
        "no tools",
        "tools",
        "tools of the prompt's own body",
        "tools of extra_body",
        "images",
        "images without usage",
        "images without the usage that is charged",
        "embeddings",
        "embeddings of a model that also writes",
        "no usage",
        "no prompt tokens told",
        "no output tokens told",
        "output without a price",
        "paid by the hour",
        "no price",
    ],
)
def test_cost_of_a_request(price: Price | None, usage: Usage | None, more: dict[str, Any], usd: Any) -> None:
    given = {"endpoint": "chat", "images": None, "tools": [], "body": None, "extra_body": {}} | more
    target = Target(name="a", model="m", price=price)
    target = msgspec.structs.replace(target, endpoint=given["endpoint"], extra_body=given["extra_body"])
    prompt = Prompt([{"role": "user", "content": "hi"}], "t", tools=given["tools"], body=given["body"])
    found = cost_usd(target, prompt, Timeline(outcome="ok", done_ns=1, usage=usage, images=given["images"]))
    assert found == (usd if usd is None else pytest.approx(usd, rel=1e-12))
