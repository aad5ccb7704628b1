/* One request as the reference server understands it: HTTP/1.1 framing by Content-Length, the two top-level keys of
 * the JSON body it needs ("model", "stream"), and the behaviour written in the model name. Looks at bytes only. */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_HEAD = 64 << 10, MAX_BODY = 16 << 20, MAX_TOKENS_PER_EVENT = 64 };

typedef enum { TTFT, ITL, EVENTS, ROLE, TOKENS_PER_EVENT, REASONING, USAGE, STATUS, KEY_COUNT } key;
static const struct {
    const char *name;
    double initial, min, max;
} keys[KEY_COUNT] = {
    [TTFT] = {"ttft", 0, 0, 3.6e6},    /* ms from received to the first output event */
    [ITL] = {"itl", 0, 0, 3.6e6},      /* ms between output events */
    [EVENTS] = {"n", 16, 1, 1e6},      /* output events */
    [ROLE] = {"role", 0, 0, 1},        /* 1: headers and an event with the role alone leave at once */
    [TOKENS_PER_EVENT] = {"tokens_per_event", 1, 1, MAX_TOKENS_PER_EVENT},
    [REASONING] = {"reasoning", 0, 0, 1e6}, /* the first N output events carry reasoning_content */
    [USAGE] = {"usage", 1, 0, 1},           /* 0: no usage event */
    [STATUS] = {"status", 200, 200, 599},   /* not 200: an error body with this status, after ttft */
};

typedef struct {
    size_t size;          /* head and body, bytes */
    bool chat;            /* false: GET /v1/models */
    bool close;           /* no keep-alive: asked for, or the framing can't be trusted any more */
    int refused;          /* 0, or the status to refuse it with */
    char why[160];        /* then: the reason, safe inside a JSON string */
    double behaviour[KEY_COUNT];
} request;

typedef struct {
    const char *at, *end; /* at == NULL: there is none */
} span;

static bool span_is(span s, const char *text) {
    return s.at && (size_t)(s.end - s.at) == strlen(text) && !strncasecmp(s.at, text, strlen(text));
}

/* The value of a header in a head (which ends in an empty line), without the blanks around it. */
static span header(const char *head, const char *head_end, const char *name) {
    size_t n = strlen(name);
    for (const char *line = head; (line = memmem(line, head_end - line, "\r\n", 2)) && (line += 2) < head_end;) {
        if ((size_t)(head_end - line) <= n || strncasecmp(line, name, n) || line[n] != ':') continue;
        span s = {line + n + 1, memchr(line, '\r', head_end - line)};
        while (s.at < s.end && (*s.at == ' ' || *s.at == '\t')) s.at++;
        while (s.end > s.at && (s.end[-1] == ' ' || s.end[-1] == '\t')) s.end--;
        return s;
    }
    return (span){NULL, NULL};
}

/* The closing quote of the JSON string whose first character is at p; NULL when it never closes. */
static const char *string_end(const char *p, const char *end) {
    for (; p < end && *p != '"'; p++)
        if (*p == '\\') p++;
    return p < end ? p : NULL;
}

static const char *skip_blank(const char *p, const char *end) {
    while (p < end && isspace((unsigned char)*p)) p++;
    return p;
}

/* Where the value of a top-level key of a JSON object begins, up to the end of the text. A prompt may well hold
 * the text "model": only a walk over strings and brackets tells a key from it. */
static span json_value(const char *p, const char *end, const char *name) {
    int depth = 0;
    for (; p < end; p++) {
        if (*p == '{' || *p == '[') depth++;
        else if (*p == '}' || *p == ']') depth--;
        else if (*p == '"') {
            span s = {p + 1, string_end(p + 1, end)};
            if (!s.end) break;
            p = s.end;
            const char *colon = skip_blank(p + 1, end);
            if (depth == 1 && colon < end && *colon == ':' && (size_t)(s.end - s.at) == strlen(name)
                && !memcmp(s.at, name, strlen(name)))
                return (span){skip_blank(colon + 1, end), end};
        }
    }
    return (span){NULL, NULL};
}

