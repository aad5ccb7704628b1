"""The scenario as typed values: what the TOML keys mean, their defaults and bounds.

Field names carry a unit; the key in the file is the name without it (`name=`).
Durations are `int` nanoseconds. Files are absolute paths after loading.
"""

from typing import Annotated, Any, Literal

import msgspec

from loadgen.scenario.lengths import Lengths
from loadgen.units import NS_PER_S

NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]
ScenarioName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="letters, digits, dots, dashes and underscores, first a letter or digit, at most 100",
    ),
]


class Duration(int):
    """Nanoseconds, written in a scenario as `"250ms"`, `"30s"`, `"5m"`."""


class Count(int):
    """A whole number, written in a scenario as `1500` or `"1.5k"`; at least 1."""


class FilePath(str):
    """A path, relative to the scenario file in the file, absolute once loaded."""

    __slots__ = ()


def _seconds(n: float) -> Any:
    """Return a field default of n seconds (a factory, so that the JSON Schema can be made)."""
    return lambda: Duration(round(n * NS_PER_S))


class FromEnv(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`{ env = "NAME" }`: a value read from the environment when the run starts, never written down."""

    env: NonEmpty


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a request may take, by part; all count from the instant that part began.

    connect: DNS, TCP and TLS. first_token: from sent to the first output.
    between_tokens: from one output-bearing event to the next. total: from sent to done.
    """

    connect_ns: Duration = msgspec.field(name="connect", default_factory=_seconds(10))
    first_token_ns: Duration = msgspec.field(name="first_token", default_factory=_seconds(60))
    between_tokens_ns: Duration = msgspec.field(name="between_tokens", default_factory=_seconds(30))
    total_ns: Duration = msgspec.field(name="total", default_factory=_seconds(300))


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One endpoint and model under test. Without `base_url` it runs on the built-in simulator.

    name: what reports call it, one of a kind. base_url: without a final slash; "env" in a file means
    OPENAI_BASE_URL (and OPENAI_API_KEY, where set, is the key). api_key_env: the variable whose value
    goes out as a Bearer token. headers, query: sent with every request; a secret is a `FromEnv`.
    extra_body: laid over the request's JSON body. ca_file: PEM file of the authorities to trust.
    insecure: do not check the certificate. max_connections: open at once (None: no limit).
    """

    name: NonEmpty
    model: NonEmpty
    base_url: str | None = None
    endpoint: Literal["chat"] = "chat"
    api_key_env: NonEmpty | None = None
    headers: dict[str, str | FromEnv] = {}
    query: dict[str, str | FromEnv] = {}
    extra_body: dict[str, Any] = {}
    ca_file: FilePath | None = None
    insecure: bool = False
    timeouts: Timeouts = msgspec.field(default_factory=Timeouts)
    max_connections: Count | None = None


class Workload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said: where prompts come from, how long they and the answers are.

    source: "code" cuts completion prompts from the interpreter's own standard library;
    "jsonl" reads `file`, one `prompt` or `messages` a line.
    prompt_tokens: only for sources that can cut to a length. output_tokens: sent as the answer's cap.
    salt: true starts every prompt with a mark of its own, so that no prefix cache serves it;
    a string is the mark of an earlier run (as in a run folder's scenario.toml), to send the same bytes.
    on_end: what to do when a file has fewer prompts than the run needs.
    """

    source: Literal["code", "jsonl"] = "code"
    task: NonEmpty = "completion"
    file: FilePath | None = None
    prompt_tokens: Lengths | None = None
    output_tokens: Lengths | None = None
    salt: bool | NonEmpty = True
    on_end: Literal["cycle", "stop"] = "cycle"


class Load(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How hard: every count is for each target. Closed loop: `concurrency` sessions at any time.

    ramp: the starts of the places are spread over this time. warmup: how long after the start the
    measurement window opens. duration: how long the window is; requests: how many sessions it holds;
    whichever comes first. grace: how long requests begun in the window may take to end after it.
    """

    concurrency: Count = msgspec.field(default_factory=lambda: Count(1))
    ramp_ns: Duration = msgspec.field(name="ramp", default_factory=_seconds(0))
    warmup_ns: Duration = msgspec.field(name="warmup", default_factory=_seconds(0))
    duration_ns: Duration | None = msgspec.field(name="duration", default=None)
    requests: Count | None = None
    grace_ns: Duration = msgspec.field(name="grace", default_factory=_seconds(30))


class ReportOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which files are written beside report.json, and labels copied into it."""

    formats: tuple[Literal["markdown", "csv"], ...] = ("markdown", "csv")
    labels: dict[str, str] = {}


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole scenario, checked.

    name: also the name of its folder of reports. seed: the same seed gives the same prompts and lengths.
    """

    name: ScenarioName
    description: str = ""
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    targets: Annotated[tuple[Target, ...], msgspec.Meta(min_length=1)]
    workload: Workload = msgspec.field(default_factory=Workload)
    load: Load = msgspec.field(default_factory=Load)
    report: ReportOptions = msgspec.field(default_factory=ReportOptions)
