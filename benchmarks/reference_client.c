/* reference_client: how exactly, and how cheaply, one core can time streams when it does nothing else.
 *
 *     reference_client STREAMS MODEL REQUESTS RAMP_S PORT [LOG [BODY_BYTES]]
 *
 * A closed loop of STREAMS connections to 127.0.0.1:PORT sends REQUESTS requests for MODEL, each with a body of
 * BODY_BYTES (1000), the connections opened evenly over RAMP_S seconds. Prints one JSON line: streams, requests,
 * events (with output), wall_s, cpu_s (user and system), events_per_s, events_per_cpu_s. Exits 1 at the first
 * answer that is not a stream.
 *
 * LOG: a line per request, after one header line: response_id sent first last events longest_gap
 * sent, first, last: ns of CLOCK_MONOTONIC. sent: just before send(); events: when the recv() that completed them
 * returned. longest_gap: ns.
 *
 * It relies on the framing that reference_server writes: no chunk is decoded and no JSON read, so it is a bound for
 * clients that do, not a rival.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READY_BATCH = 512, READ_SIZE = 64 << 10, SILENCE_S = 60 };
#define NS_PER_S INT64_C(1000000000)

typedef struct {
    int64_t at;
    size_t bytes_so_far;
} read_mark;

typedef struct {
    int fd;
    int64_t sent;
    char *in;
    size_t in_len, in_cap;
    read_mark *reads; /* of the answer under way */
    size_t reads_len, reads_cap;
} stream;

typedef struct {
    long id, events;
    int64_t sent, first, last, longest_gap;
} result;

static char *request_text;
static size_t request_len;
static int epoll_fd, port;

static void die(const char *what) { fprintf(stderr, "reference_client: %s\n", what), exit(1); }
static void die_errno(const char *what) { perror(what), exit(1); }

static void *grown(void *old, size_t size) {
    void *p = realloc(old, size);
    if (!p) die_errno("reference_client: memory");
    return p;
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void write_request(const char *model, size_t body_bytes) {
    static const char front[] = "{\"model\":\"%s\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                                "\"messages\":[{\"role\":\"user\",\"content\":\"";
    static const char back[] = "\"}]}";
    char start[1024], head[512];
    size_t n = snprintf(start, sizeof start, front, model);
    if (n >= sizeof start) die("the model name is too long");
    size_t fill = body_bytes > n + strlen(back) ? body_bytes - n - strlen(back) : 1;
    size_t h = snprintf(head, sizeof head, "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                        "Content-Type: application/json\r\nAccept: text/event-stream\r\nContent-Length: %zu\r\n\r\n",
                        port, n + fill + strlen(back));
    char *p = request_text = grown(NULL, h + n + fill + strlen(back));
    p = mempcpy(p, head, h);
    p = mempcpy(p, start, n);
    for (size_t i = 0; i < fill; i++) *p++ = "lorem ipsum "[i % 12];
    p = mempcpy(p, back, strlen(back));
    request_len = p - request_text;
}

static void send_request(stream *s) {
    s->in_len = s->reads_len = 0;
    s->sent = now_ns();
    for (size_t done = 0; done < request_len;) {
        ssize_t n = send(s->fd, request_text + done, request_len - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) die_errno("reference_client: send");
        if (n > 0) done += n;
    }
}

static void open_stream(stream *s) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};
    int on = 1;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&a, sizeof a)) die_errno("reference_client: connect");
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &e)) die_errno("reference_client: epoll_ctl");
    send_request(s);
}

/* Reads once and notes when. True: the answer is complete. */
static bool read_some(stream *s) {
    if (s->in_cap - s->in_len < READ_SIZE) s->in = grown(s->in, s->in_cap = 2 * s->in_cap + READ_SIZE);
    if (s->reads_len == s->reads_cap) {
        s->reads_cap = 2 * s->reads_cap + 256;
        s->reads = grown(s->reads, s->reads_cap * sizeof *s->reads);
    }
    ssize_t n = recv(s->fd, s->in + s->in_len, s->in_cap - s->in_len, MSG_DONTWAIT);
    int64_t at = now_ns();
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (n <= 0) die("the server closed a connection before the end of an answer");
    s->in_len += n;
    s->reads[s->reads_len++] = (read_mark){at, s->in_len};
    if (s->in_len >= 12 && memcmp(s->in, "HTTP/1.1 200", 12)) {
        int shown = s->in_len < 300 ? (int)s->in_len : 300;
        fprintf(stderr, "reference_client: the answer is not a stream: %.*s\n", shown, s->in);
        exit(1);
    }
    /* The data of every chunk but the last ends in two newlines, so this can't be seen earlier. */
    return s->in_len >= 5 && !memcmp(s->in + s->in_len - 5, "0\r\n\r\n", 5);
}

