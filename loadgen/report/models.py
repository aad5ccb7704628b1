"""The tables of `loadgen models` and `loadgen models cost`."""

from collections.abc import Iterator, Sequence

import msgspec
from rich.table import Table
from rich.text import Text

from loadgen.catalog.cost import Bill, Traffic, bill
from loadgen.catalog.model import Model, find, models
from loadgen.catalog.price import Price, Tier
from loadgen.errors import ScenarioError, nearest
from loadgen.report.figures import amount, clean, usd
from loadgen.report.grids import Grid, filled
from loadgen.report.layout import listing, numbers, print_json, standard_output
from loadgen.units import parse_count


def print_models(*, as_json: bool = False) -> None:
    """Print the catalogue."""
    known = models()
    if as_json:
        print_json(known)
        return
    heads = map(numbers, ("context", "max output", "input", "output"))
    table = listing("model", *heads, "by")
    for model in known:
        price = model.price or Price()
        tokens = (amount(model.context_tokens), amount(model.max_output_tokens))
        by = clean(", ".join(model.sources))
        table.add_row(clean(model.name), *tokens, usd(price.input), usd(price.output), by)
        for tier in price.tiers:
            table.add_row(f"  over {tier.above:,}", "", "", usd(tier.input), usd(tier.output), "")
    sources = {key: source for model in known for key, source in model.sources.items()}
    _print(
        table,
        "input, output: USD per million tokens; -: no source tells",
        *(line for model in known for line in _more(model)),
        *(f"{key}: {source.title} ({source.date})" for key, source in sources.items()),
    )


def print_cost(
    names: Sequence[str],
    *,
    input_tokens: str = "0",
    output_tokens: str = "0",
    cached_tokens: str = "0",
    prompt_tokens: str = "0",
    mix: str | None = None,
    as_json: bool = False,
    **ways: bool,
) -> None:
    """Print what a traffic costs with each model; counts and mix as the command line has them.

    ways: the flags of `Traffic`.

    Raises:
        ScenarioError: a model that is not known, or an option that can't be.
    """
    traffic = Traffic(
        input_tokens=_count("--input", input_tokens),
        output_tokens=_count("--output", output_tokens),
        cached_tokens=_count("--cached", cached_tokens),
        prompt_tokens=_count("--prompt-tokens", prompt_tokens),
        mix=None if mix is None else _mix(mix),
        **ways,
    )
    if traffic.cached_tokens > traffic.input_tokens:
        raise ScenarioError(
            "--cached", "is more than --input", "it is the part of the input that a cache serves"
        )
    if not (traffic.input_tokens or traffic.output_tokens or traffic.mix):
        raise ScenarioError(
            "models cost", "no tokens are given", "say --input, --output or --mix, such as --mix 3:1"
        )
    bills = [msgspec.structs.replace(bill(_known(name), traffic), model=name) for name in names]
    if as_json:
        print_json(bills)
        return
    grid = _bills(bills)
    table = listing(grid.heads[0], *map(numbers, grid.heads[1:]))
    for row in grid.rows:
        table.add_row(*row)
    sources: dict[str, list[str]] = {}
    for one in bills:
        sources.setdefault(one.source, []).append(one.model)
    _print(
        table,
        *(f"{one.model}: {note}" for one in bills for note in one.notes),
        *(f"prices of {', '.join(of)}: {source}" for source, of in sources.items() if source),
    )


def _bills(bills: Sequence[Bill]) -> Grid:
    """One row a bill; a mix without tokens has a price, but no sums."""
    rows: list[tuple[str, ...]] = []
    for one in bills:
        figures = (one.input_usd, one.cached_usd, one.output_usd, one.usd, one.usd_per_million_mixed)
        rows.append((clean(one.model), *map(usd, figures)))
        if one.fees_usd and one.usd is not None:
            rows.append(("  with support", "", "", "", usd(one.usd + one.fees_usd), ""))
    return filled(Grid("Cost", ("USD", "input", "cached", "output", "sum", "a million tokens"), tuple(rows)))


def _known(name: str) -> Model:
    model = find(name)
    if model is None:
        names = [known for m in models() for known in (m.name, *m.aliases)]
        raise ScenarioError("models cost", f'no model "{name}" is in the catalogue', nearest(name, names))
    return model


def _count(option: str, text: str) -> int:
    try:
        return parse_count(text)
    except ValueError as error:
        what, _, remedy = str(error).partition("; ")
        raise ScenarioError(option, f'"{text}" {what}', remedy) from None


def _mix(text: str) -> tuple[float, float]:
    given, _, made = text.partition(":")
    try:
        parts = float(given), float(made)
    except ValueError:
        parts = (-1.0, -1.0)
    if not (min(parts) >= 0 and 0 < sum(parts) < 1e9):
        raise ScenarioError(
            "--mix", f'"{text}" is not a mix of input and output', "write it like 3:1 or 70:30"
        )
    return parts


def _more(model: Model) -> Iterator[str]:
    """What else is to be known of a model: what its price has beside tokens, where sources disagree."""
    if model.aliases:
        yield f"{model.name}: also called {', '.join(model.aliases)}"
    if model.price is not None and (beside := "; ".join(_beside(model.price))):
        yield f"{model.name}: {beside}"
    for what, by in _said(model).items():
        if len(set(by.values())) > 1:
            told = ", ".join(f"{value} ({key})" for key, value in by.items())
            yield f"{model.name}: sources disagree about {what.replace('_', ' ')}: {told}"


def _beside(price: Price) -> Iterator[str]:
    if price.cached_input is not None:
        yield f"cached input {usd(price.cached_input)}"
    if price.image is not None:
        yield f"an image {'from ' if price.at_least else ''}{usd(price.image)}"
    if price.premium:
        yield f"+{price.premium:.0%} for agentic work"
    if price.free_tokens:
        yield f"{price.free_tokens:,} tokens a month free"
    if price.support:
        yield f"support {usd(price.support)} a month, optional"
    if price.batch_discount:
        yield f"-{price.batch_discount:.0%} as a batch"
    if price.gpu_hour is not None:
        yield f"{price.gpus} GPU at {usd(price.gpu_hour)} an hour each"


def _said(model: Model) -> dict[str, dict[str, str]]:
    """What each source says, as text, by what it is about."""
    said: dict[str, dict[str, str]] = {
        what: {key: "yes" if can else "no" for key, can in by.items()}
        for what, by in model.capabilities.items()
    }
    for key, facts in model.facts.items():
        for what in ("context_tokens", "max_output_tokens"):
            if (count := getattr(facts, what)) is not None:
                said.setdefault(what, {})[key] = amount(count)
        for what, value in msgspec.structs.asdict(facts.price or Price()).items():
            if value:
                text = ", ".join(map(_tier, value)) if what == "tiers" else f"{value:g}"
                said.setdefault(f"price, {what}", {})[key] = text
    return said


def _tier(tier: Tier) -> str:
    return f"over {tier.above:,}: {usd(tier.input)} and {usd(tier.output)}"


def _print(table: Table, *notes: str) -> None:
    console = standard_output()
    console.print(table, highlight=False)
    for note in notes:
        console.print(Text(clean(note), "dim"), highlight=False)
