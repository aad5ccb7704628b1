/* reference_server: an OpenAI-compatible streaming server whose instants are known exactly.
 *
 *     reference_server [-p PORT] [-l PREFIX]          (port 0, the default: any free one)
 *
 * Listens on 127.0.0.1, prints "listening on 127.0.0.1:PORT", serves POST /v1/chat/completions (SSE, chunked)
 * and GET /v1/models until SIGTERM or SIGINT, then writes PREFIX.log and PREFIX.events and exits 0.
 * How to answer stands in the request's model name: "ttft=200,itl=20,n=100"; every key is in reference_request.h.
 *
 * What the instants mean (nanoseconds of CLOCK_MONOTONIC):
 *   received   the recv() that completed the request returned
 *   written    taken immediately before the send() that carries the event's first byte; every event has a send()
 *              of its own, also when several are overdue at once. The response's headers travel with the first item
 *   finished   the same for the end of the answer: finish_reason, usage, [DONE] and the last chunk in one send()
 * Event k (from 0) is due at received + ttft + k * itl: never re-based, so a late event does not delay the next.
 * A reader that lets its socket fill up holds back only its own stream: nothing is queued beyond one event.
 *
 * PREFIX.log: a line per request, in the order they came, after one header line:
 *   response_id received first last finished events offset status request_bytes state
 * first, last: of the output events, 0 without any. state: done | cut (the client went away, or the server stopped).
 * offset: where the request's `events` instants begin in PREFIX.events, counted in instants.
 * PREFIX.events: the written instants of all output events, int64 in the machine's byte order.
 * All of it is kept in memory until the end, so that no disk ever delays a stream.
 */
#define _GNU_SOURCE
#include "reference_request.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Reads come before writes: a request that has arrived while events are due must not wait for all of them, or its
 * `received` is late and the client is blamed. A send() takes some 6 us. With 32 of them between two looks at the
 * sockets, streams in step made the median `received` 0.1 ms late; with 4 it is 0.02 ms, at 2 % more CPU. */
enum { READY_BATCH = 64, FIRE_BATCH = 4, READ_SIZE = 64 << 10 };

typedef struct record {
    struct record *next;
    long id;
    int64_t received, finished;
    size_t request_bytes;
    int status, events;
    bool done;
    int64_t written[]; /* room for every event of the request */
} record;

typedef struct {
    int fd, heap_at; /* heap_at: -1 when not waiting for an instant */
    bool close_after, wants_write;
    char *in;
    size_t in_len, in_cap;
    int64_t read_at; /* when the last recv() returned */
    char out[2048];  /* the one item on its way; the longest (headers and a 64-token event) is about 900 bytes */
    size_t out_len, out_off;
    int64_t *stamp;  /* where the instant of that item belongs; NULL: nobody asks */
    record *request; /* NULL: free for a request */
    double behaviour[KEY_COUNT];
    int item; /* -1 the role, 0 .. n-1 an output event, n the end */
    int64_t due;
} conn;

static int epoll_fd, heap_len;
static conn **heap; /* binary heap of the streams by `due` */
static record *records, **records_tail = &records;

static void die(const char *what) { perror(what), exit(1); }

static void *grown(void *old, size_t size) {
    void *p = realloc(old, size);
    if (!p) die("reference_server: memory");
    return p;
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* ---- the heap of due instants ---- */

static void heap_set(int i, conn *c) { (heap[i] = c)->heap_at = i; }

/* Moves c from slot i to where its due belongs. */
static void heap_sift(int i, conn *c) {
    for (int up; i > 0 && heap[up = (i - 1) / 2]->due > c->due; i = up) heap_set(i, heap[up]);
    for (int kid; (kid = 2 * i + 1) < heap_len; i = kid) {
        if (kid + 1 < heap_len && heap[kid + 1]->due < heap[kid]->due) kid++;
        if (heap[kid]->due >= c->due) break;
        heap_set(i, heap[kid]);
    }
    heap_set(i, c);
}

static void heap_put(conn *c) {
    static int cap;
    if (c->heap_at < 0) {
        if (heap_len == cap) heap = grown(heap, sizeof *heap * (cap = cap ? 2 * cap : 1024));
        c->heap_at = heap_len++;
    }
    heap_sift(c->heap_at, c);
}

static void heap_remove(conn *c) {
    int i = c->heap_at;
    if (i < 0) return;
    conn *last = heap[--heap_len];
    c->heap_at = -1;
    if (last != c) heap_sift(i, last);
}

/* ---- connections ---- */

static void add(int fd, conn *c) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e)) die("reference_server: epoll_ctl");
}

