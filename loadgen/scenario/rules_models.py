"""What workloads ask for and the targets they go to can't give: the kind of endpoint, or the model.

Of a model only what the catalogue's sources deny without dispute is a mistake; of an unknown one nothing.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NamedTuple

from loadgen.catalog.model import OWN_FILE, find
from loadgen.scenario.keys import Key
from loadgen.scenario.model import Route, Target
from loadgen.scenario.reading import Reading
from loadgen.scenario.rules_words import TASKS_IN_FILE
from loadgen.scenario.words import ImageOutput, Workload

_WRITES: Final = frozenset({"chat", "completions", "responses"})  # endpoints whose answer is text
# keys of the workload that some kinds of endpoint have no place for
_NO_PLACE: Final[dict[str, tuple[str, ...]]] = {
    "chat": (),
    "responses": (),
    "completions": ("tools", "images", "audio"),
    "images": ("turns", "tools", "images", "audio"),
    "embeddings": ("turns", "tools", "images", "audio"),
}


class _Need(NamedTuple):
    """Something a model must be able to do. asked: whether a target's workloads ask for it."""

    capability: str
    says: str
    remedy: str
    asked: Callable[[Target, Sequence[Workload]], bool]


def _formatted(target: Target, _: Sequence[Workload]) -> bool:
    """Whether answers are asked for in a form: chat's `response_format`, Responses' `text.format`."""
    text = target.extra_body.get("text")
    forms = [target.extra_body.get("response_format"), text.get("format") if isinstance(text, dict) else None]
    return any(isinstance(form, dict) and form.get("type") not in (None, "text") for form in forms)


def _thinks(target: Target, _: Sequence[Workload]) -> bool:
    """Whether reasoning is asked for, in one of the fields that endpoints have for it."""
    extra = target.extra_body
    asked = [extra.get("reasoning_effort")]
    asked += [
        table.get(key)
        for name, key in (("reasoning", "effort"), ("thinking", "type"))
        if isinstance(table := extra.get(name), dict)
    ]
    return any(effort not in (None, "none", "disabled") for effort in asked)


_NEEDS: Final = (
    _Need(
        "streaming",
        "does not stream answers",
        'write stream = false or endpoint = "images"',
        lambda t, _: t.stream and t.endpoint in _WRITES,
    ),
    _Need("text_output", "writes no text", 'write endpoint = "images"', lambda t, _: t.endpoint in _WRITES),
    _Need("image_output", "makes no images", 'write endpoint = "chat"', lambda t, _: t.endpoint == "images"),
    _Need(
        "image_input",
        "takes no images",
        "leave out workload.images",
        lambda t, ws: t.endpoint in _WRITES and any(w.images for w in ws),
    ),
    _Need(
        "audio_input",
        "takes no sound",
        "leave out workload.audio",
        lambda t, ws: t.endpoint in _WRITES and any(w.audio for w in ws),
    ),
    _Need(
        "tools",
        "calls no tools",
        "leave out workload.tools",
        lambda t, ws: t.endpoint in _WRITES and any(w.tools for w in ws),
    ),
    _Need("structured_output", "has no structured output", "leave the format out of extra_body", _formatted),
    _Need("reasoning", "does not reason", "leave the reasoning effort out of extra_body", _thinks),
)


def check_models(v: dict[str, Any], at: Key, r: Reading) -> None:
    """Compare what is asked with what endpoints take and models can; one line for each thing."""
    targets: tuple[Target, ...] = v.get("targets", ())
    workloads: tuple[Workload, ...] = v.get("workloads", ())
    routes: tuple[Route, ...] = v.get("routes", ())
    asked_of = {t.name: [w for w in workloads if _reaches(w, t, routes)] for t in targets}
    for i, target in enumerate(targets):
        _check_model(target, asked_of[target.name], (*at, "targets", i, "model"), r)
    for i, w in enumerate(workloads):
        place: Key = (*at, "workload") if len(workloads) == 1 else (*at, "workload", i)
        _check_fit(w, [t for t in targets if w in asked_of[t.name]], place, r)
    if (load := v.get("load")) and load.trace is not None and any(w.batch > 1 for w in workloads):
        what = "is when each session came, and workload.batch puts several into one request"
        r.wrong((*at, "load", "trace"), what, "leave one of them")
    routed = {route.to for route in routes}
    kinds = {
        "messages" if t.endpoint in ("chat", "responses") else t.endpoint: t
        for t in targets
        if t.name in routed
    }
    if len(kinds) > 1:
        first, second, *_ = kinds.values()
        what = f'mix endpoint = "{first.endpoint}" and "{second.endpoint}", which take different words'
        r.wrong((*at, "routes"), what, "send requests to one kind of endpoint (chat and responses are one)")


def _reaches(w: Workload, target: Target, routes: Sequence[Route]) -> bool:
    """Whether requests of a workload are sent to a target, of some length."""
    if target.alone:
        return w.weight > 0
    for route in routes:
        task = not route.task or w.task in route.task or w.source in TASKS_IN_FILE
        if not task or (route.risk and w.risk not in route.risk):
            continue
        if route.to == target.name:
            return w.weight > 0
        if route.over is None and route.up_to is None and w.source not in TASKS_IN_FILE:
            return False
    return False


def _check_model(target: Target, workloads: Sequence[Workload], at: Key, r: Reading) -> None:
    model = find(target.model)
    if model is None:
        return
    for need in _NEEDS:
        sources = model.denied(need.capability)
        if sources and need.asked(target, workloads):
            remedy = (
                f"{need.remedy}, name another model, or set the fact right in a file that {OWN_FILE} names"
            )
            r.wrong_value(at, target.model, f"{need.says}, says {sources}", remedy)


def _check_fit(w: Workload, targets: Sequence[Target], at: Key, r: Reading) -> None:
    for key in ("turns", "tools", "images", "audio"):
        target = next((t for t in targets if key in _NO_PLACE[t.endpoint]), None)
        if target is not None and getattr(w, key):
            what = f'has no place in endpoint = "{target.endpoint}" (target "{target.name}")'
            r.wrong((*at, key), what, 'leave it out, or write endpoint = "chat"')
    if not targets:
        return
    kinds = {t.endpoint for t in targets}
    if w.output_tokens is not None and not kinds & _WRITES:
        r.wrong((*at, "output_tokens"), f"bounds nothing: {_listed(kinds)} write no text", "leave it out")
    if w.image_output != ImageOutput() and "images" not in kinds:
        r.wrong((*at, "image_output"), f"is not for {_listed(kinds)}", 'write endpoint = "images"')
    if w.batch > 1 and kinds != {"embeddings"}:
        others = _listed(kinds - {"embeddings"})
        r.wrong((*at, "batch"), f"is not for {others}", 'leave it out, or write endpoint = "embeddings"')


def _listed(kinds: Collection[str]) -> str:
    return f"{' and '.join(sorted(kinds))} endpoints"
