"""What `[workload]` must be beyond the types of its values: each source has its own keys."""

from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from loadgen.scenario.keys import Key
from loadgen.scenario.media import FORMATS, HEAD_BYTES, format_of, size_of
from loadgen.scenario.reading import Reading
from loadgen.scenario.traffic import Load
from loadgen.scenario.words import Source, Workload


class _Facts(NamedTuple):
    """What a source has of its own.

    file: the file it needs, as an example; None: it reads none. made: its prompts are made, in any length.
    timed: it has timestamps. recorded: it has recorded answers. turns: it has conversations of its own.
    caps: it says how long answers are.
    """

    file: str | None = None
    made: bool = False
    timed: bool = False
    recorded: bool = False
    turns: bool = False
    caps: bool = False


_SOURCES: Final[dict[Source, _Facts]] = {
    "code": _Facts(made=True),
    "prose": _Facts(made=True),
    "synthetic": _Facts(made=True),
    "prompts": _Facts(),
    "jsonl": _Facts("prompts.jsonl", timed=True, recorded=True, turns=True, caps=True),
    "sharegpt": _Facts("sharegpt.json", recorded=True, turns=True),
    "humaneval": _Facts("HumanEval.jsonl.gz"),
    "mooncake": _Facts("mooncake.jsonl", timed=True, caps=True),
    "azure": _Facts("azure.csv", timed=True, caps=True),
    "burstgpt": _Facts("burstgpt.csv", timed=True, caps=True),
}
_MOST_TURNS: Final = 1_000
_MOST_IMAGES: Final = 1_000
_LONGEST_SOUND_S: Final = 3_600
_MOST_SHARED_TOKENS: Final = 50_000_000  # some 220 MB of text
TIMED: Final = tuple(name for name, facts in _SOURCES.items() if facts.timed)
MADE: Final = tuple(name for name, facts in _SOURCES.items() if facts.made)
TASKS_IN_FILE: Final[tuple[Source, ...]] = ("jsonl", "humaneval")  # its own beside, or for, `task`


def _names(fact: str) -> str:
    return ", ".join(name for name, facts in _SOURCES.items() if getattr(facts, fact))


def check_workload(v: dict[str, Any], at: Key, r: Reading) -> None:
    """Find the keys that its source needs and has no use for, and those that exclude each other."""
    if source := v.get("source"):
        _check_words(v, source, at, r)
        _check_conversation(v, source, at, r)
    if v.get("chars_per_token") is not None:
        if v["chars_per_token"] == 0:
            r.wrong(
                (*at, "chars_per_token"), "is zero", "write it like 4.2, or leave it out to have it measured"
            )
        if v.get("tokenizer") is not None:
            what = "is what text is cut by, and so is tokenizer"
            r.wrong((*at, "chars_per_token"), what, "leave one of them")
    if v.get("tokenizer") is not None:
        r.check_file(v["tokenizer"], (*at, "tokenizer"))
    names = [tool.name for tool in v.get("tools", ())]
    for i, name in enumerate(names):
        if name in names[:i]:
            what = f"is the name of tools[{names.index(name)}] too"
            r.wrong_value((*at, "tools", i, "name"), name, what, "give each tool a name of its own")


def check_prefix(v: dict[str, Any], at: Key, r: Reading) -> None:
    """See that the shared texts fit in memory: they are made before the run."""
    tokens = v.get("prefixes", 0) * v.get("tokens", 0)
    if tokens > _MOST_SHARED_TOKENS:
        remedy = f"write fewer or shorter ones, of at most {_MOST_SHARED_TOKENS:,} in all"
        r.wrong(at, f"has {tokens:,} tokens, which are held in memory", remedy)


def check_images(v: dict[str, Any], at: Key, r: Reading) -> None:
    """See that images can be made, or are there."""
    if v.get("count", 0) > _MOST_IMAGES:
        what = "images are more than any request has"
        r.wrong_value((*at, "count"), int(v["count"]), what, f"write at most {_MOST_IMAGES:,}")
    try:
        size_of(v.get("size", "1x1"))
    except ValueError as error:
        what, _, remedy = str(error).partition("; ")
        r.wrong_value((*at, "size"), v["size"], what, remedy)
    _check_media("image", "a PNG, JPEG, WebP or GIF file", v, at, r)