static void watch(conn *c, bool wants_write) {
    struct epoll_event e = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.ptr = c};
    if (wants_write == c->wants_write) return;
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
    c->wants_write = wants_write;
}

static void conn_close(conn *c) {
    heap_remove(c);
    close(c->fd);
    free(c->in);
    free(c);
}

static void accept_waiting(int listener) {
    for (int i = 0; i < READY_BATCH; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) die("reference_server: accept");
            return; /* nobody waits, or one has gone away again */
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        conn *c = grown(NULL, sizeof *c);
        *c = (conn){.fd = fd, .heap_at = -1};
        add(fd, c);
    }
}

/* ---- what is said ---- */

__attribute__((format(printf, 2, 3))) static void say(conn *c, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(c->out + c->out_len, sizeof c->out - c->out_len, format, args);
    va_end(args);
    if (n < 0 || c->out_len + (size_t)n >= sizeof c->out) abort(); /* an item that outgrew `out`: our own mistake */
    c->out_len += n;
}

/* A whole response that is not a stream. */
static void say_plain(conn *c, int status, const char *type, const char *body) {
    say(c, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s\r\n%s", status,
        status == 200 ? "OK" : "Error", type, strlen(body), c->close_after ? "Connection: close\r\n" : "", body);
}

static void say_error(conn *c, int status, const char *message) {
    char body[512];
    snprintf(body, sizeof body, "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"code\":%d}}", message,
             status == 429 ? "rate_limit_error" : status < 500 ? "invalid_request_error" : "server_error", status);
    say_plain(c, status, "application/json", body);
}

/* One SSE event as one HTTP chunk: `choices` and `more` are JSON. */
static void say_event(conn *c, const char *choices, const char *more) {
    char event[1024];
    int n = snprintf(event, sizeof event,
                     "data: {\"id\":\"chatcmpl-%ld\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
                     "\"model\":\"reference\",\"choices\":[%s]%s}\n\n", c->request->id, choices, more);
    say(c, "%x\r\n%s\r\n", n, event);
}

static void say_delta(conn *c, const char *name, const char *value) {
    char choice[640];
    snprintf(choice, sizeof choice, "{\"index\":0,\"delta\":{%s\"%s\":\"%s\"},\"logprobs\":null,"
             "\"finish_reason\":null}", c->item < 0 ? "\"role\":\"assistant\"," : "", name, value);
    say_event(c, choice, "");
}

static void say_output(conn *c) {
    char text[MAX_TOKENS_PER_EVENT * 6 + 1];
    int tokens = (int)c->behaviour[TOKENS_PER_EVENT];
    for (int i = 0; i < tokens; i++) sprintf(text + 6 * i, " tok%02d", (c->item * tokens + i) % 100);
    say_delta(c, c->item < c->behaviour[REASONING] ? "reasoning_content" : "content", text);
}

