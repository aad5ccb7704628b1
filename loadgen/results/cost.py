"""What a target's requests cost: in all, each, by what they made, and in a month of such traffic. USD."""

from typing import Final, NamedTuple

from loadgen.catalog.price import Price
from loadgen.measure.spending import Spending
from loadgen.results.model import Cost

MONTH_S: Final = 730 * 3600
_MILLION: Final = 1e6


class Work(NamedTuple):
    """What the window brought: requests that ended well in it and their output tokens; how long it was, in s.

    good: successful requests that began in it. month: requests in a month of such traffic.
    """

    done: int
    output_tokens: float
    window_s: float
    good: int
    month: float


def cost(
    price: Price | None, source: str, spent: Spending, before: tuple[float, int, int], work: Work
) -> Cost:
    """Make a target's cost; price: None where each request has its own; before: see `TargetFacts`."""
    if price is not None and price.gpu_hour is not None:
        return _of_machine(price, source, work)
    before_usd, before_paid, before_unknown = before
    each = _per(spent.window_usd, spent.requests)
    tokens = work.month * (spent.prompt_tokens + spent.output_tokens) / max(1, spent.requests)
    free = 0.0 if price is None or not tokens else min(1.0, price.free_tokens / tokens)
    return Cost(
        usd=_exact(spent.usd + before_usd) if spent.with_cost + before_paid else None,
        usd_per_request=each,
        # images are paid by the piece, whatever they are in tokens
        usd_per_million_output_tokens=None
        if spent.images
        else _per(spent.window_usd * _MILLION, spent.output_tokens),
        price_source=source,
        window_usd=_exact(spent.window_usd) if spent.requests else None,
        before_usd=_exact(before_usd) if before_paid else None,
        usd_per_thousand_good_requests=_per(spent.window_usd * 1000, work.good) if spent.requests else None,
        usd_per_image=_per(spent.window_usd, spent.images),
        usd_per_month=None if each is None else _exact(each * work.month * (1 - free)),
        month_requests=round(work.month),
        support_usd_per_month=0.0 if price is None else price.support,
        requests_without_cost=spent.without_cost + before_unknown,
        at_least=price is not None and price.at_least,
        price=price,
    )


def _of_machine(price: Price, source: str, work: Work) -> Cost:
    """A machine that is paid by the hour costs the same whatever is sent: its window's hours."""
    hourly = (price.gpu_hour or 0.0) * price.gpus
    usd = hourly * work.window_s / 3600
    return Cost(
        usd=_exact(usd),
        usd_per_request=_per(usd, work.done),
        usd_per_million_output_tokens=_per(usd * _MILLION, work.output_tokens),
        price_source=source,
        window_usd=_exact(usd),
        usd_per_thousand_good_requests=_per(usd * 1000, work.good),
        usd_per_month=_exact(hourly * MONTH_S / 3600),
        month_requests=round(work.month),
        support_usd_per_month=price.support,
        price=price,
    )


def _per(usd: float, number: float) -> float | None:
    return _exact(usd / number) if number else None


def _exact(usd: float) -> float:
    """Take off what sums of binary fractions add."""
    return round(usd, 12)
