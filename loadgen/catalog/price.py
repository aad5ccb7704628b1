"""What a model costs: prices as data. USD per million tokens."""

from itertools import pairwise
from typing import Annotated

import msgspec

Usd = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Tokens = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000_000)]


class Tier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices of a request with more than `above` prompt tokens (all of its tokens, not only those beyond)."""

    above: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
    input: Usd
    output: Usd | None = None
    cached_input: Usd | None = None


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The price of a model, or of the machine that serves it. None: not known, which is never taken as 0.

    input, output, cached_input: USD per million tokens (cached_input unknown: cached tokens cost as input).
    tiers: by the request's own prompt tokens, rising.
    image: USD per image made (at_least: only a lower bound is known). premium: the share added for agentic
    work (requests that offer tools). free_tokens: a month. support: USD a month, optional.
    batch_discount: the share taken off work sent as a batch. gpu_hour: USD per GPU and hour of a model one
    serves oneself, on `gpus` of them; then tokens have no price of their own.
    """

    input: Usd | None = None
    output: Usd | None = None
    cached_input: Usd | None = None
    tiers: tuple[Tier, ...] = ()
    image: Usd | None = None
    at_least: bool = False
    premium: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0
    free_tokens: Tokens = 0
    support: Usd = 0.0
    batch_discount: Share = 0.0
    gpu_hour: Usd | None = None
    gpus: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1

    def __post_init__(self) -> None:
        """Refuse what contradicts itself (ValueError)."""
        if any(low.above >= high.above for low, high in pairwise(self.tiers)):
            raise ValueError("the tiers are out of order; write them with `above` rising")
        if self.output is not None and any(tier.output is None for tier in self.tiers):
            raise ValueError("a tier has no output price; write the output of every tier")
        if self.gpu_hour is not None and (self.tiers or (self.input, self.output) != (None, None)):
            raise ValueError("gpu_hour and prices of tokens exclude each other; leave one of them")
