/* Customers, one an id, and plays of theirs as a request that posts a JSON array. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { BATCH = 100, BATCH_BYTES = BATCH * 192 + 256, EDGES = 16, TRACKS = 1750, WINDOW_S = 28 * 86400 };

static char *ids;
static size_t *id_starts, id_count;
static uint64_t next_event;
static char batch[BATCH_BYTES];
static size_t batch_bytes;
static char now_text[32], edge_texts[EDGES][32];
static time_t texts_of;
static uint64_t chance_state = 0x9e3779b97f4a7c15;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* Marsaglia's xorshift64 (2003). */
static uint64_t chance(void)
{
    chance_state ^= chance_state << 13;
    chance_state ^= chance_state >> 7;
    chance_state ^= chance_state << 17;
    return chance_state;
}

/* One id a line. */
static void read_ids(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat about;
    if (!file || fstat(fileno(file), &about))
        fail(path);
    size_t length = (size_t)about.st_size;
    ids = malloc(length + 1);
    id_starts = malloc((length / 2 + 1) * sizeof *id_starts);
    if (!ids || !id_starts || fread(ids, 1, length, file) != length)
        fail(path);
    fclose(file);
    for (size_t start = 0; start < length;) {
        char *end = memchr(ids + start, '\n', length - start);
        if (!end)
            break;
        *end = 0;
        id_starts[id_count++] = start;
        start = (size_t)(end - ids) + 1;
    }
    if (id_count == 0) {
        fprintf(stderr, "%s holds no ids\n", path);
        exit(1);
    }
}

static inline void write_time(char text[32], time_t instant)
{
    struct tm parts;
    gmtime_r(&instant, &parts);
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

/* This second, and the seconds in which plays that are as old as the window will leave it. */
static inline void refresh_times(void)
{
    time_t now = time(NULL);
    if (now == texts_of)
        return;
    texts_of = now;
    write_time(now_text, now);
    for (int at = 0; at < EDGES; at++)
        write_time(edge_texts[at], now - WINDOW_S + 1 + at / 2);
}

/* One play of a random customer as JSON, with the next number; how many bytes it has. */
static inline int write_play(char *to, size_t room, const char *when)
{
    uint64_t random = chance();
    return snprintf(to, room,
                    "{\"type\":\"play\",\"event_id\":%lu,\"customer_id\":\"%s\",\"track_id\":%lu,\"time\":\"%s\","
                    "\"mobile\":%s,\"zip\":\"10234\"}",
                    (unsigned long)next_event++, ids + id_starts[random % id_count],
                    (unsigned long)((random >> 32) % TRACKS), when, random >> 63 ? "true" : "false");
}

/* The head of a request that posts `length` bytes of JSON; how many bytes it has. */
static inline int write_head(char *to, size_t room, size_t length)
{
    return snprintf(to, room,
                    "POST /events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                    "Content-Length: %zu\r\n\r\n",
                    length);
}

static inline void make_batch(void)
{
    char body[BATCH_BYTES];
    size_t length = 0;
    refresh_times();
    for (int at = 0; at < BATCH; at++) {
        body[length++] = at ? ',' : '[';
        const char *when = at % 2 ? now_text : edge_texts[at / 2 % EDGES];
        length += (size_t)write_play(body + length, sizeof body - length, when);
    }
    body[length++] = ']';
    int head = write_head(batch, sizeof batch, length);
    memcpy(batch + head, body, length);
    batch_bytes = (size_t)head + length;
}
