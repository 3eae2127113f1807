/*
 * What one command takes.
 *
 *   measure RESULT COMMAND ARGUMENT...
 *
 * Runs it, and writes one JSON object to the file RESULT: seconds from its start to its end, seconds of CPU, and the
 * most memory that it had resident, in bytes. A process inherits the peak of the one that it is forked from, so a small
 * one has to do that. Ends with the command's status; the command ends with it.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: measure RESULT COMMAND ARGUMENT...\n");
        return 2;
    }
    double begin = seconds();
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    int status;
    struct rusage usage;
    if (child < 0 || wait4(child, &status, 0, &usage) < 0) {
        perror("measure");
        return 1;
    }
    double wall = seconds() - begin;
    FILE *result = fopen(argv[1], "w");
    if (!result) {
        perror(argv[1]);
        return 1;
    }
    double user = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6;
    double system = (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
    fprintf(result, "{\"wall_s\":%.6f,\"cpu_s\":%.6f,\"peak_bytes\":%ld}\n", wall, user + system, usage.ru_maxrss * 1024);
    fclose(result);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
