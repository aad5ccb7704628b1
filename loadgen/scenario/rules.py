"""What a scenario's values must be beyond their type: one function a struct, in the table `RULES`.

Each gets the fields that could be read (a mistaken one is not among them), so that all mistakes come at once.
"""

import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from loadgen.scenario.keys import Key
from loadgen.scenario.model import FromEnv, Load, Target, Timeouts, Workload
from loadgen.scenario.reading import Reading, Rule, show

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2: token
_FRAMING_HEADERS: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect"}
)
_SECRET_HEADERS: Final = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "api-key",
        "x-api-key",
        "x-goog-api-key",
        "x-auth-token",
        "ocp-apim-subscription-key",
    }
)
_SECRET_QUERY: Final = frozenset(
    {
        "key",
        "api-key",
        "api_key",
        "apikey",
        "token",
        "access_token",
        "sig",
        "signature",
        "code",
        "subscription-key",
    }
)
_MOST_AT_ONCE: Final = 1_000_000


def _check_target(v: dict[str, Any], at: Key, r: Reading) -> None:
    if (name := v.get("name")) and (not name.isprintable() or name != name.strip() or len(name) > 200):
        remedy = "use at most 200 printable characters, no blanks around them"
        r.wrong_value((*at, "name"), name, "is not fit for tables and file names", remedy)
    if (url := v.get("base_url")) is not None:
        _check_base_url(url, (*at, "base_url"), r)
        v["base_url"] = url.rstrip("/")
    if (variable := v.get("api_key_env")) is not None:
        _check_variable(variable, (*at, "api_key_env"), r)
    _check_headers(v.get("headers", {}), (*at, "headers"), r)
    if v.get("api_key_env") and any(h.lower() == "authorization" for h in v.get("headers", {})):
        r.wrong(
            (*at, "headers", "authorization"), "is sent for api_key_env already", "leave out one of the two"
        )
    _check_query(v.get("query", {}), (*at, "query"), r)
    for key in ("messages", "stream"):
        if key in v.get("extra_body", {}):
            r.wrong((*at, "extra_body", key), "is set by loadgen for every request", "leave it out")
    _check_ca_file(v, at, r)
    _check_most(v, "max_connections", at, r)


def _check_base_url(url: str, at: Key, r: Reading) -> None:
    """A URL may carry secrets in its user info and query; then it is not shown."""
    shown = "the URL" if re.search(r"[@?#]", url) else show(url)

    def wrong(what: str, remedy: str) -> None:
        r.wrong(at, f"{shown} {what}", remedy)

    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        wrong("is not a URL", f"{error}")
        return
    if not url.isascii() or not url.isprintable() or " " in url:
        wrong(
            "has characters that a URL can't have", "percent-encode them, and write the host in its xn-- form"
        )
    elif parts.scheme not in {"http", "https"}:
        wrong("does not begin with http:// or https://", 'write it like "https://llm.example.com/v1"')
    elif not host or port == 0:
        wrong("names no host" if not host else "names port 0", 'write it like "https://llm.example.com/v1"')
    else:
        if "@" in parts.netloc:
            wrong("has a user name or password", "take it out, and name the key's variable: api_key_env")
        if "?" in url:
            wrong("has a query", 'move it to query = { "api-version" = ".." }')
        if "#" in url:
            wrong("has a fragment, which is never sent", "leave out the # and what follows")
        if parts.path.rstrip("/").endswith(("/completions", "/responses", "/models")):
            wrong("names an endpoint", "end it before the endpoint's path, as in the OpenAI SDKs: .../v1")


def _check_variable(name: str, at: Key, r: Reading) -> None:
    if not _VARIABLE.fullmatch(name):
        # a key pasted here by mistake must not be shown
        remedy = 'put the key into a variable such as LLM_KEY and write "LLM_KEY" here'
        r.wrong(at, "the value is not the name of an environment variable", remedy)


