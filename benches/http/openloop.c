/*
 * An open loop: requests are due at a fixed rate whether answers come or not, and a latency counts from when its
 * request was due.
 *
 *   openloop PORT IDS RATE SECONDS CONNECTIONS EVENTS_PER_S
 *
 * One thread, one epoll loop. Sends GET /should-show-ad/{id} of random ids (one a line in the file IDS) over keep-alive
 * connections; a request that finds all of them busy waits, and its wait counts. With EVENTS_PER_S over 0, plays are
 * posted meanwhile as JSON arrays of 100 over one more connection: every other play is of this second, the others are
 * 28 days old in a few seconds, so that they leave the default window during the run.
 *
 * Each line on stdin marks the instant with its text; the result has the worst latency of the requests that were
 * under way or due within 100 ms after it. Prints one JSON object. Takes real-time priority where that is allowed,
 * so that what else runs on its core does not make it late. Status 1 when a request failed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "plays.h"

#include "client.h"
#include "latencies.h"

enum {
    MAX_CONNECTIONS = 16384,
    MAX_MARKS = 256,
    MARK_BYTES = 64,
    MAX_SLICES = 36000
};

static const int64_t MARK_NS = 100000000, SLICE_NS = 100000000, TIMEOUT_NS = 5000000000;

struct connection {
    int fd;
    int busy;
    int64_t due_ns;
    size_t held;       /* bytes of a reply that has not come whole */
    char reply[REPLY_BYTES];
};

struct mark {
    char name[MARK_BYTES];
    int64_t at_ns, worst_ns;
};

static struct connection *connections; /* the last one writes events */
static int connection_count;
static int *idle, idle_count, idle_first; /* a ring, so that all take turns */
static uint64_t answered, failed, lost;
static int64_t begin_ns, worst_ns, slices_ns[MAX_SLICES];
static struct mark marks[MAX_MARKS];
static int mark_count;
static uint64_t events_posted, events_answered;
static size_t batch_sent;

/* --- Latencies ----------------------------------------------------------------------------------------------------- */

static void count(int64_t due_ns, int64_t now_ns)
{
    int64_t latency_ns = now_ns > due_ns ? now_ns - due_ns : 0;
    latencies[bucket_of((uint64_t)latency_ns)]++;
    answered++;
    if (latency_ns > worst_ns)
        worst_ns = latency_ns;
    int64_t slice = (due_ns - begin_ns) / SLICE_NS;
    if (slice >= 0 && slice < MAX_SLICES && latency_ns > slices_ns[slice])
        slices_ns[slice] = latency_ns;
    for (int at = mark_count - 1; at >= 0 && marks[at].at_ns > due_ns - TIMEOUT_NS; at--) {
        struct mark *mark = &marks[at];
        if (due_ns <= mark->at_ns + MARK_NS && now_ns >= mark->at_ns && latency_ns > mark->worst_ns)
            mark->worst_ns = latency_ns;
    }
}

/* --- Connections --------------------------------------------------------------------------------------------------- */

/* Reads what has come; 1 when a whole reply has, 0 when not, -1 when it failed. */
static int read_reply(struct connection *connection)
{
    ssize_t length = read(connection->fd, connection->reply + connection->held, REPLY_BYTES - connection->held);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (length <= 0)
        return -1;
    connection->held += (size_t)length;
    ssize_t whole = reply_length(connection->reply, connection->held);
    if (whole == 0)
        return 0;
    int good = whole == (ssize_t)connection->held;
    connection->held = 0;
    return good ? 1 : -1;
}

