/*
 * A closed loop that writes: each connection sends its next event when its last is answered.
 *
 *   closedloop PORT IDS events|set SECONDS CONNECTIONS
 *
 * One thread, one epoll loop; the same for both, so that only the servers differ. `events` posts one play a request as
 * JSON to POST /events, of random customers (one id a line in the file IDS), timed now, each with a number of its own.
 * `set` sends SET to Redis, with the customer's id as the key and the same JSON as the value. A latency counts from before
 * the send to after the answer was read. The first tenth of the time warms up and is not counted.
 *
 * Prints one JSON object; `busy` is the share of the counted time in which this process had its core: near 1 the client
 * was the limit. Status 1 when an answer was not 200 with one event accepted, or not +OK.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "plays.h"

#include "client.h"
#include "latencies.h"

enum { MAX_CONNECTIONS = 16384, PLAY_BYTES = 512, REQUEST_BYTES = 1024, TEXT_PERIOD = 256 };

/* An answer that takes longer than this fails the run. */
static const int64_t TIMEOUT_NS = 10000000000;

struct connection {
    int fd;
    int waits;      /* whether an answer is due */
    int64_t sent_ns;
    size_t held;    /* bytes of a reply that has not come whole */
    char reply[REPLY_BYTES];
};

static struct connection *connections;
static int connection_count, speaks_redis;
static uint64_t counted, all_answered, request_bytes;
static int64_t worst_ns;

static double cpu_seconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void refuse(const struct connection *connection)
{
    fprintf(stderr, "closedloop: answered with\n%.*s\n", (int)(connection->held < 600 ? connection->held : 600),
            connection->reply);
    exit(1);
}

static void send_next(struct connection *connection, int64_t now_ns)
{
    static uint64_t sent;
    char play[PLAY_BYTES], request[REQUEST_BYTES];
    if (sent++ % TEXT_PERIOD == 0)
        refresh_times();
    const char *customer = ids + id_starts[chance() % id_count];
    int length = write_play(play, sizeof play, now_text), head;
    if (speaks_redis)
        head = snprintf(request, sizeof request, "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%d\r\n", strlen(customer), customer, length);
    else
        head = write_head(request, sizeof request, (size_t)length);
    memcpy(request + head, play, (size_t)length);
    length += head;
    if (speaks_redis) {
        memcpy(request + length, "\r\n", 2);
        length += 2;
    }
    connection->sent_ns = now_ns;
    connection->waits = 1;
    request_bytes += (uint64_t)length;
    if (send(connection->fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        fail("send");
}

/* Whether a whole answer has come; ends the run where it is not the one that is wanted. */
static int is_answered(struct connection *connection)
{
    if (speaks_redis) {
        if (connection->held < 5)
            return 0;
        if (connection->held != 5 || memcmp(connection->reply, "+OK\r\n", 5) != 0)
            refuse(connection);
        return 1;
    }
    ssize_t whole = reply_length(connection->reply, connection->held);
    if (whole == 0)
        return 0;
    /* The floor answers with the very bytes of such an answer. */
    if (whole != (ssize_t)connection->held || !memmem(connection->reply, connection->held, "\"accepted\":1,", 13))
        refuse(connection);
    return 1;
}

static void handle(struct connection *connection, int64_t counts_from_ns)
{
    ssize_t length = read(connection->fd, connection->reply + connection->held, REPLY_BYTES - connection->held);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0)
        fail("the server closed a connection");
    connection->held += (size_t)length;
    if (!is_answered(connection))
        return;
    connection->held = 0;
    connection->waits = 0;
    all_answered++;
    int64_t now_ns = clock_ns(), latency_ns = now_ns - connection->sent_ns;
    if (connection->sent_ns >= counts_from_ns) {
        latencies[bucket_of((uint64_t)latency_ns)]++;
        counted++;
        if (latency_ns > worst_ns)
            worst_ns = latency_ns;
    }
}

/* Until `until_ns`, and then for what is still to be answered; the instant at which the last counted answer was there. */
static void run(int epoll, int64_t counts_from_ns, int64_t until_ns)
{
    struct epoll_event events[256];
    int waiting = connection_count;
    for (int at = 0; at < connection_count; at++)
        send_next(&connections[at], clock_ns());
    while (waiting > 0) {
        int ready = epoll_wait(epoll, events, 256, 1000);
        if (ready < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int at = 0; at < ready; at++) {
            struct connection *connection = &connections[events[at].data.fd];
            handle(connection, counts_from_ns);
            if (connection->waits)
                continue;
            int64_t now_ns = clock_ns();
            if (now_ns < until_ns)
                send_next(connection, now_ns);
            else
                waiting--;
        }
        if (clock_ns() > until_ns + TIMEOUT_NS) {
            fprintf(stderr, "closedloop: %d connections have no answer after 10 s\n", waiting);
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    double seconds = argc == 6 ? atof(argv[4]) : 0;
    connection_count = argc == 6 ? atoi(argv[5]) : 0;
    speaks_redis = argc == 6 && !strcmp(argv[3], "set");
    if (seconds <= 0 || connection_count < 1 || connection_count > MAX_CONNECTIONS ||
        (!speaks_redis && strcmp(argv[3], "events"))) {
        fprintf(stderr, "usage: closedloop PORT IDS events|set SECONDS CONNECTIONS\n");
        return 2;
    }
    read_ids(argv[2]);
    connections = calloc((size_t)connection_count, sizeof *connections);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!connections || epoll < 0)
        fail("start");
    for (int at = 0; at < connection_count; at++) {
        connections[at].fd = connect_to(atoi(argv[1]));
        struct epoll_event event = {.events = EPOLLIN, .data.fd = at};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, connections[at].fd, &event))
            fail("epoll_ctl");
    }
    /* A million numbers for each second since 1970, so that no two runs share one. */
    next_event = (uint64_t)time(NULL) * 1000000;
    chance_state ^= next_event;
    int64_t begin_ns = clock_ns(), length_ns = (int64_t)(seconds * 1e9);
    double before = cpu_seconds();
    run(epoll, begin_ns + length_ns / 10, begin_ns + length_ns);
    int64_t end_ns = clock_ns();
    double whole_s = (double)(end_ns - begin_ns) / 1e9, counted_s = (double)(end_ns - begin_ns - length_ns / 10) / 1e9;
    printf("{\"answered\":%lu,\"counted\":%lu,\"seconds\":%.4f,\"per_s\":%.1f,\"busy\":%.4f,\"request_bytes\":%.1f,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f}\n",
           (unsigned long)all_answered, (unsigned long)counted, counted_s, (double)counted / counted_s,
           (cpu_seconds() - before) / whole_s, (double)request_bytes / (double)all_answered,
           percentile_us(0.5, counted), percentile_us(0.99, counted), percentile_us(0.999, counted), (double)worst_ns / 1e3);
    return 0;
}
