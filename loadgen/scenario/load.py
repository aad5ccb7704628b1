"""A scenario file, and what the command line changes in it → a checked `Scenario`."""

import functools
import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import inspect

from loadgen.errors import Problem, ScenarioError
from loadgen.scenario.keys import Key, text_of
from loadgen.scenario.model import Scenario
from loadgen.scenario.overrides import Applied, apply, targets_of
from loadgen.scenario.reading import Mistake, Reading, read
from loadgen.scenario.rules import RULES

_LISTS: Final = ("targets", "workload", "routes")  # tables that there may be several of


def load(path: str | Path, overrides: Sequence[tuple[str, object]] = ()) -> Scenario:
    """Read a scenario file, apply overrides (see `scenario.overrides`) in order, check everything.

    Paths in the result are absolute; `base_url = "env"` is replaced by the value of OPENAI_BASE_URL.

    Raises:
        ScenarioError: with every mistake of the file and of the overrides.
    """
    raw = _read_toml(Path(path))
    applied = apply(raw, overrides)
    reading = Reading(Path(path).absolute().parent, RULES)
    _resolve_env(raw, applied, reading)
    scenario: Scenario = read(_scenario_type(), raw, (), reading)
    _check_names(raw, reading)
    problems = applied.problems + [_problem(mistake, applied) for mistake in reading.mistakes]
    if problems:
        raise ScenarioError.of(list(dict.fromkeys(problems)))  # what --model copied is told once
    return scenario


@functools.cache
def _scenario_type() -> inspect.Type:
    return inspect.type_info(Scenario)


def _read_toml(path: Path) -> dict[str, Any]:
    place = str(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ScenarioError(place, "does not exist", "give the path of a scenario file") from None
    except IsADirectoryError:
        raise ScenarioError(place, "is a directory", "give the path of a scenario file in it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ScenarioError(place, f"can't be read: {error}", "give the path of a scenario file") from None
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ScenarioError(f"{place}:{line}", "is not UTF-8", "save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        what = re.sub(r" \(at .*\)$", "", str(error))
        if spot := re.search(r"\(at line (\d+), column (\d+)\)$", str(error)):
            place = f"{place}:{spot[1]}:{spot[2]}"
        raise ScenarioError(place, f"is not TOML: {what}", _toml_remedy(data, what, spot)) from None
    except (ValueError, RecursionError) as error:
        raise ScenarioError(
            place, f"is not TOML: {error}", "make its numbers shorter, its lists flatter"
        ) from None


def _toml_remedy(data: bytes, what: str, spot: re.Match[str] | None) -> str:
    if twice := re.fullmatch(r"Cannot declare \('(\w+)',\) twice", what):
        return f"write [[{twice[1]}]], in two brackets" if twice[1] in _LISTS else "make one table of the two"
    line = data.decode("utf-8-sig").splitlines()[int(spot[1]) - 1] if spot else ""
    if re.search(r"=\s*[0-9.]+\s*[A-Za-z]", line):
        return 'write a value with a unit in quotes, like "30s"'
    return 'write it like key = "text", key = 7 or [table]'


def _resolve_env(raw: dict[str, Any], applied: Applied, r: Reading) -> None:
    """Put OPENAI_BASE_URL in the place of "env".

    Only then is OPENAI_API_KEY the default key: it is meant for that host, and must not reach another.
    """
    for i, target in targets_of(raw):
        if target.get("base_url") != "env":
            continue
        at: Key = ("targets", i, "base_url")
        if url := os.environ.get("OPENAI_BASE_URL"):
            target["base_url"] = url
            applied.places[at] = "OPENAI_BASE_URL"
        else:
            del target["base_url"]
            remedy = "set it, or write the URL itself"
            r.wrong(at, '"env" needs the environment variable OPENAI_BASE_URL, which is not set', remedy)
        headers = target.get("headers")
        signed = isinstance(headers, dict) and any(name.lower() == "authorization" for name in headers)
        if os.environ.get("OPENAI_API_KEY") and not signed:
            target.setdefault("api_key_env", "OPENAI_API_KEY")


def _check_names(raw: dict[str, Any], r: Reading) -> None:
    """Find targets of one name; in the raw tables, so that other mistakes of a target don't hide it."""
    first: dict[str, int] = {}
    for i, target in targets_of(raw):
        name = target.get("name")
        if isinstance(name, str) and first.setdefault(name, i) != i:
            what = f"is the name of targets[{first[name]}] too"
            r.wrong_value(("targets", i, "name"), name, what, "give each target a name of its own")


def _problem(mistake: Mistake, applied: Applied) -> Problem:
    """Name as the place what the user wrote: the option that set the key, else the key."""
    places = applied.places | applied.made if mistake.unknown else applied.places
    place, remedy = text_of(mistake.at), mistake.remedy
    for n in range(len(mistake.at), 0, -1):
        if label := places.get(mistake.at[:n]):
            rest = text_of(mistake.at[n:])
            place = label + ("." if rest and not rest.startswith("[") else "") + rest
            if label.startswith("--set ") and remedy == "write it in quotes":
                remedy = (
                    f"""write it in two kinds of quotes: {place}='"..."' (a shell takes one of them away)"""
                )
            break
    return Problem(place, mistake.what, remedy)