static void say_end(conn *c) {
    say_event(c, "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}", "");
    if (c->behaviour[USAGE]) {
        const double *b = c->behaviour;
        int prompt = (int)(c->request->request_bytes / 4), output = (int)(b[EVENTS] * b[TOKENS_PER_EVENT]);
        int reasoning = (int)(b[TOKENS_PER_EVENT] * (b[REASONING] < b[EVENTS] ? b[REASONING] : b[EVENTS]));
        char usage[256];
        snprintf(usage, sizeof usage, ",\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,"
                 "\"total_tokens\":%d,\"completion_tokens_details\":{\"reasoning_tokens\":%d}}",
                 prompt, output, prompt + output, reasoning);
        say_event(c, "", usage);
    }
    say(c, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
}

/* Puts the item that is due into `out`. */
static void say_item(conn *c) {
    record *r = c->request;
    bool first = c->item == (c->behaviour[ROLE] ? -1 : 0), end = c->item == (int)c->behaviour[EVENTS];
    c->stamp = end ? &r->finished : c->item < 0 ? NULL : &r->written[c->item];
    if (r->status != 200) return say_error(c, r->status, "as the model name asked");
    if (first) say(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                      "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n");
    if (c->item < 0) say_delta(c, "content", "");
    else if (end) say_end(c);
    else say_output(c);
}

static int64_t due_of(const conn *c) {
    int last = (int)c->behaviour[EVENTS] - 1, k = c->item < last ? c->item : last;
    if (c->item < 0) return c->request->received; /* the role is there at once */
    if (c->request->status != 200) k = 0;         /* an error comes when the first event would */
    return c->request->received + (int64_t)((c->behaviour[TTFT] + k * c->behaviour[ITL]) * 1e6);
}

/* ---- the life of a connection ---- */

static bool begin(conn *c, const request *r) {
    static long next_id;
    size_t room = (size_t)r->behaviour[EVENTS] * sizeof(int64_t);
    record *rec = *records_tail = grown(NULL, sizeof *rec + room);
    records_tail = &rec->next;
    *rec = (record){.id = next_id++, .received = c->read_at, .request_bytes = r->size,
                    .status = (int)r->behaviour[STATUS]};
    c->request = rec;
    memcpy(c->behaviour, r->behaviour, sizeof c->behaviour);
    c->item = rec->status != 200 ? (int)r->behaviour[EVENTS] : r->behaviour[ROLE] ? -1 : 0;
    c->due = due_of(c);
    heap_put(c);
    return false; /* nothing to send yet */
}

/* Takes the next request out of what was read. True: its answer is in `out`, to be sent now. */
static bool take_request(conn *c) {
    request r;
    if (!c->in_len || !read_request(c->in, c->in_len, &r)) return false;
    size_t used = r.size && r.size < c->in_len ? r.size : c->in_len;
    memmove(c->in, c->in + used, c->in_len -= used);
    c->close_after = r.close;
    if (!r.refused && r.chat) return begin(c, &r);
    if (r.refused) say_error(c, r.refused, r.why);
    else say_plain(c, 200, "application/json", "{\"object\":\"list\",\"data\":[{\"id\":\"ttft=200,itl=20,n=100\","
                   "\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"reference\"}]}");
    return true;
}

/* Sends what is in `out` and lines up the next item. True: free for the next request. May close (and free) c. */
static bool pump(conn *c) {
    while (c->out_off < c->out_len) {
        int64_t instant = c->stamp && !c->out_off ? now_ns() : 0;
        ssize_t n = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno != EAGAIN) return conn_close(c), false;
        if (n < 0) return heap_remove(c), watch(c, true), false; /* a slow reader: EPOLLOUT brings us back */
        if (instant) *c->stamp = instant;
        c->out_off += n;
    }
    bool sent = c->out_len > 0;
    c->out_len = c->out_off = 0;
    c->stamp = NULL;
    watch(c, false);
    record *r = c->request;
    if (sent && r) {
        r->events += r->status == 200 && c->item >= 0 && c->item < (int)c->behaviour[EVENTS];
        r->done = c->item++ == (int)c->behaviour[EVENTS];
        if (!r->done) return c->due = due_of(c), heap_put(c), false;
        c->request = NULL;
    }
    heap_remove(c);
    if (sent && c->close_after) return conn_close(c), false;
    return true;
}

