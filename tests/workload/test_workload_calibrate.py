"""Calibration: against a server that counts in its own way, lengths come within 2 % at the median."""

import math
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from loadgen.scenario.lengths import Constant, Count, FilePath, Tokens, Uniform
from loadgen.scenario.words import SharedPrefix, Tool, Workload
from loadgen.workload.calibrate import CalibrationPrompt, calibrated, calibration_prompts
from loadgen.workload.prompt import Message
from loadgen.workload.source import open_prompts
from loadgen.workload.vocabulary import WORDS

Made = Literal["code", "prose", "synthetic"]
SUBWORD = re.compile(r" ?[A-Z]?[a-z]{1,6}|[A-Z]{1,3}|\d|\s+|[^\w\s]{1,2}|\S")


def subwords(text: str) -> int:
    """Count as a tokenizer of a small vocabulary would."""
    return len(SUBWORD.findall(text))


def characters(text: str) -> int:
    """Count as the simulator does."""
    return math.ceil(len(text) / 4.3)


def usage(count: Callable[[str], int], messages: list[Message], template: int) -> int:
    return template + sum(4 + count(message["content"]) for message in messages)


def fit(workload: Workload, count: Callable[[str], int], template: int = 12) -> Workload:
    sent = calibration_prompts([workload], 7)
    (fitted,) = calibrated([workload], [(p, usage(count, p.prompt.messages, template)) for p in sent])
    return fitted


def workload(source: Made, **keys: Any) -> Workload:
    return Workload(**{"source": source, "salt": "a1b2c3d4", "system": "Be brief. " * 8, **keys})


@pytest.mark.parametrize("count", [subwords, characters])
@pytest.mark.parametrize("tokens", [200, 2000])
@pytest.mark.parametrize("source", ["code", "prose", "synthetic"])
def test_lengths_are_met_at_the_median(source: Made, tokens: int, count: Callable[[str], int]) -> None:
    asked = workload(source, prompt_tokens=Constant(Tokens(tokens)))

    def median_of(one: Workload) -> float:
        prompts = open_prompts([one], 7)
        said = [prompts.conversation(n, 0).turns[0].messages for n in range(150)]
        return statistics.median(usage(count, messages, 12) for messages in said)

    assert abs(median_of(asked) / tokens - 1) > 0.01
    assert median_of(fit(asked, count)) == pytest.approx(tokens, rel=0.02)


def test_the_template_is_overhead() -> None:
    asked = workload("synthetic", prompt_tokens=Constant(Tokens(200)))
    small, large = fit(asked, subwords, 12), fit(asked, subwords, 80)
    assert (large.overhead_tokens or 0) - (small.overhead_tokens or 0) == pytest.approx(68, abs=0.11)
    assert large.chars_per_token == small.chars_per_token


def test_traces_and_shared_prefixes_are_met_too(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00.0000000,3000,1\n"
        "2023-11-16 18:00:01.0000000,400,1\n"
    )
    trace = Workload(source="azure", file=FilePath(file), salt="a1b2c3d4", system="Be brief.")
    pool = SharedPrefix(prefixes=Count(2), tokens=Tokens(1000))
    for asked in (trace, msgspec.structs.replace(trace, shared_prefix=pool)):
        prompts = open_prompts([fit(asked, characters)], 7)
        for n in range(20):
            turn = prompts.conversation(n, 0).turns[0]
            got = usage(characters, turn.messages, 12)
            assert got == pytest.approx(turn.asked_prompt_tokens, rel=0.01)


def test_what_is_sent_to_calibrate() -> None:
    tool = Tool(name="t", result="")
    asked = workload("code", prompt_tokens=Uniform(Tokens(50), Tokens(300)), tools=(tool,))
    sent = calibration_prompts([asked], 7)
    assert 16 <= len(sent) <= 72
    # nothing longer than what the run sends, and not so much that it costs
    assert max(characters(p.prompt.messages[-1]["content"]) for p in sent) <= 300
    assert sum(usage(characters, p.prompt.messages, 12) for p in sent) < 25_000
    assert all(p.prompt.tools and p.prompt.asked_output_tokens == 1 for p in sent)
    starts = [p.prompt.messages[0]["content"][:23] for p in sent]
    assert all(re.fullmatch(r"\[a1b2c3d4-ffff\w{4}-00\] ", start) for start in starts)  # no session's
    assert len(set(starts)) == len(sent)
    assert [p.prompt for p in calibration_prompts([asked], 7)] == [p.prompt for p in sent]