static bool refuse(request *r, int status, const char *why, const char *what) {
    r->refused = status;
    snprintf(r->why, sizeof r->why, "%s%s", why, what);
    return true;
}

/* Reads "ttft=200,itl=20,n=100" into r->behaviour. */
static bool read_behaviour(request *r, span model) {
    char text[256];
    size_t len = model.end - model.at;
    if (len >= sizeof text) return refuse(r, 400, "the model name is too long", "");
    memcpy(text, model.at, len);
    text[len] = 0;
    for (int k = 0; k < KEY_COUNT; k++) r->behaviour[k] = keys[k].initial;
    char *rest = text;
    for (char *part; (part = strsep(&rest, ","));) {
        char *value = strchr(part, '='), *tail;
        if (value) *value++ = 0;
        int k = 0;
        while (k < KEY_COUNT && strcmp(part, keys[k].name)) k++;
        if (!value || k == KEY_COUNT)
            return refuse(r, 400, "the model name must be made of ttft=, itl=, n=, role=, tokens_per_event=, "
                          "reasoning=, usage=, status=, separated by commas", "");
        double v = strtod(value, &tail);
        if (tail == value || *tail || !(v >= keys[k].min && v <= keys[k].max)
            || (k != TTFT && k != ITL && v != (double)(long)v))
            return refuse(r, 400, "not a number, or out of bounds, in the model name: ", keys[k].name);
        r->behaviour[k] = v;
    }
    return true;
}

static bool read_body(request *r, const char *body, const char *end) {
    span model = json_value(body, end, "model"), stream = json_value(body, end, "stream");
    const char *quote = model.at && model.at < end && *model.at == '"' ? string_end(model.at + 1, end) : NULL;
    if (!quote) return refuse(r, 400, "the body must be a JSON object with a model", "");
    if (!stream.at || end - stream.at < 4 || memcmp(stream.at, "true", 4))
        return refuse(r, 400, "this server only streams: send stream: true", "");
    return read_behaviour(r, (span){model.at + 1, quote});
}

/* Reads the request at the start of `in`. False: it is not all there yet. */
static bool read_request(const char *in, size_t len, request *r) {
    *r = (request){0};
    const char *blank = memmem(in, len < MAX_HEAD ? len : MAX_HEAD, "\r\n\r\n", 4);
    if (!blank) {
        r->close = len >= MAX_HEAD;
        return r->close && refuse(r, 400, "the request's head is too long", "");
    }
    const char *body = blank + 4;
    span size = header(in, body, "content-length"), version = {blank, blank};
    const char *line_end = memmem(in, body - in, "\r\n", 2);
    version.at = line_end - in >= 8 ? line_end - 8 : in;
    version.end = line_end;
    r->close = true; /* until the framing is known to be sound */
    if (!span_is(version, "HTTP/1.1")) return refuse(r, 400, "HTTP/1.1 is spoken here", "");
    if (header(in, body, "transfer-encoding").at) return refuse(r, 400, "send a Content-Length, not chunks", "");
    size_t body_size = 0;
    for (const char *p = size.at; p < size.end; p++) {
        if (!isdigit((unsigned char)*p)) return refuse(r, 400, "Content-Length is not a number", "");
        if ((body_size = body_size * 10 + (*p - '0')) > MAX_BODY) return refuse(r, 400, "the body is too long", "");
    }
    r->size = body - in + body_size;
    if (len < r->size) return false;
    r->close = span_is(header(in, body, "connection"), "close");
    r->chat = !strncmp(in, "POST /v1/chat/completions ", 26);
    if (!strncmp(in, "GET /v1/models ", 15)) return true;
    if (!r->chat) return refuse(r, 404, "POST /v1/chat/completions and GET /v1/models are served here", "");
    return read_body(r, body, body + body_size);
}
