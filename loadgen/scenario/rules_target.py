"""What a target must be beyond the types of its values: names, URLs, headers, and no secret in clear."""

import re
from typing import Any, Final
from urllib.parse import urlsplit

from loadgen.scenario.keys import Key
from loadgen.scenario.model import FromEnv
from loadgen.scenario.reading import Reading, show

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
_ENDPOINTS: Final = ("/completions", "/responses", "/embeddings", "/images/generations", "/models")
_SAID_IN: Final = {
    "chat": "messages",
    "completions": "prompt",
    "responses": "input",
    "images": "prompt",
    "embeddings": "input",
}
_BODY_FIELDS: Final = frozenset(
    {
        *("model", "messages", "input", "prompt", "suffix", "tools", "stream", "stream_options"),
        *("max_tokens", "max_completion_tokens", "max_output_tokens"),
    }
)


def check_target(v: dict[str, Any], at: Key, r: Reading) -> None:
    """Check all that is sent with every request, but the words."""
    if (name := v.get("name")) and (not name.isprintable() or name != name.strip() or len(name) > 200):
        remedy = "use at most 200 printable characters, no blanks around them"
        r.wrong_value((*at, "name"), name, "is not fit for tables and file names", remedy)
    if (url := v.get("base_url")) is not None:
        _check_base_url(url, (*at, "base_url"), r)
        v["base_url"] = url.rstrip("/")
    if (variable := v.get("api_key_env")) is not None:
        check_variable(variable, (*at, "api_key_env"), r)
    _check_headers(v.get("headers", {}), (*at, "headers"), r)
    if v.get("api_key_env") and any(h.lower() == "authorization" for h in v.get("headers", {})):
        r.wrong(
            (*at, "headers", "authorization"), "is sent for api_key_env already", "leave out one of the two"
        )
    _check_query(v.get("query", {}), (*at, "query"), r)
    for key in ("stream", _SAID_IN.get(v.get("endpoint", "chat"), "")):
        if key in v.get("extra_body", {}):
            r.wrong((*at, "extra_body", key), "is set by loadgen for every request", "leave it out")
    _check_ca_file(v, at, r)
    r.check_most(v.get("max_connections"), (*at, "max_connections"))
    if session := v.get("session"):
        if (session.header or "").lower() in {name.lower() for name in v.get("headers", {})}:
            r.wrong((*at, "session", "header"), "is one of headers already", "leave out one of the two")
        if session.field in v.get("extra_body", {}):
            r.wrong((*at, "session", "field"), "is in extra_body already", "leave out one of the two")


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
        if parts.path.rstrip("/").endswith(_ENDPOINTS):
            wrong("names an endpoint", "end it before the endpoint's path, as in the OpenAI SDKs: .../v1")


def check_variable(name: str, at: Key, r: Reading) -> None:
    """See that it is the name of a variable, not a key."""
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
        r.check_file(path, (*at, "ca_file"))
        if v.get("insecure"):
            r.wrong((*at, "insecure"), "makes ca_file pointless", "leave out one of the two")


def check_timeouts(v: dict[str, Any], at: Key, r: Reading) -> None:
    """See that a request may take some time."""
    for name, value in v.items():
        if value == 0:
            key = (*at, name.removesuffix("_ns"))
            r.wrong(key, "is zero: every request would fail", 'write it like "30s"')


def check_session(v: dict[str, Any], at: Key, r: Reading) -> None:
    """See that a conversation is named in one place, which is free."""
    header, field = v.get("header"), v.get("field")
    if "header" in v and "field" in v and (header is None) == (field is None):
        what = "says neither header nor field" if header is None else "says header and field"
        r.wrong(at, what, 'write { header = "x-session-id" } or { field = "user" }')
    if header is not None:
        if not _HEADER_NAME.fullmatch(header):
            what = "is not the name of a header"
            r.wrong_value((*at, "header"), header, what, "use letters, digits and dashes")
        elif header.lower() in _FRAMING_HEADERS | _SECRET_HEADERS:
            r.wrong_value((*at, "header"), header, "has a meaning of its own", 'write it like "x-session-id"')
    if field in _BODY_FIELDS:
        r.wrong_value((*at, "field"), field, "is set by loadgen for every request", 'write it like "user"')