def test_long_prompts_are_patched_together_of_whole_words() -> None:
    sent = calibration_prompts([Workload(source="synthetic", salt=False)], 7)
    said = [p.prompt.messages[0]["content"].split() for p in sent if not p.short]
    assert min(map(len, said)) > 150
    # the last word of the short prompt in front, and the very last, may be half ones
    assert all(len([word for word in words if word not in WORDS]) <= 2 for words in said)
    assert len({tuple(words[10:20]) for words in said}) == len(said)


@pytest.mark.parametrize("context", [256, 1000])
def test_calibration_stays_within_the_context(context: int) -> None:
    sent = calibration_prompts([workload("prose", prompt_tokens=Constant(Tokens(2000)))], 7, context=context)
    assert max(usage(characters, p.prompt.messages, 12) for p in sent) < context


KNOWN: dict[str, tuple[dict[str, Any], bool]] = {
    "nothing": ({}, True),
    "one of two": ({"chars_per_token": 4.0}, True),
    "both": ({"chars_per_token": 4.0, "overhead_tokens": 9.0}, False),
    "not made": ({"source": "prompts", "prompts": ("hi",)}, False),
    "not made, but its prefix": (
        {
            "source": "prompts",
            "prompts": ("hi",),
            "shared_prefix": SharedPrefix(prefixes=Count(1), tokens=Tokens(9)),
        },
        True,
    ),
}


@pytest.mark.parametrize(("keys", "needed"), KNOWN.values(), ids=KNOWN.keys())
def test_only_what_is_not_known_is_measured(keys: dict[str, Any], needed: bool) -> None:
    asked = Workload(**{"source": "prose", "salt": False, **keys})
    sent = calibration_prompts([asked], 7)
    assert bool(sent) is needed
    (fitted,) = calibrated([asked], [(p, usage(subwords, p.prompt.messages, 12)) for p in sent])
    for name, value in keys.items():
        assert getattr(fitted, name) == value
    assert not needed or None not in (fitted.chars_per_token, fitted.overhead_tokens)


def results(asked: Workload, n: Callable[[int, CalibrationPrompt], int | None]) -> Workload:
    sent = calibration_prompts([asked], 7)
    return calibrated([asked], [(p, n(i, p)) for i, p in enumerate(sent)])[0]


def test_a_few_lost_or_odd_answers_do_no_harm() -> None:
    asked = workload("synthetic", prompt_tokens=Constant(Tokens(1000)))
    good = fit(asked, characters)
    lost = results(asked, lambda i, p: None if i % 3 == 0 else usage(characters, p.prompt.messages, 12))
    odd = results(asked, lambda i, p: 1 if i == 2 else usage(characters, p.prompt.messages, 12))
    for other in (lost, odd):
        assert other.chars_per_token == pytest.approx(good.chars_per_token, rel=0.005)
        assert other.overhead_tokens == pytest.approx(good.overhead_tokens, abs=1.1)


@pytest.mark.parametrize("told", [None, 0, 7], ids=["nothing", "zero", "always the same"])
def test_a_server_that_tells_nothing_leaves_the_estimate(told: int | None) -> None:
    asked = workload("code")
    assert results(asked, lambda _i, _p: told) == asked


def test_each_workload_of_a_mixture_has_its_own() -> None:
    parts = [workload("code"), Workload(source="prompts", prompts=("hi",), salt=False), workload("prose")]
    sent = calibration_prompts(parts, 7)
    assert {p.workload for p in sent} == {0, 2}
    code, hi, prose = calibrated(parts, [(p, usage(subwords, p.prompt.messages, 12)) for p in sent])
    assert hi == parts[1]
    assert code.chars_per_token != prose.chars_per_token
    assert None not in (code.chars_per_token, prose.chars_per_token)