/* Takes the events out of a complete answer. Output is one with text in content or reasoning_content: one search
 * finds both. */
static result decode(const stream *s) {
    static const char field[] = "content\":\"", id[] = "\"chatcmpl-";
    const char *p = memmem(s->in, s->in_len, id, sizeof id - 1), *end = s->in + s->in_len;
    if (!p) die("an answer without an id");
    result r = {.id = atol(p + sizeof id - 1), .sent = s->sent};
    size_t mark = 0;
    for (p = s->in; (p = memmem(p, end - p, field, sizeof field - 1));) {
        p += sizeof field - 1;
        if (*p == '"') continue; /* the role alone */
        p = memchr(p, '\n', end - p);
        if (!p) break;
        while (s->reads[mark].bytes_so_far < (size_t)(p + 2 - s->in)) mark++; /* an event ends in two newlines */
        int64_t at = s->reads[mark].at;
        if (!r.events++) r.first = at;
        else if (at - r.last > r.longest_gap) r.longest_gap = at - r.last;
        r.last = at;
    }
    return r;
}

static void write_log(const char *path, const result *results, long count) {
    FILE *f = fopen(path, "w");
    if (!f) die_errno(path);
    fprintf(f, "response_id sent first last events longest_gap\n");
    for (const result *r = results; r < results + count; r++)
        fprintf(f, "chatcmpl-%ld %ld %ld %ld %ld %ld\n", r->id, (long)r->sent, (long)r->first, (long)r->last,
                r->events, (long)r->longest_gap);
    if (fclose(f)) die_errno(path);
}

int main(int argc, char **argv) {
    if (argc < 6 || argc > 8) {
        fprintf(stderr, "usage: reference_client STREAMS MODEL REQUESTS RAMP_S PORT [LOG [BODY_BYTES]]\n");
        return 2;
    }
    long count = atol(argv[1]), total = atol(argv[3]), opened = 0, sent = 0, done = 0, events = 0;
    double ramp_s = atof(argv[4]);
    port = atoi(argv[5]);
    if (count < 1 || total < 1 || ramp_s < 0 || port < 1) die("STREAMS, REQUESTS, RAMP_S and PORT must be positive");
    if (count > total) count = total;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    prctl(PR_SET_TIMERSLACK, 1000); /* ns: the ramp's steps are shorter than the default slack allows */
    write_request(argv[2], argc > 7 ? strtoul(argv[7], NULL, 10) : 1000);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    stream *streams = calloc(count, sizeof *streams);
    result *results = calloc(total, sizeof *results);
    if (!streams || !results) die_errno("reference_client: memory");
    struct epoll_event ready[READY_BATCH];
    int64_t begun = now_ns();
    while (done < total) {
        struct timespec wait = {SILENCE_S, 0};
        if (opened < count && sent < total) { /* early ones may already have sent the last request */
            int64_t left = begun + (int64_t)(ramp_s * NS_PER_S * opened / count) - now_ns();
            if (left <= 0) open_stream(&streams[opened++]), sent++, left = 0;
            wait = (struct timespec){left / NS_PER_S, left % NS_PER_S};
        }
        int n = epoll_pwait2(epoll_fd, ready, READY_BATCH, &wait, NULL);
        if (n < 0 && errno != EINTR) die_errno("reference_client: epoll_pwait2");
        if (n == 0 && wait.tv_sec == SILENCE_S) die("nothing heard for a minute");
        for (int i = 0; i < n; i++) {
            stream *s = ready[i].data.ptr;
            if (!read_some(s)) continue;
            results[done] = decode(s);
            events += results[done++].events;
            if (sent < total) send_request(s), sent++;
        }
    }
    double wall_s = (double)(now_ns() - begun) / NS_PER_S;
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    double cpu_s = u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
    printf("{\"streams\":%ld,\"requests\":%ld,\"events\":%ld,\"wall_s\":%.3f,\"cpu_s\":%.3f,\"events_per_s\":%.0f,"
           "\"events_per_cpu_s\":%.0f}\n", count, total, events, wall_s, cpu_s, events / wall_s, events / cpu_s);
    if (argc > 6) write_log(argv[6], results, total);
    return 0;
}
