/*
 * The disk's own: 4 KiB written over zeros and fdatasync, one after the other, as a log with one record at a time.
 *
 *   syncs DIRECTORY SECONDS
 *
 * The file is filled with zeros and synced before the clock starts, so that a sync writes data alone and no list of blocks.
 * It is removed at the end. Prints one JSON object; a latency is that of a write and its sync together.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "latencies.h"

enum { BLOCK_BYTES = 4096, BLOCKS = 8192, FILL_BYTES = 1 << 20 };

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

int main(int argc, char **argv)
{
    static char bytes[FILL_BYTES];
    char path[4096];
    double seconds = argc == 3 ? atof(argv[2]) : 0;
    if (seconds <= 0) {
        fprintf(stderr, "usage: syncs DIRECTORY SECONDS\n");
        return 2;
    }
    snprintf(path, sizeof path, "%s/syncs-%d", argv[1], (int)getpid());
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
        fail(path);
    unlink(path);
    for (int at = 0; at < BLOCKS * BLOCK_BYTES / FILL_BYTES; at++)
        if (write(file, bytes, sizeof bytes) != (ssize_t)sizeof bytes)
            fail("write");
    if (fsync(file))
        fail("fsync");
    memset(bytes, 7, BLOCK_BYTES);
    uint64_t count = 0;
    int64_t worst_ns = 0, begin_ns = clock_ns(), now_ns = begin_ns;
    while ((double)(now_ns - begin_ns) < seconds * 1e9) {
        /* Once round, it writes over what it wrote: data as well. */
        off_t at = (off_t)(count % BLOCKS) * BLOCK_BYTES;
        int64_t start_ns = clock_ns();
        if (pwrite(file, bytes, BLOCK_BYTES, at) != BLOCK_BYTES || fdatasync(file))
            fail("fdatasync");
        now_ns = clock_ns();
        latencies[bucket_of((uint64_t)(now_ns - start_ns))]++;
        count++;
        if (now_ns - start_ns > worst_ns)
            worst_ns = now_ns - start_ns;
    }
    printf("{\"syncs\":%lu,\"per_s\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f}\n",
           (unsigned long)count, (double)count / ((double)(now_ns - begin_ns) / 1e9), percentile_us(0.5, count),
           percentile_us(0.99, count), percentile_us(0.999, count), (double)worst_ns / 1e3);
    return 0;
}