def _check_headers(headers: dict[str, str | FromEnv], at: Key, r: Reading) -> None:
    seen: set[str] = set()
    for name, value in headers.items():
        here, low = (*at, name), name.lower()
        if not _HEADER_NAME.fullmatch(name):
            r.wrong(here, "is not the name of a header", "use letters, digits and dashes")
        if low in _FRAMING_HEADERS:
            r.wrong(here, "is set by loadgen for every request", "leave it out")
        if low in seen:
            r.wrong(here, "is there twice: case makes no difference in header names", "leave out one")
        seen.add(low)
        if low in _SECRET_HEADERS and isinstance(value, str):
            r.wrong(here, "is a secret, which no file may hold", 'write { env = "LLM_KEY" }')
        elif isinstance(value, str) and not re.fullmatch(r"[\t\x20-\x7e\x80-\xff]*", value):
            what = "has a character that a header can't carry (a line break, a control, one beyond latin-1)"
            r.wrong(here, what, "take it out, or encode it as the server expects")


def _check_query(query: dict[str, str | FromEnv], at: Key, r: Reading) -> None:
    for name, value in query.items():
        if not name:
            r.wrong((*at, name), "has no name", "leave it out, or name it")
        if name.lower() in _SECRET_QUERY and isinstance(value, str):
            r.wrong((*at, name), "is a secret, which no file may hold", 'write { env = "LLM_KEY" }')


def _check_ca_file(v: dict[str, Any], at: Key, r: Reading) -> None:
    if path := v.get("ca_file"):
        _check_file(path, (*at, "ca_file"), r)
        if v.get("insecure"):
            r.wrong((*at, "insecure"), "makes ca_file pointless", "leave out one of the two")


def _check_file(path: str, at: Key, r: Reading) -> None:
    if not Path(path).is_file():
        what = "is a directory, not a file" if Path(path).is_dir() else "does not exist"
        r.wrong(at, f"{show(path)} {what}", "paths are relative to the scenario file")


def _check_most(v: dict[str, Any], name: str, at: Key, r: Reading) -> None:
    if (v.get(name) or 0) > _MOST_AT_ONCE:
        r.wrong_value((*at, name), v[name], "is beyond any machine", f"write at most {_MOST_AT_ONCE:,}")


def _check_timeouts(v: dict[str, Any], at: Key, r: Reading) -> None:
    for name, value in v.items():
        if value == 0:
            key = (*at, name.removesuffix("_ns"))
            r.wrong(key, "is zero: every request would fail", 'write it like "30s"')


def _check_workload(v: dict[str, Any], at: Key, r: Reading) -> None:
    source = v.get("source")
    if "file" in v:
        if source == "jsonl" and v["file"] is None:
            r.wrong((*at, "file"), 'is missing for source = "jsonl"', 'write file = "prompts.jsonl"')
        elif source == "code" and v["file"] is not None:
            r.wrong(
                (*at, "file"), 'is not read by source = "code"', 'leave it out, or write source = "jsonl"'
            )
        elif v["file"] is not None:
            _check_file(v["file"], (*at, "file"), r)
    if source == "jsonl" and v.get("prompt_tokens") is not None:
        what = 'can\'t be had from source = "jsonl": its prompts are as long as they are'
        r.wrong((*at, "prompt_tokens"), what, "leave it out")


def _check_load(v: dict[str, Any], at: Key, r: Reading) -> None:
    if v.get("duration_ns", 0) is None and v.get("requests", 0) is None:
        r.wrong(
            at,
            "has neither duration nor requests: it would never end",
            'write duration = "20s" or requests = 1000',
        )
    if v.get("duration_ns") == 0:
        r.wrong((*at, "duration"), "is zero: nothing would be measured", 'write it like "20s"')
    _check_most(v, "concurrency", at, r)


RULES: Final[dict[type, Rule]] = {
    Target: _check_target,
    FromEnv: lambda v, at, r: _check_variable(v["env"], (*at, "env"), r) if "env" in v else None,
    Timeouts: _check_timeouts,
    Workload: _check_workload,
    Load: _check_load,
}