static void go_on(conn *c) { while (pump(c) && take_request(c)) {} }

static void on_readable(conn *c) {
    if (c->in_cap - c->in_len < READ_SIZE) c->in = grown(c->in, c->in_cap = 2 * c->in_cap + READ_SIZE);
    ssize_t n = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    c->read_at = now_ns();
    if (n > 0) c->in_len += n;
    if (n <= 0 || c->in_len > MAX_HEAD + MAX_BODY) conn_close(c); /* the second: it pours on while being answered */
    else if (!c->request && !c->out_len) go_on(c);
}

static void fire_due(void) {
    for (int i = 0; i < FIRE_BATCH && heap_len && heap[0]->due <= now_ns(); i++) {
        conn *c = heap[0];
        say_item(c);
        go_on(c);
    }
}

/* ---- the process ---- */

static void write_logs(FILE *log, FILE *instants) {
    size_t offset = 0;
    fprintf(log, "response_id received first last finished events offset status request_bytes state\n");
    for (record *r = records; r; r = r->next) {
        fprintf(log, "chatcmpl-%ld %ld %ld %ld %ld %d %zu %d %zu %s\n", r->id, (long)r->received,
                r->events ? (long)r->written[0] : 0L, r->events ? (long)r->written[r->events - 1] : 0L,
                (long)r->finished, r->events, offset, r->status, r->request_bytes, r->done ? "done" : "cut");
        fwrite(r->written, sizeof *r->written, r->events, instants);
        offset += r->events;
    }
    if (fclose(log) | fclose(instants)) die("reference_server: writing the logs");
}

static FILE *open_log(const char *prefix, const char *suffix) {
    char path[4096];
    snprintf(path, sizeof path, "%s%s", prefix, suffix);
    FILE *f = fopen(path, "w");
    if (!f) die(path);
    return f;
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4096)) {
        fprintf(stderr, "reference_server: port %d: %s\n", port, strerror(errno));
        exit(1);
    }
    getsockname(fd, (struct sockaddr *)&a, &len);
    printf("listening on 127.0.0.1:%d\n", ntohs(a.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv) {
    int port = 0, option;
    const char *prefix = NULL;
    while ((option = getopt(argc, argv, "p:l:")) != -1) {
        if (option == 'p') port = atoi(optarg);
        else if (option == 'l') prefix = optarg;
        else return fprintf(stderr, "usage: reference_server [-p PORT] [-l PREFIX]\n"), 2;
    }
    FILE *log = prefix ? open_log(prefix, ".log") : NULL, *instants = prefix ? open_log(prefix, ".events") : NULL;
    prctl(PR_SET_TIMERSLACK, 1000); /* ns; the default of 50 us would make due events leave in little heaps */
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    int listener = listen_on(port), stop_fd = signalfd(-1, &stop, SFD_CLOEXEC);
    static conn at_listener, at_stop; /* marks of the two descriptors that are no connection */
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    add(listener, &at_listener);
    add(stop_fd, &at_stop);
    struct epoll_event ready[READY_BATCH];
    for (bool stopping = false; !stopping; fire_due()) {
        int64_t wait = heap_len ? heap[0]->due - now_ns() : 0;
        if (wait < 0) wait = 0;
        struct timespec timeout = {wait / 1000000000, wait % 1000000000};
        int n = epoll_pwait2(epoll_fd, ready, READY_BATCH, heap_len ? &timeout : NULL, NULL);
        if (n < 0 && errno != EINTR) die("reference_server: epoll_pwait2");
        for (int i = 0; i < n; i++) {
            conn *c = ready[i].data.ptr;
            if (c == &at_stop) stopping = true;
            else if (c == &at_listener) accept_waiting(listener);
            else if (ready[i].events & ~EPOLLOUT) on_readable(c);
            else go_on(c);
        }
    }
    if (log) write_logs(log, instants);
    return 0;
}
