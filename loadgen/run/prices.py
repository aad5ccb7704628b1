"""The price that a target's requests are charged with, who says so, and whether somebody takes the money."""

from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from loadgen.catalog.model import find
from loadgen.scenario.model import Target


def priced(targets: Sequence[Target]) -> tuple[Target, ...]:
    """Return targets with their prices: the scenario's, else the catalogue's, else None.

    Raises:
        DataError: the user's own catalogue is missing or wrong.
    """
    return tuple(
        msgspec.structs.replace(t, price=model.price)
        if t.price is None and (model := find(t.model)) is not None
        else t
        for t in targets
    )


def price_source(target: Target) -> str | None:
    """Return who says the price of a target, which is as the scenario has it; None: nobody."""
    if target.price is not None:
        return "the scenario"
    model = find(target.model)
    return None if model is None or model.price is None else f"the catalogue, by {model.price_source}"


def asks_money(target: Target) -> bool:
    """Whether somebody is known to ask money for the requests of a target, which is as the scenario has it.

    At a loopback address there is a simulator, a test's server or an engine of one's own: what the catalogue
    says of the model whose name it goes by is not what it costs. A price in the scenario is.
    """
    if target.base_url is None or price_source(target) is None:
        return False
    if target.price is not None:
        return target.price.gpu_hour is None
    host = urlsplit(target.base_url).hostname or ""
    return not (host in ("localhost", "::1") or host.startswith("127."))
