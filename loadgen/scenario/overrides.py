"""What the command line changes in a scenario: `--set PATH=VALUE` and the options that stand for keys.

An override is a pair (what the user wrote, value): a key path, or an option such as `--concurrency`.
"""

import copy
import datetime as dt
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from loadgen.errors import Problem, ScenarioError
from loadgen.scenario.keys import Key, parse, text_of
from loadgen.scenario.traffic import ONLY_WITH, Mode

_KEYS: Final[dict[str, Key]] = {
    "--concurrency": ("load", "concurrency"),
    "--rate": ("load", "rate"),
    "--requests": ("load", "requests"),
    "--duration": ("load", "duration"),
    "--warmup": ("load", "warmup"),
    "--ramp": ("load", "ramp"),
    "--seed": ("seed",),
    "--max-cost": ("budget", "max_usd"),
}
_WAYS: Final[dict[str | int, Mode]] = {mode: mode for mode in get_args(Mode)}
_KEYS_OF_TARGETS: Final = {"--base-url": "base_url", "--api-key-env": "api_key_env"}


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of the overrides: mistakes, and what to name as the place of a key that one has set.

    made: the place of a table that had to be made on the way to a key.
    """

    problems: list[Problem] = field(default_factory=list)
    places: dict[Key, str] = field(default_factory=dict)
    made: dict[Key, str] = field(default_factory=dict)


def parse_set(text: str) -> tuple[str, object]:
    """Read the argument of `--set`: a TOML value if it is one, else a bare string; dates stay text.

    Raises:
        ScenarioError: no key path, or no "=" after it.
    """
    try:
        key, rest = parse(text.strip())
    except ValueError as error:
        raise ScenarioError(f"--set {text}", str(error), "write it like --set load.concurrency=20") from None
    name, equals, value = rest.partition("=")
    if name.strip() or not equals:
        what = f"has no = after {text_of(key)}"
        raise ScenarioError(f"--set {text_of(key)}", what, "write it like --set load.concurrency=20")
    name, value = text.strip().removesuffix(rest).strip(), value.strip()
    found = _toml_or_text(value)
    # labels are text, also build=7: quotes around it would be eaten by the shell
    is_label = key[:2] == ("report", "labels") and len(key) > 2
    return name, value if is_label and not isinstance(found, str) else found


def _toml_or_text(text: str) -> object:
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    # no key of a scenario is a date, and an api-version should need no quotes
    if table.keys() != {"value"} or isinstance(table["value"], dt.date | dt.time):
        return text
    return table["value"]


def from_options(
    *,
    base_url: str | None = None,
    model: Sequence[str] = (),
    api_key_env: str | None = None,
    concurrency: int | str | None = None,
    rate: float | str | None = None,
    requests: int | str | None = None,
    duration: str | None = None,
    warmup: str | None = None,
    ramp: str | None = None,
    seed: int | None = None,
    max_cost: float | None = None,
) -> list[tuple[str, object]]:
    """Return the overrides that options of `run` stand for.

    model: one target for each, named after it, with the other settings of the scenario's first target.
    base_url, api_key_env: for every target. max_cost: `budget.max_usd`. The rest: keys of `[load]`, as a
    scenario writes them.
    """
    given: dict[str, object] = {
        "--model": tuple(model) or None,  # first: the others are for the targets it makes
        "--base-url": base_url,
        "--api-key-env": api_key_env,
        "--concurrency": concurrency,
        "--rate": _toml_or_text(rate) if isinstance(rate, str) else rate,  # "5" is 5 a second
        "--requests": requests,
        "--duration": duration,
        "--warmup": warmup,
        "--ramp": ramp,
        "--seed": seed,
        "--max-cost": max_cost,
    }
    return [(option, value) for option, value in given.items() if value is not None]


def apply(raw: dict[str, Any], overrides: Sequence[tuple[str, object]]) -> Applied:
    """Change the raw tables of a scenario, in order, making the tables that are missing.

    A key that says how to load takes the place of the file's, with all that only fits that.
    """
    applied = Applied()
    for name, value in overrides:
        if name == "--model" and isinstance(value, list | tuple):
            _set_models(raw, value, applied)
        elif name in _KEYS_OF_TARGETS:
            for i, target in targets_of(raw):
                target[_KEYS_OF_TARGETS[name]] = value
                applied.places["targets", i, _KEYS_OF_TARGETS[name]] = name
        elif name in _KEYS:
            _set(raw, _KEYS[name], value, name, applied)
        else:
            try:
                key, rest = parse(name)
                if rest:
                    raise ValueError(f"has {rest} after {text_of(key)}")
            except ValueError as error:
                applied.problems.append(
                    Problem(f"--set {name}", str(error), "write it like load.concurrency")
                )
            else:
                _set(raw, key, value, f"--set {name}", applied)
    return applied


def targets_of(raw: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """Return the tables of the raw targets with their positions; none where something else stands there."""
    targets = raw.get("targets")
    return [(i, t) for i, t in enumerate(targets) if isinstance(t, dict)] if isinstance(targets, list) else []


def _set_models(raw: dict[str, Any], models: Sequence[object], applied: Applied) -> None:
    if not isinstance(raw.setdefault("targets", [{}]), list):
        return
    first = next((table for _, table in targets_of(raw)), {})
    raw["targets"] = [copy.deepcopy(first) | {"name": model, "model": model} for model in models]
    for i in range(len(models)):
        applied.places["targets", i] = "targets[0]"  # where the file has the mistakes of all of them
        applied.places["targets", i, "name"] = applied.places["targets", i, "model"] = "--model"


def _set(raw: dict[str, Any], key: Key, value: object, place: str, applied: Applied) -> None:
    """Set one key; a path that leads nowhere is a problem at `place`."""
    box: Any = raw
    done: Key = ()
    try:
        if key[0] == "targets" and isinstance(raw.get("targets"), list):
            key = _by_position(key, targets_of(raw))
        for part, following in zip(key, (*key[1:], None), strict=True):
            _check_step(box, done, part)
            done = (*done, part)
            if following is None:
                box[part] = value
                applied.places[done] = place
            else:
                if isinstance(box, dict) and part not in box:
                    if isinstance(following, int):
                        raise ValueError(
                            f"{text_of(done)} is not set, so it has no [{following}]; set all of it"
                        )
                    box[part] = {}
                    applied.made[done] = place
                box = box[part]
        if key[0] == "load" and len(key) > 1 and key[1] in _WAYS and value is not False:
            _make_room(raw["load"], _WAYS[key[1]], applied)
    except ValueError as error:
        what, _, remedy = str(error).partition("; ")
        applied.problems.append(Problem(place, what, remedy))


def _make_room(load: dict[str, Any], way: Mode, applied: Applied) -> None:
    """Drop what the file says of another way to load; what another override says stays, and may clash."""
    asked = {key[1] for key in applied.places if key[0] == "load" and len(key) > 1}
    for name in set(load) - asked - {way}:
        if name in _WAYS or name == "levels" or way not in ONLY_WITH.get(name, (way,)):
            del load[name]


def _check_step(box: object, done: Key, part: str | int) -> None:
    name = text_of(done) or "a scenario"
    if isinstance(part, str) and not isinstance(box, dict):
        example = f"; write {name}[0]" if isinstance(box, list) else ""
        raise ValueError(f"{name} is not a table, so it has no key {part}{example}")
    if isinstance(part, int):
        if not isinstance(box, list):
            raise ValueError(f"{name} is not a list, so it has no [{part}]")
        if part >= len(box):
            raise ValueError(f"{name} has no [{part}]; it has {len(box)}, counted from [0]")


def _by_position(key: Key, targets: list[tuple[int, dict[str, Any]]]) -> Key:
    """Replace a target's name by its position; a name with dots needs no quotes, since shells eat them."""
    for n in range(len(key), 1, -1):
        name = ".".join(str(part) for part in key[1:n])
        found = [i for i, target in targets if target.get("name") == name]
        if found and all(isinstance(part, str) for part in key[1:n]):
            return ("targets", found[0], *key[n:])
    if len(key) > 1 and isinstance(key[1], str):
        known = ", ".join(str(target.get("name")) for _, target in targets)
        raise ValueError(f"no target is named {key[1]}; the targets are {known}, or targets[0] by position")
    return key
