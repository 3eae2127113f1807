/* What clients of HTTP/1.1 have in common: the clock, connections, and how long a reply is. Include plays.h before it. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

enum { REPLY_BYTES = 16384 };

static const int64_t SECOND_NS = 1000000000;

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static int connect_to(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (fcntl(fd, F_SETFL, O_NONBLOCK))
        fail("fcntl");
    return fd;
}

/* Bytes of the first whole reply in these, 0 when it has not come whole, -1 when it is not a 200. */
static ssize_t reply_length(const char *bytes, size_t held)
{
    const char *end = memmem(bytes, held, "\r\n\r\n", 4);
    if (!end)
        return held < REPLY_BYTES ? 0 : -1;
    if (memcmp(bytes, "HTTP/1.1 200", 12) != 0)
        return -1;
    for (const char *line = bytes; line < end; line = (const char *)memmem(line, (size_t)(end + 2 - line), "\r\n", 2) + 2) {
        if (strncasecmp(line, "content-length:", 15) == 0) {
            size_t whole = (size_t)(end + 4 - bytes) + strtoul(line + 15, NULL, 10);
            return whole > REPLY_BYTES ? -1 : held >= whole ? (ssize_t)whole : 0;
        }
    }
    return -1;
}