static void send_decision(struct connection *connection, int64_t due_ns)
{
    char request[256];
    size_t at = chance() % id_count;
    int length = snprintf(request, sizeof request, "GET /should-show-ad/%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                          ids + id_starts[at]);
    connection->busy = 1;
    connection->due_ns = due_ns;
    if (send(connection->fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        failed++;
}

static int take_idle(void)
{
    int at = idle[idle_first];
    idle_first = (idle_first + 1) % connection_count;
    idle_count--;
    return at;
}

static void put_idle(int at)
{
    idle[(idle_first + idle_count++) % connection_count] = at;
}

/* --- Events -------------------------------------------------------------------------------------------------------- */

/* Sends the rest of the batch, as far as the socket takes it. */
static void send_batch(struct connection *writer)
{
    ssize_t length = send(writer->fd, batch + batch_sent, batch_bytes - batch_sent, MSG_NOSIGNAL);
    if (length > 0)
        batch_sent += (size_t)length;
    else if (errno != EAGAIN && errno != EINTR)
        failed++;
}

/* --- The loop ------------------------------------------------------------------------------------------------------ */

/* Marks that have come on stdin; 0 once it is closed. */
static int read_marks(void)
{
    static char line[MARK_BYTES];
    static size_t length;
    char bytes[1024];
    ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);
    for (ssize_t at = 0; at < got; at++) {
        if (bytes[at] != '\n') {
            if (length < MARK_BYTES - 1 && bytes[at] >= ' ' && bytes[at] != '"' && bytes[at] != '\\')
                line[length++] = bytes[at];
            continue;
        }
        if (mark_count < MAX_MARKS) {
            marks[mark_count].at_ns = clock_ns();
            memcpy(marks[mark_count++].name, line, length);
        }
        length = 0;
    }
    return got > 0 || (got < 0 && errno == EAGAIN);
}

static void handle(int at, int64_t now_ns)
{
    struct connection *connection = &connections[at];
    int came = read_reply(connection);
    if (came == 0)
        return;
    int writes = at == connection_count;
    if (came < 0) {
        failed++;
        lost += !writes;
        close(connection->fd);
        return;
    }
    connection->busy = 0;
    if (writes) {
        events_answered += BATCH;
    } else {
        count(connection->due_ns, now_ns);
        put_idle(at);
    }
}

static void watch(int epoll, int fd, int at)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = at};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl");
}

