"""`[workload]`: what is said, in which lengths, by whom."""

from typing import Annotated, Any, Literal

import msgspec

from loadgen.scenario.lengths import Count, FilePath, Lengths, NonEmpty, Times, Tokens

Source = Literal[
    "code",
    "prose",
    "synthetic",
    "prompts",
    "jsonl",
    "sharegpt",
    "humaneval",
    "mooncake",
    "azure",
    "burstgpt",
]


class SharedPrefix(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pool of `prefixes` beginnings of `tokens` tokens each; every session begins with one of them."""

    prefixes: Count
    tokens: Tokens


class Tool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A function the model may call. result: what it is told when it does. parameters: JSON Schema."""

    name: NonEmpty
    description: str = ""
    parameters: dict[str, Any] = {}
    result: str


class ImageParts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Images that go with a session's first message: `count` of them, made at `size`, or out of `files`."""

    count: Count = msgspec.field(default_factory=lambda: Count(1))
    size: NonEmpty = "1024x768"
    files: tuple[FilePath, ...] = ()


class AudioParts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sound that goes with each session's first message: made at a length, or one of `files` (WAV, MP3)."""

    seconds: Annotated[float, msgspec.Meta(ge=0)] = 5.0
    files: tuple[FilePath, ...] = ()


class ImageOutput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an images endpoint is asked to make."""

    size: NonEmpty = "1024x1024"
    quality: NonEmpty | None = None
    n: Count = msgspec.field(default_factory=lambda: Count(1))


class Workload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said: where prompts come from, how long they and the answers are.

    source: "code" and "prose" cut prompts from the interpreter's own standard library, "synthetic" makes
    words, "prompts" takes `prompts` in turn, all others read `file`. weight: its share in a mixture.
    task: what the report groups by. system: a system message before every conversation.
    prompt_tokens: only for sources that can cut to a length. output_tokens: sent as the answer's cap;
    ignore_eos: engines that know it (vLLM, SGLang) are told to write exactly that many.
    shared_prefix: sessions begin with one of a few long texts. salt: true starts every prompt with a mark of
    its own, so that no prefix cache serves it (before the shared prefix: one mark for each of its texts); a
    string is the mark of an earlier run (as in a run folder's scenario.toml), to send the same bytes.
    on_end: what to do when a file has fewer prompts than the run needs. too_long: what to do with a prompt
    that, with its answer, is beyond the targets' `context`.
    turns: how many a conversation has; think_time: between an answer and the next turn; history: what the
    next turn quotes, the model's own answers or those of the file. tools: functions offered to the model.
    chars_per_token: how text is cut to a length; left out, it is measured against the first target.
    overhead_tokens: what a prompt holds beyond its text (chat template, system message, mark; with a
    tokenizer only the template); left out, it is measured too.
    tokenizer: a tokenizer.json; then lengths are exact.
    images, audio: parts that go with the text. image_output: for images endpoints. batch: texts in one
    request of an embeddings endpoint. risk: a label that routes may ask for, such as "high".
    """

    source: Source = "code"
    weight: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    task: NonEmpty = "completion"
    file: FilePath | None = None
    prompts: Annotated[tuple[NonEmpty, ...], msgspec.Meta(min_length=1)] = ()
    system: NonEmpty | None = None
    prompt_tokens: Lengths | None = None
    output_tokens: Lengths | None = None
    ignore_eos: bool = False
    shared_prefix: SharedPrefix | None = None
    salt: bool | NonEmpty = True
    on_end: Literal["cycle", "stop"] = "cycle"
    too_long: Literal["skip", "clip", "fail"] = "fail"
    turns: Lengths | None = None
    think_time: Times | None = None
    history: Literal["answers", "recorded"] = "answers"
    tools: tuple[Tool, ...] = ()
    chars_per_token: Annotated[float, msgspec.Meta(ge=0)] | None = None
    overhead_tokens: Annotated[float, msgspec.Meta(ge=0)] | None = None
    tokenizer: FilePath | None = None
    images: ImageParts | None = None
    audio: AudioParts | None = None
    image_output: ImageOutput = msgspec.field(default_factory=ImageOutput)
    batch: Count = msgspec.field(default_factory=lambda: Count(1))
    risk: NonEmpty | None = None

    @property
    def repeats(self) -> bool:
        """Whether its prompts are those of an earlier run, and share no beginning within one.

        What a cache knows of such a prompt it knew before the run.
        """
        shares = self.shared_prefix is not None or self.tools or self.source == "mooncake"
        return isinstance(self.salt, str) and not shares
