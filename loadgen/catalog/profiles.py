"""Engine profiles: how the simulator behaves for a model, and what that rests on."""

import tomllib
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from loadgen.engine.params import EngineParams


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a fact comes from, and its date (year and month)."""

    title: str
    date: str


class Fact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One number, the key of its source in the catalogue, and how the source was read."""

    value: float
    source: str
    note: str = ""


class Profile(msgspec.Struct, frozen=True):
    """A model's engine, the facts it is held to, and the sources of both.

    Facts: `context_tokens`; where a source says so, `idle_ttft_ms` (a 1,000-token prompt alone) and
    `full_batch_output_tokens_per_s` (100-token prompts, 500-token answers).
    assumed: nothing is known about this model, everything is the default profile.
    """

    model: str
    engine: EngineParams
    facts: dict[str, Fact]
    sources: tuple[Source, ...]
    assumed: bool

    def __str__(self) -> str:
        if self.assumed:
            return "assumed: the model is not in the catalogue"
        return ", ".join(f"{source.title} ({source.date})" for source in self.sources)


class _Engine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: str
    params: dict[str, Any]


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    facts: dict[str, Fact]
    engine: _Engine


class _Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sources: dict[str, Source]
    models: dict[str, _Entry]
    default: _Entry


@cache
def _catalogue() -> _Catalogue:
    text = resources.files("loadgen.catalog").joinpath("engines.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), _Catalogue)


def model_names() -> tuple[str, ...]:
    """Return the models that have a profile of their own."""
    return tuple(_catalogue().models)


def profile(model: str) -> Profile:
    """Return the profile of a model; the default profile, marked as assumed, for one not in the catalogue."""
    catalogue = _catalogue()
    entry = catalogue.models.get(model)
    assumed = entry is None
    if entry is None:
        entry = catalogue.default
    context_tokens = int(entry.facts["context_tokens"].value)
    params = entry.engine.params | {"max_context_tokens": context_tokens}
    used = dict.fromkeys([*(fact.source for fact in entry.facts.values()), entry.engine.source])
    return Profile(
        model=model,
        engine=msgspec.convert(params, EngineParams),
        facts=entry.facts,
        sources=tuple(catalogue.sources[key] for key in used),
        assumed=assumed,
    )
