"""The scenario as typed values: what the TOML keys mean, their defaults and bounds.

Field names carry a unit; the key in the file is the name without it (`name=`).
Durations are `int` nanoseconds. Files are absolute paths after loading.
"""

from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from loadgen.catalog.model import find
from loadgen.catalog.price import Price
from loadgen.scenario.lengths import Count, Duration, FilePath, NonEmpty, Tokens
from loadgen.scenario.slo import Slo
from loadgen.scenario.traffic import Load, seconds
from loadgen.scenario.words import Workload

ScenarioName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="letters, digits, dots, dashes and underscores, first a letter or digit, at most 100",
    ),
]

ROUTED: Final = "routed"
"""What reports call the sessions that `[[routes]]` send, beside those of each target alone."""


class FromEnv(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`{ env = "NAME" }`: a value read from the environment when the run starts, never written down."""

    env: NonEmpty


class SessionKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a request says which conversation it belongs to: a header, or a field of the body."""

    header: NonEmpty | None = None
    field: NonEmpty | None = None


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a request may take, by part; all count from the instant that part began.

    connect: DNS, TCP and TLS. first_token: from sent to the first output.
    between_tokens: from one output-bearing event to the next. total: from sent to done.
    """

    connect_ns: Duration = msgspec.field(name="connect", default_factory=seconds(10))
    first_token_ns: Duration = msgspec.field(name="first_token", default_factory=seconds(60))
    between_tokens_ns: Duration = msgspec.field(name="between_tokens", default_factory=seconds(30))
    total_ns: Duration = msgspec.field(name="total", default_factory=seconds(300))


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One endpoint and model under test. Without `base_url` it runs on the built-in simulator.

    name: what reports call it, one of a kind. endpoint: the kind of API. stream: whether answers come as
    events (images and embeddings never do). price: instead of the catalogue's.
    base_url: without a final slash; "env" in a file means OPENAI_BASE_URL (and OPENAI_API_KEY, where set, is
    the key). api_key_env: the variable whose value
    goes out as a Bearer token. headers, query: sent with every request; a secret is a `FromEnv`.
    extra_body: laid over the request's JSON body. ca_file: PEM file of the authorities to trust.
    insecure: do not check the certificate. max_connections: open at once (None: no limit).
    context: tokens that prompt and answer may have together. session: how a server is told which requests
    are of one conversation (for routers that keep a conversation on one replica).
    """

    name: NonEmpty
    model: NonEmpty
    base_url: str | None = None
    endpoint: Literal["chat", "completions", "responses", "images", "embeddings"] = "chat"
    stream: bool = True
    api_key_env: NonEmpty | None = None
    headers: dict[str, str | FromEnv] = {}
    query: dict[str, str | FromEnv] = {}
    extra_body: dict[str, Any] = {}
    ca_file: FilePath | None = None
    insecure: bool = False
    timeouts: Timeouts = msgspec.field(default_factory=Timeouts)
    max_connections: Count | None = None
    context_tokens: Count | None = msgspec.field(name="context", default=None)
    session: SessionKey | None = None
    price: Price | None = None
    alone: bool = True

    @property
    def without_path(self) -> bool:
        """Whether base_url ends with its host: most servers answer below /v1, some do not."""
        return self.base_url is not None and not urlsplit(self.base_url).path

    @property
    def window_tokens(self) -> int | None:
        """The tokens that prompt and answer may have together: `context`, else what the catalogue says.

        Raises:
            DataError: the user's own catalogue is missing or wrong.
        """
        if self.context_tokens is not None:
            return int(self.context_tokens)
        model = find(self.model)
        return None if model is None else model.context_tokens


class Route(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where requests go that meet all of its conditions, and none of an earlier route's; no condition: all.

    to: the name of a target. task, risk: labels of the workload, one of them. over, up_to: the request's
    prompt tokens, as asked for, else estimated from its text.
    """

    to: NonEmpty
    task: Annotated[tuple[NonEmpty, ...], msgspec.Meta(min_length=1)] = ()
    risk: Annotated[tuple[NonEmpty, ...], msgspec.Meta(min_length=1)] = ()
    over: Tokens | None = msgspec.field(name="prompt_tokens_over", default=None)
    up_to: Tokens | None = msgspec.field(name="prompt_tokens_up_to", default=None)


class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run may cost in all, USD; None: no bound."""

    max_usd: Annotated[float, msgspec.Meta(ge=0)] | None = None


class ReportOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which files are written beside report.json, and labels copied into it."""

    formats: tuple[Literal["html", "markdown", "csv"], ...] = ("html", "markdown", "csv")
    labels: dict[str, str] = {}


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole scenario, checked.

    name: also the name of its folder of reports. seed: the same seed gives the same prompts and lengths.
    workloads: one, or a mixture by weight; `[workload]` or `[[workload]]` in the file. routes: with any there
    is, beside each target alone, a routed mix: the same sessions, each request sent by its route.
    """

    name: ScenarioName
    description: str = ""
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    targets: Annotated[tuple[Target, ...], msgspec.Meta(min_length=1)]
    workloads: Annotated[tuple[Workload, ...], msgspec.Meta(min_length=1)] = msgspec.field(
        name="workload", default_factory=lambda: (Workload(),)
    )
    load: Load = msgspec.field(default_factory=Load)
    slo: Slo = msgspec.field(default_factory=Slo)
    budget: Budget = msgspec.field(default_factory=Budget)
    report: ReportOptions = msgspec.field(default_factory=ReportOptions)
    routes: tuple[Route, ...] = ()

    @property
    def alone(self) -> tuple[Target, ...]:
        """The targets that have the whole load to themselves."""
        return tuple(t for t in self.targets if t.alone)

    @property
    def routed(self) -> tuple[Target, ...]:
        """The targets that a route leads to."""
        led_to = {route.to for route in self.routes}
        return tuple(t for t in self.targets if t.name in led_to)

    @property
    def series(self) -> tuple[str, ...]:
        """Names of those that have the whole load once: targets alone, then the routed mix."""
        return (*(t.name for t in self.alone), *((ROUTED,) if self.routes else ()))

    @property
    def context_tokens(self) -> int | None:
        """The tokens that prompt and answer may have together at every target alone; None: none is known."""
        return min((n for t in self.alone if (n := t.window_tokens) is not None), default=None)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The kind of endpoint of each of `series`; of routes that of their first target."""
        return tuple(t.endpoint for t in (*self.alone, *self.routed[:1]))
