/* A small log for the tests of the tracing itself: appends records to segments and says which of them are durable.
 *
 *   appender DIRECTORY RECORDS FAULT
 *
 * A line for each record that it acknowledges: its number, when its write began and when it was acknowledged, in nanoseconds
 * of CLOCK_MONOTONIC. FAULT names what it does wrong: none, forget_parent, forget_names, forget_file, acknowledge_early,
 * sync_before_write, retry_sync.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { RECORD = 700, RECORDS_PER_SEGMENT = 10 };

static const char *fault;

static int does(const char *name) { return !strcmp(fault, name); }

static unsigned long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned long long)now.tv_sec * 1000000000u + (unsigned long long)now.tv_nsec;
}

static void check(int result, const char *call) {
    if (result < 0) {
        perror(call);
        exit(1);
    }
}

static void sync_names(const char *path) {
    int directory = open(path, O_RDONLY | O_DIRECTORY);
    check(directory, path);
    check(fsync(directory), "fsync of a directory");
    close(directory);
}

/* A new segment: made under another name, so that it is there whole or not at all. */
static int segment(const char *directory, int number) {
    char made[4096], name[4096];
    snprintf(made, sizeof made, "%s/being-made", directory);
    snprintf(name, sizeof name, "%s/segment-%04d", directory, number);
    int file = open(made, O_RDWR | O_CREAT | O_EXCL, 0600);
    check(file, made);
    check(-posix_fallocate(file, 0, RECORD * RECORDS_PER_SEGMENT), "posix_fallocate");
    if (!does("forget_file")) {
        check(fdatasync(file), "fdatasync");
    }
    check(rename(made, name), "rename");
    if (!does("forget_names")) {
        sync_names(directory);
    }
    return file;
}

int main(int count, char **arguments) {
    if (count != 4) {
        return 2;
    }
    const char *directory = arguments[1];
    int records = atoi(arguments[2]), file = -1;
    fault = arguments[3];
    check(mkdir(directory, 0700), "mkdir");
    if (!does("forget_parent")) {
        char parent[4096];
        snprintf(parent, sizeof parent, "%s/..", directory);
        sync_names(parent);
    }
    for (int number = 0; number < records; number++) {
        int at = number % RECORDS_PER_SEGMENT;
        if (at == 0) {
            if (file >= 0) {
                close(file);
            }
            file = segment(directory, number / RECORDS_PER_SEGMENT);
        }
        char record[RECORD];
        memset(record, 'a' + number % 26, sizeof record);
        snprintf(record, sizeof record, "%d", number);
        unsigned long long begun = now_ns();
        if (does("sync_before_write") || does("forget_file")) {
            check(does("forget_file") ? 0 : fdatasync(file), "fdatasync");
            check((int)pwrite(file, record, sizeof record, at * RECORD), "pwrite");
        } else {
            check((int)pwrite(file, record, sizeof record, at * RECORD), "pwrite");
            if (does("acknowledge_early")) {
                printf("%d %llu %llu\n", number, begun, now_ns());
            }
            int synced = fdatasync(file);
            if (synced != 0 && does("retry_sync")) {
                synced = fdatasync(file);
            }
            check(synced, "fdatasync");
        }
        if (!does("acknowledge_early")) {
            printf("%d %llu %llu\n", number, begun, now_ns());
        }
    }
    return 0;
}
