"""The routed mix: what stands in the place of a client where each request has a target of its own."""

from collections.abc import Container, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import msgspec

from loadgen.plan.routes import choose, prompt_tokens
from loadgen.scenario.model import ROUTED, Route, Target
from loadgen.wire.client import Client
from loadgen.wire.decode import Decoding
from loadgen.wire.stopwatch import Exchange
from loadgen.workload.prompt import Conversation, Prompt


class Taken(NamedTuple):
    """The route that a request takes, by its number, and the label of what it says."""

    rule: int
    risk: str | None


Way = tuple[Client, Taken | None]
"""Whose client sends a request, and the route it takes; None: the target is the session's own."""


class Routed:
    """The clients of the routed mix, by whose connections no target's own requests go.

    target: stands for them all by its name, and says whether one of them wants to be told the session.
    """

    def __init__(self, routes: Sequence[Route], clients: Sequence[Client]) -> None:
        by_name = {client.target.name: client for client in clients}
        self.target = stand_in([client.target for client in clients])
        self.clients = clients
        self._routes = routes
        self._to = [by_name[route.to] for route in routes]

    def choose(self, prompt: Prompt, said: Conversation) -> Way:
        """Return the client that a request goes to, and what says so."""
        number = choose(self._routes, said, prompt_tokens(prompt, said.chars_per_token))
        return self._to[number], Taken(number, said.risk)

    @property
    def unreachable(self) -> bool:
        """Whether the latest request to end found no connection, of one of its targets."""
        return any(client.unreachable for client in self.clients)

    @property
    def live(self) -> list[tuple[Exchange, Decoding]]:
        """The requests in flight."""
        return list(chain.from_iterable(client.live.items() for client in self.clients))

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return sum(client.connections for client in self.clients)

    def sweep(self) -> Iterator[None]:
        """Do as `Client.sweep`."""
        for client in self.clients:
            yield from client.sweep()

    def cut(self, why: str) -> None:
        """End every live request as cancelled."""
        for client in self.clients:
            client.cut(why)

    def close(self) -> None:
        """Close every idle connection."""
        for client in self.clients:
            client.close()


def with_own_engines(targets: Sequence[Target], simulated: Container[str]) -> list[Target]:
    """Return the mix's targets; of the simulated ones each has another engine than the target alone."""
    own = {"engine": ROUTED}
    return [msgspec.structs.replace(t, query=t.query | own) if t.name in simulated else t for t in targets]


def stand_in(targets: Sequence[Target]) -> Target:
    """Return what reports say of the mix in the place of a target."""

    def all_of(names: list[str]) -> str:
        return ", ".join(dict.fromkeys(names))

    return Target(
        name=ROUTED,
        model=all_of([target.model for target in targets]),
        base_url=all_of([target.base_url or "" for target in targets]),
        endpoint=targets[0].endpoint,
        insecure=any(target.insecure for target in targets),
        session=next((target.session for target in targets if target.session), None),
    )
