"""The catalogue of models: facts from models.toml, each under its source, and the user's own file on top."""

import json
import os
import re
import tomllib
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec

from loadgen.catalog.price import Price, Tier
from loadgen.errors import DataError, nearest

OWN_FILE: Final = "LOADGEN_MODELS"  # the variable that names the user's file

_T = TypeVar("_T")
_Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a fact comes from, and its date (year and month)."""

    title: str
    date: str


class Capabilities(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a model can do, by one source; None: it does not say."""

    streaming: bool | None = None
    tools: bool | None = None
    structured_output: bool | None = None
    reasoning: bool | None = None
    prompt_caching: bool | None = None
    code_execution: bool | None = None
    computer_use: bool | None = None
    text_input: bool | None = None
    image_input: bool | None = None
    audio_input: bool | None = None
    video_input: bool | None = None
    text_output: bool | None = None
    image_output: bool | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one source says of a model; None: nothing. notes: what it says beyond these keys."""

    context_tokens: _Count | None = None
    max_output_tokens: _Count | None = None
    price: Price | None = None
    capabilities: Capabilities = Capabilities()
    notes: tuple[str, ...] = ()


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model: of the first source that says a thing, its value; None: no source does.

    facts: by the key of the source in `sources`, all that each says. capabilities: by name, what each source
    says. price_source: title and date of the source of the price; empty without one.
    """

    name: str
    aliases: tuple[str, ...]
    facts: dict[str, Facts]
    sources: dict[str, Source]
    context_tokens: int | None
    max_output_tokens: int | None
    price: Price | None
    price_source: str
    capabilities: dict[str, dict[str, bool]]

    def denied(self, capability: str) -> str | None:
        """Return the sources that say the model can't, when all that say anything do; else None."""
        said = self.capabilities.get(capability, {})
        if not said or any(said.values()):
            return None
        return ", ".join(self.sources[key].title for key in said)


class _Entry(msgspec.Struct, frozen=True):
    aliases: tuple[str, ...]
    facts: dict[str, Facts]


class _File(msgspec.Struct, frozen=True):
    sources: dict[str, Source]
    models: dict[str, _Entry]


