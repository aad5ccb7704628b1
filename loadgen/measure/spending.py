"""What requests cost, by the usage that the server reports, and what they come to for a target. USD."""

from loadgen.catalog.cost import request_usd
from loadgen.measure.sample import Sample
from loadgen.scenario.model import Target
from loadgen.wire.timeline import Timeline, Usage
from loadgen.workload.prompt import Prompt


def cost_usd(target: Target, prompt: Prompt, timeline: Timeline) -> float | None:
    """Return what a request cost; None where its price is not known, or the server told no usage.

    Tokens that were counted from events are no bill. target: with the price to go by.
    """
    price, usage = target.price, timeline.usage or Usage()
    if price is None:
        return None
    given, made, images = usage.prompt_tokens, usage.output_tokens, 0
    if target.endpoint == "images":
        images = timeline.images or 0
        given = 0 if given is None and images and price.input is None else given  # paid by the image alone
    if images or target.endpoint == "embeddings":
        made = 0
    if given is None or made is None:
        return None
    return request_usd(
        price,
        prompt_tokens=given,
        cached_tokens=min(usage.cached_tokens or 0, given),
        output_tokens=made,
        images=images,
        agentic=offers_tools(target, prompt),
    )


def offers_tools(target: Target, prompt: Prompt) -> bool:
    """Whether a request offers tools: what some price lists call agentic."""
    return bool(prompt.tools or target.extra_body.get("tools") or (prompt.body or {}).get("tools"))


class Spending:
    """What a target's requests have cost so far.

    usd: of all phases; without_cost: requests that are not in it, since nothing told their cost. The rest is
    of the window's requests with a cost: how many, and what they took and made.
    """

    def __init__(self) -> None:
        self.usd = self.window_usd = 0.0
        self.with_cost = self.without_cost = 0
        self.requests = self.prompt_tokens = self.output_tokens = self.images = 0

    def add(self, sample: Sample) -> None:
        """Enter one request."""
        usd = sample.cost_usd
        if usd is None:
            self.without_cost += 1
            return
        self.usd += usd
        self.with_cost += 1
        if sample.phase == "measure":
            self.window_usd += usd
            self.requests += 1
            self.prompt_tokens += sample.prompt_tokens or 0
            self.output_tokens += sample.output_tokens or 0
            self.images += sample.images or 0
