"""What requests and months of traffic cost: arithmetic over prices."""

from dataclasses import dataclass

import msgspec

from loadgen.catalog.model import Model
from loadgen.catalog.price import Price, Tier

_MILLION = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What is to be paid for.

    cached_tokens are those of the input that a cache serves. prompt_tokens: of one request, for the tier.
    mix: parts of input and output in the price of a million tokens (None: those of the traffic).
    month: these are a month's tokens, so free ones, the agentic premium and support count.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    prompt_tokens: int = 0
    mix: tuple[float, float] | None = None
    month: bool = False
    premium: bool = True
    batch: bool = False


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What one model asks for a traffic, in USD; None: some price that it takes is not known.

    usd is the sum of input (what no cache served), cached and output; fees_usd come on top.
    usd_per_million_mixed: of a million tokens at list prices, without free tokens, premium and fees.
    notes: what is to be known about the figures.
    """

    model: str
    usd: float | None = None
    input_usd: float | None = None
    output_usd: float | None = None
    cached_usd: float | None = None
    fees_usd: float | None = None
    usd_per_million_mixed: float | None = None
    source: str = ""
    notes: tuple[str, ...] = ()


def rates(price: Price, prompt_tokens: int) -> Price | Tier:
    """Return the prices of a request with that many prompt tokens: those of the highest tier it is above."""
    found: Price | Tier = price
    for tier in price.tiers:
        if prompt_tokens > tier.above:
            found = tier
    return found


def request_usd(
    price: Price,
    *,
    prompt_tokens: int,
    cached_tokens: int,
    output_tokens: int,
    images: int = 0,
    agentic: bool = False,
) -> float | None:
    """Return what one request costs in USD; None where a price that it takes is not known.

    prompt_tokens include the cached. Where images were made, their price is that of all output.
    agentic: with the premium. Free tokens and fees are a month's, so they are not in it.
    """
    at = rates(price, prompt_tokens) if price.tiers else price
    usd = 0.0
    if prompt_tokens:
        if at.input is None:
            return None
        cached = at.input if at.cached_input is None else at.cached_input
        usd = ((prompt_tokens - cached_tokens) * at.input + cached_tokens * cached) / _MILLION
    if images:
        if price.image is None:
            return None
        usd += images * price.image
    elif output_tokens:
        if at.output is None:
            return None
        usd += output_tokens * at.output / _MILLION
    return usd * (1.0 + price.premium) if agentic else usd


def bill(model: Model, traffic: Traffic) -> Bill:
    """Work out what a model asks for a traffic; see docs/models.md for the order of its parts."""
    price = model.price
    if price is None:
        return Bill(model=model.name, notes=("no source gives a price",))
    if price.gpu_hour is not None:
        note = f"paid by the hour: {price.gpu_hour:g} USD x {price.gpus}; a run tells what its tokens cost"
        return Bill(model=model.name, source=model.price_source, notes=(note,))
    at = rates(price, traffic.prompt_tokens)
    cached = at.input if at.cached_input is None else at.cached_input
    tokens = traffic.input_tokens + traffic.output_tokens
    factor = 1.0
    if traffic.month and tokens:
        factor = max(0.0, 1 - price.free_tokens / tokens)
        factor *= 1 + price.premium if traffic.premium else 1
    if traffic.batch:
        factor *= 1 - price.batch_discount
    fresh, read, made = (
        _usd(n * factor, usd_per_million) if tokens else None
        for n, usd_per_million in (
            (traffic.input_tokens - traffic.cached_tokens, at.input),
            (traffic.cached_tokens, cached),
            (traffic.output_tokens, at.output),
        )
    )
    return Bill(
        model=model.name,
        usd=_sum(fresh, read, made),
        input_usd=fresh,
        cached_usd=read,
        output_usd=made,
        fees_usd=price.support if traffic.month else 0.0,
        usd_per_million_mixed=_mixed(at, traffic),
        source=model.price_source,
        notes=tuple(_notes(price, at, traffic)),
    )


def _usd(tokens: float, usd_per_million: float | None) -> float | None:
    if not tokens:
        return 0.0
    return None if usd_per_million is None else _exact(tokens * usd_per_million / _MILLION)


def _exact(usd: float) -> float:
    """Take off what binary fractions add: a billionth of a dollar is enough."""
    return round(usd, 9)


def _sum(*parts: float | None) -> float | None:
    known = [part for part in parts if part is not None]
    return _exact(sum(known)) if len(known) == len(parts) else None


def _mixed(at: Price | Tier, traffic: Traffic) -> float | None:
    given, made = traffic.mix or (traffic.input_tokens, traffic.output_tokens)
    if not given + made:
        return None
    scale = _MILLION / (given + made)
    return _sum(_usd(given * scale, at.input), _usd(made * scale, at.output))


def _notes(price: Price, at: Price | Tier, traffic: Traffic) -> list[str]:
    notes = []
    if isinstance(at, Tier):
        notes.append(f"prices of prompts over {at.above:,} tokens")
    elif price.tiers:
        notes.append(f"prices of prompts up to {price.tiers[0].above:,} tokens")
    if at.output is None and (traffic.output_tokens or (traffic.mix and traffic.mix[1])):
        notes.append("the price of output is not known")
    if at.input is None and (traffic.input_tokens or (traffic.mix and traffic.mix[0])):
        notes.append("the price of input is not known")
    if traffic.cached_tokens and at.cached_input is None:
        notes.append("the price of cached input is not known: it costs as input")
    if traffic.month and price.free_tokens:
        notes.append(f"{price.free_tokens:,} free tokens are taken off before any premium (our reading)")
    if price.premium and traffic.month and traffic.premium:
        notes.append(f"with {price.premium:.0%} for agentic work (--no-premium: without)")
    if traffic.batch:
        discount = f"{price.batch_discount:.0%} taken off" if price.batch_discount else "no discount is known"
        notes.append(f"sent as a batch: {discount}")
    if not traffic.month and (price.premium or price.free_tokens or price.support):
        notes.append("list prices: --month has free tokens, premium and support")
    return notes
