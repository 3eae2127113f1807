/*
 * Preloaded into a server, it lets every fsync and fdatasync take SLOW_SYNC_S seconds longer while the file SLOW_SYNC is there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int slowly(const char *name, int file)
{
    const char *path = getenv("SLOW_SYNC"), *seconds = getenv("SLOW_SYNC_S");
    if (path && seconds && access(path, F_OK) == 0) {
        struct timespec left = {.tv_sec = atoi(seconds)};
        while (nanosleep(&left, &left))
            ;
    }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(file);
}

int fsync(int file)
{
    return slowly("fsync", file);
}

int fdatasync(int file)
{
    return slowly("fdatasync", file);
}
