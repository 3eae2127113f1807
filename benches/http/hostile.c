/*
 * Hostile clients, all from one thread.
 *
 *   hostile PORT slow|half|nonreading COUNT SECONDS
 *
 *   slow        each sends one byte of a request's head a second, and never ends it
 *   half        each sends half a head, and then nothing more: as when the peer has lost its network
 *   nonreading  each sends requests as fast as they are taken, and never reads an answer
 *
 * Prints "connected" on a line once all have connected, runs for SECONDS, and prints one JSON object: connections made,
 * those that the server has closed meanwhile, bytes that it took.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CLIENTS = 60000, TICKS_PER_S = 100, PIPELINE = 64, PIPELINE_BYTES = 8192 };

static const char HEAD[] = "GET /should-show-ad/1 HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ";

static int fds[MAX_CLIENTS];
static size_t sent[MAX_CLIENTS];
static int connected, closed;
static uint64_t bytes_taken;
static char pipeline[PIPELINE_BYTES];
static size_t pipeline_bytes;

static int connect_to(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) || fcntl(fd, F_SETFL, O_NONBLOCK)) {
        perror("connect");
        exit(1);
    }
    return fd;
}

/* Sends some bytes; what the socket does not take is left. */
static void send_some(int client, const char *bytes, size_t length)
{
    ssize_t taken = send(fds[client], bytes, length, MSG_NOSIGNAL);
    if (taken > 0) {
        sent[client] += (size_t)taken;
        bytes_taken += (uint64_t)taken;
    } else if (errno != EAGAIN && errno != EINTR) {
        close(fds[client]);
        fds[client] = -1;
        closed++;
    }
}

static void look_for_end(int client)
{
    char answer[4096];
    ssize_t length = recv(fds[client], answer, sizeof answer, 0);
    if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR)) {
        close(fds[client]);
        fds[client] = -1;
        closed++;
    }
}

static void act(int client, char kind)
{
    if (fds[client] < 0)
        return;
    if (kind == 'n') {
        /* Continues within the requests where the last round ended. */
        size_t from = sent[client] % pipeline_bytes;
        send_some(client, pipeline + from, pipeline_bytes - from);
        return;
    }
    if (kind == 'h' && sent[client] == 0)
        send_some(client, HEAD, sizeof HEAD / 2);
    else if (kind == 's')
        send_some(client, sent[client] < sizeof HEAD - 1 ? HEAD + sent[client] : "a", 1);
    if (fds[client] >= 0)
        look_for_end(client);
}

static void wait_until(double instant, struct timespec begin)
{
    int64_t ns = begin.tv_sec * 1000000000L + begin.tv_nsec + (int64_t)(1e9 * instant);
    struct timespec until = {.tv_sec = ns / 1000000000L, .tv_nsec = ns % 1000000000L};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

int main(int argc, char **argv)
{
    int count = argc == 5 ? atoi(argv[3]) : 0, seconds = argc == 5 ? atoi(argv[4]) : 0;
    char kind = argc == 5 ? argv[2][0] : 0;
    if (count < 1 || count > MAX_CLIENTS || seconds < 1 || !strchr("shn", kind) || !kind) {
        fprintf(stderr, "usage: hostile PORT slow|half|nonreading COUNT SECONDS\n");
        return 2;
    }
    for (int at = 0; at < PIPELINE; at++)
        pipeline_bytes += (size_t)snprintf(pipeline + pipeline_bytes, sizeof pipeline - pipeline_bytes,
                                           "GET /should-show-ad/%d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", at);
    for (; connected < count; connected++)
        fds[connected] = connect_to(atoi(argv[1]));
    printf("connected\n");
    fflush(stdout);
    struct timespec begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int tick = 0; tick < seconds * TICKS_PER_S; tick++) {
        /* Each client has its turn once a second. */
        for (int client = tick % TICKS_PER_S; client < count; client += TICKS_PER_S)
            act(client, kind);
        wait_until((double)(tick + 1) / TICKS_PER_S, begin);
    }
    printf("{\"connected\":%d,\"closed\":%d,\"bytes_taken\":%lu}\n", connected, closed, (unsigned long)bytes_taken);
    return 0;
}
