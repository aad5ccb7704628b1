"""One prompt, ready to be put into a request of any endpoint kind."""

from typing import Any, Protocol

import msgspec


class Prompt(msgspec.Struct, frozen=True):
    """What a request says and asks for.

    messages: OpenAI chat messages. asked_*_tokens: what the scenario's distributions drew
    (None where it asks for nothing); asked_output_tokens goes out as the cap of the answer.
    """

    messages: list[dict[str, Any]]
    task: str
    asked_prompt_tokens: int | None = None
    asked_output_tokens: int | None = None


class Prompts(Protocol):
    """A source of prompts. The same session number gives the same prompt, in any order of asking.

    count: how many different prompts there are; None when the source never ends.
    contents_digest: hex SHA-256 of everything the prompts are made of, for the plan's digest.
    """

    count: int | None
    contents_digest: str

    def prompt(self, session: int, target: int) -> Prompt:
        """Return the prompt of a session (0-based). `target` (0-based) only changes the salt."""
        ...