class _Top(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dated: str = ""
    sources: dict[str, Any] = {}
    models: dict[str, dict[str, Any]] = {}


# Tables of the file by the key that holds them, for the nearest key to a wrong one.
_TABLES: Final[dict[str, type[msgspec.Struct]]] = {
    "price": Price,
    "tiers": Tier,
    "capabilities": Capabilities,
}


def find(name: str) -> Model | None:
    """Return the model of that name or alias; None for one that is not in the catalogue.

    Raises:
        DataError: the file that LOADGEN_MODELS names is missing or wrong.
    """
    return next((m for m in models() if name == m.name or name in m.aliases), None)


def models() -> tuple[Model, ...]:
    """Return all models: the catalogue's in its order, then those that only the user's file has.

    Raises:
        DataError: the file that LOADGEN_MODELS names is missing or wrong.
    """
    return _models(os.environ.get(OWN_FILE, ""))


@cache
def _models(own_path: str) -> tuple[Model, ...]:
    shipped = _read(resources.files("loadgen.catalog").joinpath("models.toml"), "models.toml")
    if not own_path:
        return tuple(_model(name, entry, shipped.sources) for name, entry in shipped.models.items())
    own = _read(Path(own_path), own_path)
    for key in own.sources.keys() & shipped.sources.keys():
        raise DataError(
            f"{own_path}: sources.{key}", "is a source of loadgen's catalogue", "give yours another key"
        )
    names = {alias: name for name, entry in shipped.models.items() for alias in (name, *entry.aliases)}
    entries = dict(shipped.models)
    for name, entry in own.models.items():
        known = names.get(name, name)
        entries[known] = _laid_over(entry, entries[known]) if known in entries else entry
    return tuple(_model(name, entry, shipped.sources | own.sources) for name, entry in entries.items())


def _laid_over(own: _Entry, shipped: _Entry) -> _Entry:
    """Put the user's facts first, and take out of the catalogue's what they replace."""
    names = ("context_tokens", "max_output_tokens", "price")
    replaced = {n: None for n in names if any(getattr(f, n) is not None for f in own.facts.values())}
    can = {n: None for f in own.facts.values() for n in _said(f.capabilities)}
    kept = {
        key: msgspec.structs.replace(
            facts, capabilities=msgspec.structs.replace(facts.capabilities, **can), **replaced
        )
        for key, facts in shipped.facts.items()
    }
    return _Entry(tuple(dict.fromkeys((*own.aliases, *shipped.aliases))), own.facts | kept)


def _said(capabilities: Capabilities) -> dict[str, bool]:
    return {name: can for name, can in msgspec.structs.asdict(capabilities).items() if can is not None}


def _model(name: str, entry: _Entry, sources: dict[str, Source]) -> Model:
    def first(what: str) -> tuple[Any, str]:
        said = ((getattr(facts, what), key) for key, facts in entry.facts.items())
        return next((found for found in said if found[0] is not None), (None, ""))

    can: dict[str, dict[str, bool]] = {}
    for key, facts in entry.facts.items():
        for capability, yes in _said(facts.capabilities).items():
            can.setdefault(capability, {})[key] = yes
    price, source = first("price")
    return Model(
        name=name,
        aliases=entry.aliases,
        facts=entry.facts,
        sources={key: sources[key] for key in entry.facts},
        context_tokens=first("context_tokens")[0],
        max_output_tokens=first("max_output_tokens")[0],
        price=price,
        price_source=f"{sources[source].title} ({sources[source].date})" if source else "",
        capabilities=can,
    )


def _read(path: Traversable, shown: str) -> _File:
    """Read a catalogue, with `shown` as its name in messages."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(shown, error.strerror or "can't be read", f"{OWN_FILE} names it") from None
    except UnicodeDecodeError:
        raise DataError(shown, "is not UTF-8", f"{OWN_FILE} names it") from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(shown, f"is not TOML: {error}") from None
    top = _convert(raw, _Top, (), shown)
    sources = {key: _convert(raw, Source, ("sources", key), shown) for key, raw in top.sources.items()}
    entries = {}
    for name, table in top.models.items():
        at = ("models", name)
        aliases = _convert(table.pop("aliases", ()), tuple[str, ...], (*at, "aliases"), shown)
        for key in table.keys() - sources.keys():
            raise DataError(
                f"{shown}: {_text((*at, key))}",
                "is neither aliases nor a source",
                f"{nearest(key, ('aliases', *sources))}, or add [sources.{key}] with title and date",
            )
        facts = {key: _convert(raw, Facts, (*at, key), shown) for key, raw in table.items()}
        entries[name] = _Entry(aliases, facts)
    return _File(sources, entries)


def _convert(raw: Any, kind: type[_T], at: tuple[str, ...], shown: str) -> _T:
    """Read a table of the file, or say in one line at which key it is wrong."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        inner = re.findall(r"\w+|\[\d+\]", path)
        if match := re.fullmatch(r"Object contains unknown field `(.*)`", what):
            names = [part for part in inner if part.isidentifier()]
            table = _TABLES[names[-1]] if names else kind
            known = getattr(table, "__struct_encode_fields__", ())
            inner.append(match[1])
            what, remedy = "unknown key", nearest(match[1], known)
        else:
            what, _, remedy = what.replace("`", "").partition("; ")
        place = _text((*at, *inner)).replace(".[", "[")
        raise DataError(f"{shown}: {place}", what, remedy or "docs/models.md describes it") from None


def _text(key: tuple[str, ...]) -> str:
    """Write a key path the way TOML does."""
    return ".".join(
        part if re.fullmatch(r"[\w-]+|\[\d+\]", part) else json.dumps(part, ensure_ascii=False)
        for part in key
    )
