"""What a workload says to each kind of endpoint: messages, bare texts, batches, pictures."""

import json
from pathlib import Path
from typing import Any

import pytest

from loadgen.scenario.lengths import Constant, Count, FilePath, Tokens, Uniform
from loadgen.scenario.words import ImageOutput, SharedPrefix, Workload
from loadgen.workload.calibrate import calibrated, calibration_prompts
from loadgen.workload.code import INSTRUCTION
from loadgen.workload.prompt import Prompt, Prompts, Turn, joined
from loadgen.workload.source import open_prompts

MARK = "[a1b2c3d4-00000003-00] "
BARE = ["completions", "embeddings", "images"]


def opened(endpoint: str, **keys: Any) -> Prompts:
    return open_prompts([Workload(**{"salt": "a1b2c3d4", **keys})], 7, endpoints=(endpoint,))


def turn_of(endpoint: str, session: int = 3, **keys: Any) -> Turn:
    (turn,) = opened(endpoint, **keys).conversation(session, 0).turns
    return turn


def sent(prompt: Turn | Prompt, endpoint: str) -> list[str]:
    """The texts that an endpoint is sent."""
    if endpoint == "completions":
        assert prompt.fill is not None
        return ["".join(prompt.fill)]
    if endpoint == "embeddings":
        return list(prompt.inputs)
    return [joined(prompt.messages)]


def tokens(prompt: Turn | Prompt, endpoint: str) -> int:
    """Count as a server would: 4 characters a token, and 7 tokens around each text."""
    return sum(7 + len(text) // 4 for text in sent(prompt, endpoint))


def test_code_is_filled_in_by_a_completions_endpoint() -> None:
    turn = turn_of("completions", source="code")
    assert turn.fill is not None
    prefix, suffix = turn.fill
    said = turn_of("chat", source="code", salt=False).messages[-1]["content"]
    assert prefix.startswith(MARK)
    # no instruction around it means more text, of the same place
    before, after = said.removeprefix("<prefix>").removesuffix("</suffix>").split("</prefix><suffix>")
    assert prefix.endswith(before)
    assert suffix.startswith(after)
    assert INSTRUCTION not in prefix + suffix
    assert turn_of("chat", source="code").fill is None


@pytest.mark.parametrize("endpoint", BARE)
@pytest.mark.parametrize("source", ["code", "prose", "synthetic", "humaneval", "jsonl", "prompts"])
def test_other_endpoints_get_bare_text_behind_the_mark(endpoint: str, source: Any, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"prompt": "def f():"}) + "\n")
    keys: dict[str, Any] = {"source": source}
    if source in ("jsonl", "humaneval"):
        keys["file"] = FilePath(path)
    if source == "prompts":
        keys["prompts"] = ("def f():",)
    turn = turn_of(endpoint, output_tokens=Constant(Tokens(9)), **keys)
    (text,) = sent(turn, endpoint)
    assert text.startswith(MARK)
    assert source not in ("jsonl", "humaneval", "prompts") or text == f"{MARK}def f():"
    assert "Explain this" not in text
    assert (turn.fill is not None) == (endpoint == "completions")
    assert bool(turn.inputs) == (endpoint == "embeddings")
    assert (turn.image is not None) == (endpoint == "images")
    assert turn.asked_output_tokens == (9 if endpoint == "completions" else None)


@pytest.mark.parametrize("endpoint", BARE)
def test_a_shared_text_and_the_system_stand_before_it(endpoint: str) -> None:
    pool = SharedPrefix(prefixes=Count(1), tokens=Tokens(50))
    text = sent(turn_of(endpoint, source="prose", system="Be brief.", shared_prefix=pool), endpoint)[0]
    shared, system, _ = text.split("\n\n", 2)
    assert shared.startswith("[a1b2c3d4-")
    assert len(shared) > 200
    assert system == "Be brief."


def test_a_batch_is_so_many_texts_each_of_its_length() -> None:
    lengths = Uniform(Tokens(50), Tokens(400))
    keys = {"source": "synthetic", "prompt_tokens": lengths, "chars_per_token": 4.0, "overhead_tokens": 6.0}
    batch = turn_of("embeddings", 1, batch=Count(5), **keys)
    alone = [turn_of("embeddings", n, **keys) for n in range(5, 10)]
    assert len(batch.inputs) == 5
    assert [t[23:] for t in batch.inputs] == [one.inputs[0][23:] for one in alone]
    assert {t[:23] for t in batch.inputs} == {"[a1b2c3d4-00000001-00] "}
    assert batch.asked_prompt_tokens == sum(one.asked_prompt_tokens or 0 for one in alone)
    assert len(set(batch.inputs)) == 5


