/*
 * The floor: the least a server on this machine can do for an HTTP/1.1 GET.
 *
 *   floor REPLY_FILE
 *
 * One thread, one epoll loop, level-triggered. It looks for the end of each request's head and answers with the bytes
 * of REPLY_FILE, head and body; it reads no path, header or clock. Connections stay open and requests may be
 * pipelined. Requests must have no body. Prints "port N" (loopback, chosen by the kernel), then serves until it is
 * ended by a signal.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 65536, MAX_EVENTS = 256, READ_BYTES = 16384, MAX_REPLY_BYTES = 4096, COPIES = 64 };

/* What a connection is waiting for; indexed by file descriptor. */
struct connection {
    size_t owed_bytes;       /* replies not written yet */
    unsigned matched;        /* bytes of "\r\n\r\n" seen at the end of what was read */
    int waits_for_room;      /* whether epoll reports when it can be written to */
};

static struct connection connections[MAX_CONNECTIONS];
static char replies[COPIES * MAX_REPLY_BYTES]; /* the reply, COPIES times over */
static size_t reply_bytes;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void read_reply(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail(path);
    reply_bytes = fread(replies, 1, MAX_REPLY_BYTES + 1, file);
    if (ferror(file))
        fail(path);
    fclose(file);
    if (reply_bytes == 0 || reply_bytes > MAX_REPLY_BYTES) {
        fprintf(stderr, "floor: %s must hold 1 to %d bytes\n", path, MAX_REPLY_BYTES);
        exit(1);
    }
    for (int copy = 1; copy < COPIES; copy++)
        memcpy(replies + (size_t)copy * reply_bytes, replies, reply_bytes);
}

static int listen_on_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0)
        fail("socket");
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 1024))
        fail("listen");
    if (getsockname(listener, (struct sockaddr *)&address, &length))
        fail("getsockname");
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static void watch(int epoll, int operation, int fd, unsigned events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, operation, fd, &event))
        fail("epoll_ctl");
}

static void accept_all(int epoll, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)
                return;
            fail("accept");
        }
        if (fd >= MAX_CONNECTIONS) {
            close(fd);
            continue;
        }
        int yes = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        connections[fd] = (struct connection){0};
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

/* How many heads end within these bytes. */
static size_t heads(struct connection *connection, const char *bytes, size_t length)
{
    static const char END[] = "\r\n\r\n";
    size_t count = 0;
    unsigned matched = connection->matched;
    for (size_t at = 0; at < length; at++) {
        if (bytes[at] == END[matched])
            matched++;
        else
            matched = bytes[at] == '\r';
        if (matched == 4) {
            count++;
            matched = 0;
        }
    }
    connection->matched = matched;
    return count;
}

/* Writes what is owed, as far as the socket takes it; 0 when the connection is broken. */
static int write_owed(int epoll, int fd)
{
    struct connection *connection = &connections[fd];
    while (connection->owed_bytes > 0) {
        size_t begun = connection->owed_bytes % reply_bytes;
        size_t offset = begun ? reply_bytes - begun : 0;
        size_t room = COPIES * reply_bytes - offset;
        size_t length = connection->owed_bytes < room ? connection->owed_bytes : room;
        ssize_t written = send(fd, replies + offset, length, MSG_NOSIGNAL);
        if (written < 0 && errno != EAGAIN)
            return 0;
        if (written < 0)
            break;
        connection->owed_bytes -= (size_t)written;
    }
    int waits = connection->owed_bytes > 0;
    if (waits != connection->waits_for_room) {
        connection->waits_for_room = waits;
        /* While replies wait, nothing more is read: a client that does not read is not served for ever. */
        watch(epoll, EPOLL_CTL_MOD, fd, waits ? EPOLLOUT : EPOLLIN);
    }
    return 1;
}

/* 0 when the connection is over. */
static int serve(int epoll, int fd, unsigned events)
{
    static char bytes[READ_BYTES];
    if (events & EPOLLIN) {
        ssize_t length = read(fd, bytes, sizeof bytes);
        if (length < 0)
            return errno == EAGAIN || errno == EINTR;
        if (length == 0)
            return 0;
        connections[fd].owed_bytes += heads(&connections[fd], bytes, (size_t)length) * reply_bytes;
    } else if (events & (EPOLLERR | EPOLLHUP)) {
        return 0;
    }
    return write_owed(epoll, fd);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: floor REPLY_FILE\n");
        return 2;
    }
    read_reply(argv[1]);
    int listener = listen_on_loopback();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        fail("epoll_create1");
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        int count = epoll_wait(epoll, events, MAX_EVENTS, -1);
        if (count < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int at = 0; at < count; at++) {
            int fd = events[at].data.fd;
            if (fd == listener)
                accept_all(epoll, listener);
            else if (!serve(epoll, fd, events[at].events))
                close(fd);
        }
    }
}