def check_audio(v: dict[str, Any], at: Key, r: Reading) -> None:
    """See that sounds can be made, or are there."""
    if not 0 < v.get("seconds", 1.0) <= _LONGEST_SOUND_S:
        remedy = f"write seconds, at most {_LONGEST_SOUND_S:,}"
        r.wrong_value((*at, "seconds"), v["seconds"], "is no length of a sound", remedy)
    _check_media("sound", "a WAV or MP3 file", v, at, r)


def _check_media(
    kind: Literal["image", "sound"], remedy: str, v: dict[str, Any], at: Key, r: Reading
) -> None:
    for i, path in enumerate(v.get("files", ())):
        place = (*at, "files", i)
        if not r.check_file(path, place):
            continue
        try:
            with Path(path).open("rb") as file:
                found = format_of(file.read(HEAD_BYTES))
        except OSError as error:
            r.wrong_value(place, path, f"can't be read: {error.strerror}", "name a file that can")
            continue
        if found not in FORMATS[kind]:
            r.wrong_value(place, path, f"is no {kind} that endpoints take", f"name {remedy}")


def _check_words(v: dict[str, Any], source: Source, at: Key, r: Reading) -> None:
    facts = _SOURCES[source]
    if "file" in v:
        if facts.file and v["file"] is None:
            r.wrong((*at, "file"), f'is missing for source = "{source}"', f'write file = "{facts.file}"')
        elif not facts.file and v["file"] is not None:
            remedy = 'leave it out, or write source = "jsonl"'
            r.wrong((*at, "file"), f'is not read by source = "{source}"', remedy)
        elif v["file"] is not None:
            r.check_file(v["file"], (*at, "file"))
    if source == "prompts" and v.get("prompts") == ():
        r.wrong((*at, "prompts"), 'is missing for source = "prompts"', 'write prompts = ["..."]')
    elif source != "prompts" and v.get("prompts"):
        r.wrong((*at, "prompts"), f'is not read by source = "{source}"', 'write source = "prompts"')
    if not facts.made and v.get("prompt_tokens") is not None:
        what = f'can\'t be had from source = "{source}": its prompts are as long as they are'
        r.wrong((*at, "prompt_tokens"), what, f"leave it out, or use one of {_names('made')}")
    if v.get("ignore_eos") and not facts.caps and v.get("output_tokens", True) is None:
        r.wrong((*at, "ignore_eos"), "needs the number of tokens to write", "write output_tokens = 64")


def _check_conversation(v: dict[str, Any], source: Source, at: Key, r: Reading) -> None:
    facts = _SOURCES[source]
    if v.get("turns") is not None and not (facts.made or source == "prompts"):
        what = f'can\'t be had from source = "{source}": its conversations are as long as they are'
        r.wrong((*at, "turns"), what, f"leave it out, or use one of {_names('made')}, prompts")
    elif (lengths := v.get("turns")) is not None:
        named = [getattr(lengths, key, None) or 0 for key in ("value", "max", "mean", "p95")]
        if max(*named, *getattr(lengths, "values", ())) > _MOST_TURNS:
            r.wrong((*at, "turns"), "are more than any conversation has", f"write at most {_MOST_TURNS:,}")
    if v.get("history") == "recorded" and not facts.recorded:
        what = f'needs recorded answers, and source = "{source}" has none'
        r.wrong((*at, "history"), what, f"leave it out, or use one of {_names('recorded')}")


def check_thinking(w: Workload, load: Load, at: Key, r: Reading) -> None:
    """See that there is something to think about: a next turn, or a user's next conversation."""
    if w.think_time is not None and w.turns is None and not _SOURCES[w.source].turns and load.users is None:
        what = "is between turns, or between the conversations of users, and there are neither"
        r.wrong((*at, "think_time"), what, "write turns = 4, or load.users = 10 as the load")