def test_the_last_batch_of_a_file_may_be_fewer() -> None:
    keys: dict[str, Any] = {"source": "prompts", "prompts": tuple("abcde"), "salt": False}
    prompts = opened("embeddings", batch=Count(2), on_end="stop", **keys)
    assert prompts.count == 3
    said = [prompts.conversation(n, 0).turns[0].inputs for n in range(3)]
    assert said == [("a", "b"), ("c", "d"), ("e",)]
    cycled = opened("embeddings", batch=Count(2), **keys)
    assert cycled.conversation(2, 0).turns[0].inputs == ("e", "a")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (ImageOutput(), {"size": "1024x1024", "n": 1}),
        (ImageOutput(size="auto", quality="low", n=Count(3)), {"size": "auto", "quality": "low", "n": 3}),
    ],
    ids=["defaults", "all"],
)
def test_pictures_to_make(asked: ImageOutput, said: dict[str, Any]) -> None:
    turn = turn_of("images", source="prompts", prompts=("a boat",), image_output=asked)
    assert turn.image == said
    assert joined(turn.messages) == f"{MARK}a boat"
    assert type((turn.image or {})["n"]) is int


def test_conversations_need_messages() -> None:
    prompts = opened("completions", source="code", turns=Constant(Tokens(3)))
    turns = prompts.conversation(0, 0).turns
    assert len(turns) == 3
    assert all(turn.fill is None for turn in turns)
    assert len(opened("images", source="prose", turns=Constant(Tokens(3))).conversation(0, 0).turns) == 1


def test_each_target_gets_what_its_endpoint_takes() -> None:
    workload = Workload(source="code", salt=False)
    prompts = open_prompts([workload], 7, endpoints=("chat", "completions", "embeddings"))
    chat, completions, embeddings, other = (prompts.conversation(3, n).turns[0] for n in range(4))
    assert completions.fill is not None
    assert embeddings.inputs == ("".join(completions.fill),)
    before, after = completions.fill
    assert chat.messages[-1]["content"] == f"<prefix>{before}</prefix><suffix>{after}</suffix>"
    assert other == chat  # a routed mix: as the first


def test_the_workloads_risk_is_on_every_session() -> None:
    assert opened("chat", risk="high").conversation(0, 0).risk == "high"
    assert opened("embeddings", risk="high").conversation(0, 0).risk == "high"
    assert opened("chat").conversation(0, 0).risk is None


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("source", ["code", "prose", "synthetic"])
@pytest.mark.parametrize("endpoint", ["completions", "embeddings"])
def test_lengths_are_calibrated_to_what_is_sent(endpoint: str, source: Any, batch: int) -> None:
    if batch > 1 and endpoint == "completions":
        return
    asked = Workload(
        source=source,
        salt="a1b2c3d4",
        system="Be brief. " * 8,
        prompt_tokens=Constant(Tokens(300)),
        batch=Count(batch),
    )
    asks = calibration_prompts([asked], 7, endpoint=endpoint)
    assert all(ask.prompt.asked_output_tokens == (1 if endpoint == "completions" else None) for ask in asks)
    fitted = calibrated([asked], [(ask, tokens(ask.prompt, endpoint)) for ask in asks])
    assert fitted[0].chars_per_token == pytest.approx(4, rel=0.01)
    prompts = open_prompts(fitted, 7, endpoints=(endpoint,))
    for session in range(20):
        (turn,) = prompts.conversation(session, 0).turns
        assert turn.asked_prompt_tokens == 300 * batch
        assert tokens(turn, endpoint) == pytest.approx(300 * batch, rel=0.01)


def test_calibration_asks_for_no_images_and_for_no_fewer_tokens_than_allowed() -> None:
    asked = Workload(source="prose", salt=False)
    assert calibration_prompts([asked], 7, endpoint="images") == []
    assert {
        ask.prompt.asked_output_tokens for ask in calibration_prompts([asked], 7, endpoint="responses")
    } == {16}
