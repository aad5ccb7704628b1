"""Engine profiles: how the simulator behaves for a model, and what that rests on."""

import tomllib
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from loadgen.catalog.model import Source, find, models
from loadgen.engine.params import EngineParams, NonNegativeInt


class Fact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One number, the key of its source in the catalogue, and how the source was read."""

    value: float
    source: str
    note: str = ""


class Profile(msgspec.Struct, frozen=True):
    """A model's engine, the facts it is held to, and the sources of both.

    model: its name in the catalogue, or as it was asked for. facts: where a source says so, `idle_ttft_ms`
    (a 1,000-token prompt alone) and `full_batch_output_tokens_per_s` (100-token prompts, 500-token answers).
    reasoning: median tokens by effort; empty: it does not reason. images: it makes images and nothing else.
    max_output_tokens: as the catalogue has it. assumed: the model has no profile, everything is the default.
    """

    model: str
    engine: EngineParams
    facts: dict[str, Fact]
    reasoning: dict[str, int]
    images: bool
    max_output_tokens: int | None
    sources: tuple[Source, ...]
    assumed: bool

    def __str__(self) -> str:
        if self.assumed:
            return "assumed: the model has no profile of its own"
        return ", ".join(f"{source.title} ({source.date})" for source in self.sources)


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    engine: dict[str, Any]
    facts: dict[str, Fact] = {}
    reasoning: dict[str, NonNegativeInt] = {}
    images: bool = False


class _Profiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    assumed: Source
    models: dict[str, _Entry]
    default: _Entry


@cache
def _profiles() -> _Profiles:
    text = resources.files("loadgen.catalog").joinpath("engines.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), _Profiles)


def model_names() -> tuple[str, ...]:
    """Return the models that the simulator lists: those of the catalogue.

    Raises:
        DataError: the user's own file on top of the catalogue is wrong.
    """
    return tuple(model.name for model in models())


def profile(model: str) -> Profile:
    """Return the profile of a model or alias; the default one, marked as assumed, for one that has none.

    Its context window is the catalogue's where a source there says one.
    """
    profiles, known = _profiles(), find(model)
    name = known.name if known else model
    entry = profiles.models.get(name, profiles.default)
    context = known.context_tokens if known else None
    params = entry.engine if context is None else entry.engine | {"max_context_tokens": context}
    used = dict.fromkeys(fact.source for fact in entry.facts.values())
    if known and context is not None:
        used |= dict.fromkeys(key for key, facts in known.facts.items() if facts.context_tokens == context)
    return Profile(
        model=name,
        engine=msgspec.convert(params, EngineParams),
        facts=entry.facts,
        reasoning=entry.reasoning,
        images=entry.images,
        max_output_tokens=known.max_output_tokens if known else None,
        sources=(*(known.sources[key] for key in used if known), profiles.assumed),
        assumed=name not in profiles.models,
    )
