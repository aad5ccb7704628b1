"""What is said: conversations as a workload gives them, and prompts as requests carry them."""

from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Message = dict[str, Any]


class Turn(msgspec.Struct, frozen=True):
    """What one turn adds to its conversation, and what it asks for.

    messages: OpenAI chat messages put after the history: system and user in the first turn, the user's in
    later ones. think_ns: how long after the answer before it is sent (0 in the first turn).
    asked_prompt_tokens: what the scenario asked for, of the whole prompt; None where it asks for nothing or
    the history is the model's own. asked_output_tokens: the cap of the answer.
    answer: the recorded answer that later turns quote; None: the model's own.
    body: the whole request body, sent as it is (then messages is empty).
    fill: the text before and after the place to go on, without instructions around it: a completions endpoint
    sends them as `prompt` and `suffix` (none where it is ""). A source gives it bare, `Prompts` with all that
    `messages` begins with, for such an endpoint only.
    inputs: the texts of one request to an embeddings endpoint.
    image: `size`, `quality` and `n` for an images endpoint.
    """

    messages: list[Message]
    think_ns: int = 0
    asked_prompt_tokens: int | None = None
    asked_output_tokens: int | None = None
    answer: list[Message] | None = None
    body: dict[str, Any] | None = None
    fill: tuple[str, str] | None = None
    inputs: tuple[str, ...] = ()
    image: dict[str, Any] | None = None


class Conversation(msgspec.Struct, frozen=True):
    """One session: what a user says, turn by turn.

    exact_output: engines that know `ignore_eos` are told to write exactly the asked number of tokens.
    tools: definitions as OpenAI's `tools` has them; results: what a function returns, by its name.
    pause_ns: how long a user (`load.users`) thinks after it before the next conversation.
    risk: the workload's label, chars_per_token: its estimate, for routes.
    """

    task: str
    turns: tuple[Turn, ...]
    exact_output: bool = False
    tools: list[dict[str, Any]] = []
    results: dict[str, str] = {}
    pause_ns: int = 0
    risk: str | None = None
    chars_per_token: float = 1.0


class Prompt(msgspec.Struct, frozen=True):
    """What one request says and asks for.

    messages: the whole history, this turn last. session_id: for targets that want to be told.
    keep_answer: whether the answer's text is needed (the next turn quotes it). Else as in `Turn`.
    """

    messages: list[Message]
    task: str
    asked_prompt_tokens: int | None = None
    asked_output_tokens: int | None = None
    exact_output: bool = False
    tools: list[dict[str, Any]] = []
    body: dict[str, Any] | None = None
    session_id: str | None = None
    keep_answer: bool = False
    fill: tuple[str, str] | None = None
    inputs: tuple[str, ...] = ()
    image: dict[str, Any] | None = None


def user(text: str) -> Message:
    """Return a user's message."""
    return {"role": "user", "content": text}


def joined(messages: list[Message]) -> str:
    """Return the text of messages for an endpoint that knows none."""
    said = (m.get("content") or "" for m in messages)
    texts = [t if isinstance(t, str) else "".join(str(p.get("text") or "") for p in t) for t in said]
    return "\n\n".join(text for text in texts if text)


class Prompts(Protocol):
    """A workload. The same session number gives the same conversation, in any order of asking.

    count: how many different sessions there are; None when the source never ends.
    contents_digest: hex SHA-256 of everything they are made of, for the plan's digest.
    arrivals_ns: of a trace, when each session arrived, from the file's first; shape (count,); else None.
    set_aside: what of a file is not said as it is there: "skipped" and "clipped" by `too_long`, "failed" when
    it was recorded, "unusable" as a conversation; only what is not 0.
    """

    count: int | None
    contents_digest: str
    set_aside: dict[str, int]

    @property
    def arrivals_ns(self) -> Int64s | None:
        """Raises DataError where a file's timestamps are out of order: they matter to a trace alone."""
        ...

    def conversation(self, session: int, target: int) -> Conversation:
        """Return a session (0-based), as the kind of endpoint of `target` (0-based) takes it.

        Else a target only changes the salt.
        """
        ...