static int sleep_and_serve(int epoll, int64_t until_ns)
{
    struct epoll_event events[256];
    int64_t left_ns = until_ns - clock_ns();
    if (left_ns < 0)
        left_ns = 0;
    struct timespec timeout = {.tv_sec = left_ns / SECOND_NS, .tv_nsec = left_ns % SECOND_NS};
    int ready = epoll_pwait2(epoll, events, 256, &timeout, NULL);
    if (ready < 0 && errno != EINTR)
        fail("epoll_pwait2");
    int64_t now_ns = clock_ns();
    for (int at = 0; at < ready; at++) {
        if (events[at].data.fd >= 0)
            handle(events[at].data.fd, now_ns);
        else if (!read_marks())
            epoll_ctl(epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
    }
    return ready;
}

static void run(int epoll, double rate, double seconds, double events_per_s)
{
    struct connection *writer = &connections[connection_count];
    double period_ns = 1e9 / rate, batch_ns = events_per_s > 0 ? 1e9 * BATCH / events_per_s : 0;
    uint64_t due = 0, total = (uint64_t)(rate * seconds), batches = 0;
    begin_ns = clock_ns() + 10000000;
    int64_t last_ns = begin_ns + (int64_t)(1e9 * seconds) + TIMEOUT_NS;
    while (answered + lost < total && clock_ns() < last_ns) {
        int64_t now_ns = clock_ns();
        int64_t next_ns = begin_ns + (int64_t)((double)due * period_ns);
        while (due < total && next_ns <= now_ns && idle_count > 0) {
            send_decision(&connections[take_idle()], next_ns);
            due++;
            next_ns = begin_ns + (int64_t)((double)due * period_ns);
        }
        int64_t wake_ns = due < total && idle_count > 0 ? next_ns : now_ns + SECOND_NS / 10;
        if (batch_ns > 0 && due < total) {
            int64_t next_batch_ns = begin_ns + (int64_t)((double)batches * batch_ns);
            if (!writer->busy && next_batch_ns <= now_ns) {
                make_batch();
                batch_sent = 0;
                writer->busy = 1;
                batches++;
                events_posted += BATCH;
            }
            if (writer->busy && batch_sent < batch_bytes)
                send_batch(writer);
            if (batch_sent < batch_bytes && now_ns + 1000000 < wake_ns)
                wake_ns = now_ns + 1000000;
            else if (!writer->busy && next_batch_ns < wake_ns)
                wake_ns = next_batch_ns;
        }
        sleep_and_serve(epoll, wake_ns);
    }
    /* The last batch is let come back. */
    while (writer->busy && clock_ns() < last_ns)
        sleep_and_serve(epoll, clock_ns() + SECOND_NS / 10);
    failed += total - answered - lost;
}

static void report(int64_t seconds_ns, int real_time)
{
    printf("{\"answered\":%lu,\"failed\":%lu,\"seconds\":%.3f,\"real_time\":%s,\"p50_us\":%.1f,\"p90_us\":%.1f,"
           "\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,\"events_posted\":%lu,\"events_answered\":%lu,\"marks\":[",
           (unsigned long)answered, (unsigned long)failed, (double)seconds_ns / 1e9, real_time ? "true" : "false",
           percentile_us(0.5, answered), percentile_us(0.9, answered), percentile_us(0.99, answered), percentile_us(0.999, answered), (double)worst_ns / 1e3,
           (unsigned long)events_posted, (unsigned long)events_answered);
    for (int at = 0; at < mark_count; at++)
        printf("%s{\"name\":\"%s\",\"at_s\":%.3f,\"worst_us\":%.1f}", at ? "," : "", marks[at].name,
               (double)(marks[at].at_ns - begin_ns) / 1e9, (double)marks[at].worst_ns / 1e3);
    printf("],\"slice_s\":0.1,\"slices_us\":[");
    int last = (int)(seconds_ns / SLICE_NS);
    for (int at = 0; at < last && at < MAX_SLICES; at++)
        printf("%s%.1f", at ? "," : "", (double)slices_ns[at] / 1e3);
    printf("]}\n");
}

int main(int argc, char **argv)
{
    double rate = argc == 7 ? atof(argv[3]) : 0, seconds = argc == 7 ? atof(argv[4]) : 0;
    connection_count = argc == 7 ? atoi(argv[5]) : 0;
    if (rate <= 0 || seconds <= 0 || connection_count < 1 || connection_count >= MAX_CONNECTIONS) {
        fprintf(stderr, "usage: openloop PORT IDS RATE SECONDS CONNECTIONS EVENTS_PER_S\n");
        return 2;
    }
    read_ids(argv[2]);
    connections = calloc((size_t)connection_count + 1, sizeof *connections);
    idle = calloc((size_t)connection_count, sizeof *idle);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!connections || !idle || epoll < 0)
        fail("start");
    for (int at = 0; at <= connection_count; at++) {
        connections[at].fd = connect_to(atoi(argv[1]));
        watch(epoll, connections[at].fd, at);
        if (at < connection_count)
            put_idle(at);
    }
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    struct epoll_event marks_come = {.events = EPOLLIN, .data.fd = -1};
    /* A file or /dev/null cannot be waited for, and brings no marks. */
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &marks_come);
    prctl(PR_SET_TIMERSLACK, 1);
    struct sched_param priority = {.sched_priority = 1};
    int real_time = sched_setscheduler(0, SCHED_FIFO, &priority) == 0;
    /* A million numbers for each second since 1970, so that no two runs share one. */
    next_event = (uint64_t)time(NULL) * 1000000;
    run(epoll, rate, seconds, atof(argv[6]));
    report((int64_t)(seconds * 1e9), real_time);
    return failed > 0;
}
