/* Preloaded into a program, it writes down every call that changes files below one directory, with its data and the instants
 * at which it began and returned, so that the directory can be rebuilt as a loss of power at any instant may have left it.
 * It can also let calls fail, wait, run out of space, or kill the process in the middle of one.
 *
 *   DISK_DIRECTORY  the directory, an absolute path without symbolic links
 *   DISK_TRACE      the beginning of the name of the file that the calls are written to; none if unset
 *   DISK_CONTROL    a file of CONTROL_WORDS 64-bit words that the test changes while the program runs; none if unset
 *
 * Calls that change files in ways that it cannot follow (a writable shared mapping, a link, a copy within the kernel) are
 * written down as unsupported, and the test then fails rather than believe the trace.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind {
    EXISTS = 1,  /* file, path, data: was there when the program began */
    CREATE,      /* file, path */
    WRITE,       /* file, offset, data */
    SIZE,        /* file, length: cut or grown with zeros */
    ALLOCATE,    /* file, offset + length: grown with zeros where it is shorter */
    SYNC,        /* file */
    MKDIR,       /* path */
    RENAME,      /* path, other path */
    UNLINK,      /* path */
    RMDIR,       /* path */
    SYNC_NAMES,  /* path of a directory */
    UNSUPPORTED, /* name of the call as path */
    BEGUN,       /* all that was there has been written down */
};

struct head {
    uint32_t kind;
    int32_t error; /* 0 where the call returned as asked */
    uint64_t start_ns, end_ns; /* CLOCK_MONOTONIC */
    uint64_t file;
    uint64_t offset, length;
    uint32_t path_bytes, other_bytes;
    uint64_t data_bytes;
};

/* Words of the control file. A countdown of n makes the n-th call from now the one; 0 is none. */
enum control {
    SPACE,       /* bytes that files below the directory may take; 0 for as many as there are */
    FAIL_SYNC,   /* countdown: fsync or fdatasync of a file returns EIO, once */
    FAIL_WRITE,  /* countdown: a write returns EIO, once */
    SYNC_US,     /* each sync of a file waits up to so many microseconds */
    FAULTS,      /* written here: how many calls were made to fail */
    KILL_IN,     /* the kind of call in which the process is killed by SIGKILL; 0 for none, ANY_CALL for any */
    KILL_AFTER,  /* countdown of calls of that kind */
    KILL_WHEN,   /* 0 before the call, 1 after it, 2 with half of its bytes written */
    SHORT_WRITE, /* countdown: a write takes half of its bytes and the next one returns EIO */
    HANG_SYNC,   /* while not 0, syncs of files do not return */
    LIE_SYNC,    /* not 0: syncs of files return 0 and are not done */
    LIE_NAMES,   /* not 0: syncs of directories return 0 and are not done */
    KILL_OF,     /* only calls on files of this kind count down KILL_AFTER; 0 for all */
    DIED_IN,     /* written here: the kind of the call in which the process was killed */
    DIED_OF,     /* written here: the kind of its file */
    FAULT_OF,    /* only calls on files of this kind count down FAIL_SYNC, FAIL_WRITE and SHORT_WRITE; 0 for all */
    ROTATIONS,   /* written here: how many files of the log were begun */
    CONTROL_WORDS,
};

#define ANY_CALL 255

/* Kinds of files, by their names. */
enum file_kind { SNAPSHOT_FILE = 1, SEGMENT_FILE, SPARE_FILE, OTHER_FILE };

static char directory[PATH_MAX];
static size_t directory_bytes;
static int trace = -1;
static volatile uint64_t *control;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int inside;

/* Files below the directory, by device and inode. An inode that is used again gets a new number when its file is created. */
static struct known {
    dev_t device;
    ino_t inode;
    uint64_t file;
} *known;
static size_t known_count, known_room;
static uint64_t next_file = 1;

#define REAL(result, name, ...)                             \
    static result (*real_##name)(__VA_ARGS__);              \
    static result (*find_##name(void))(__VA_ARGS__) {       \
        if (!real_##name) {                                 \
            real_##name = dlsym(RTLD_NEXT, #name);          \
        }                                                   \
        return real_##name;                                 \
    }
REAL(int, openat64, int, const char *, int, ...)
REAL(ssize_t, write, int, const void *, size_t)
REAL(ssize_t, writev, int, const struct iovec *, int)
REAL(ssize_t, pwritev64, int, const struct iovec *, int, off64_t)
REAL(int, ftruncate64, int, off64_t)
REAL(int, truncate64, const char *, off64_t)
REAL(int, fallocate64, int, int, off64_t, off64_t)
REAL(int, posix_fallocate64, int, off64_t, off64_t)
REAL(int, renameat2, int, const char *, int, const char *, unsigned)
REAL(int, unlinkat, int, const char *, int)
REAL(int, mkdirat, int, const char *, mode_t)
REAL(int, fsync, int)
REAL(int, fdatasync, int)
REAL(int, linkat, int, const char *, int, const char *, int)
REAL(int, symlinkat, const char *, int, const char *)
REAL(ssize_t, copy_file_range, int, off64_t *, int, off64_t *, size_t, unsigned)
REAL(ssize_t, sendfile64, int, int, off64_t *, size_t)
REAL(ssize_t, splice, int, off64_t *, int, off64_t *, size_t, unsigned)
REAL(int, fstatvfs64, int, struct statvfs64 *)
REAL(int, statvfs64, const char *, struct statvfs64 *)

/* Allocators map memory before names can be looked up. */
static void *map(void *at, size_t length, int protection, int flags, int descriptor, off64_t offset) {
    return (void *)syscall(SYS_mmap, at, length, protection, flags, descriptor, offset);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void complain(const char *what) {
    dprintf(2, "trace_disk: %s: %s\n", what, strerror(errno));
    _exit(86);
}

/* --- What is below the directory --------------------------------------------------------------------------------- */

static int is_below(const char *path) {
    return directory_bytes && !strncmp(path, directory, directory_bytes)
        && (path[directory_bytes] == '/' || !path[directory_bytes]);
}

/* The absolute path of an open descriptor. */
static int path_of(int descriptor, char *into) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t bytes = readlink(link, into, PATH_MAX - 1);
    if (bytes < 0) {
        return -1;
    }
    into[bytes] = 0;
    return 0;
}

/* The absolute path that a call names, its last part not resolved: the file need not exist. */
static int absolute(int at, const char *path, char *into) {
    char joined[2 * PATH_MAX], parent[PATH_MAX];
    if (path[0] == '/') {
        snprintf(joined, sizeof joined, "%s", path);
    } else {
        if (at == AT_FDCWD ? !getcwd(parent, sizeof parent) : path_of(at, parent) != 0) {
            return -1;
        }
        snprintf(joined, sizeof joined, "%s/%s", parent, path);
    }
    size_t bytes = strlen(joined);
    while (bytes > 1 && joined[bytes - 1] == '/') {
        joined[--bytes] = 0;
    }
    char *last = strrchr(joined, '/');
    *last = 0;
    if (!realpath(joined[0] ? joined : "/", parent)) {
        return -1;
    }
    return snprintf(into, PATH_MAX, "%s/%s", strcmp(parent, "/") ? parent : "", last + 1) < PATH_MAX ? 0 : -1;
}

static uint64_t number_of(dev_t device, ino_t inode) {
    for (size_t index = known_count; index-- > 0;) {
        if (known[index].inode == inode && known[index].device == device) {
            return known[index].file;
        }
    }
    return 0;
}

static uint64_t remember(const struct stat *status) {
    if (known_count == known_room) {
        known_room = known_room ? 2 * known_room : 256;
        known = realloc(known, known_room * sizeof *known);
        if (!known) {
            complain("memory");
        }
    }
    known[known_count++] = (struct known){status->st_dev, status->st_ino, next_file};
    return next_file++;
}

/* The number of the file that a descriptor is open on; 0 where it is none of ours. Called with the lock. */
static uint64_t file_of(int descriptor) {
    struct stat status;
    if (!directory_bytes || fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        return 0;
    }
    return number_of(status.st_dev, status.st_ino);
}

/* Bytes that the files in a directory take. */
static uint64_t taken_below(const char *path) {
    uint64_t bytes = 0;
    DIR *listing = opendir(path);
    if (!listing) {
        return 0;
    }
    for (struct dirent *entry; (entry = readdir(listing));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) {
            continue;
        }
        char below[PATH_MAX];
        struct stat status;
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (lstat(below, &status) == 0) {
            bytes += S_ISDIR(status.st_mode) ? taken_below(below) : (uint64_t)status.st_size;
        }
    }
    closedir(listing);
    return bytes;
}

/* --- The trace --------------------------------------------------------------------------------------------------- */

static void put(const void *bytes, size_t length) {
    const char *at = bytes;
    while (length > 0) {
        ssize_t put = find_write()(trace, at, length);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            complain("the trace cannot be written");
        }
        at += put;
        length -= (size_t)put;
    }
}

/* Writes a call down. Called with the lock. */
static void note(struct head head, const char *path, const char *other, const struct iovec *parts, int count) {
    if (trace < 0) {
        return;
    }
    head.path_bytes = path ? (uint32_t)strlen(path) : 0;
    head.other_bytes = other ? (uint32_t)strlen(other) : 0;
    uint64_t left = head.data_bytes;
    put(&head, sizeof head);
    put(path, head.path_bytes);
    put(other, head.other_bytes);
    for (int part = 0; part < count && left > 0; part++) {
        size_t bytes = parts[part].iov_len < left ? parts[part].iov_len : (size_t)left;
        put(parts[part].iov_base, bytes);
        left -= bytes;
    }
}

static void note_unsupported(const char *call) {
    pthread_mutex_lock(&lock);
    note((struct head){.kind = UNSUPPORTED, .start_ns = now_ns(), .end_ns = now_ns()}, call, NULL, NULL, 0);
    pthread_mutex_unlock(&lock);
}

/* A file that is there already. */
static void note_file(const char *path, const struct stat *status) {
    struct head head = {.kind = EXISTS, .file = remember(status), .start_ns = now_ns(), .end_ns = now_ns()};
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    char *data = status->st_size ? map(NULL, (size_t)status->st_size, PROT_READ, MAP_PRIVATE, file, 0) : NULL;
    if (file < 0 || data == MAP_FAILED) {
        complain(path);
    }
    struct iovec part = {data, (size_t)status->st_size};
    head.data_bytes = (uint64_t)status->st_size;
    note(head, path, NULL, &part, 1);
    if (data) {
        munmap(data, (size_t)status->st_size);
    }
    close(file);
}

/* The files that are there already. */
static void note_existing(const char *path) {
    DIR *listing = opendir(path);
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        char below[PATH_MAX];
        struct stat status;
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || lstat(below, &status) != 0) {
            continue;
        }
        if (S_ISDIR(status.st_mode)) {
            struct head head = {.kind = MKDIR, .start_ns = now_ns(), .end_ns = now_ns()};
            note(head, below, NULL, NULL, 0);
            note_existing(below);
        } else if (S_ISREG(status.st_mode)) {
            note_file(below, &status);
        }
    }
    if (listing) {
        closedir(listing);
    }
}

__attribute__((constructor)) static void begin(void) {
    const char *where = getenv("DISK_DIRECTORY"), *into = getenv("DISK_TRACE"), *by = getenv("DISK_CONTROL");
    if (!where) {
        return;
    }
    inside = 1;
    if (by) {
        int file = (int)syscall(SYS_openat, AT_FDCWD, by, O_RDWR | O_CLOEXEC, 0);
        void *words = file < 0 ? MAP_FAILED
            : map(NULL, CONTROL_WORDS * 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (words == MAP_FAILED) {
            complain(by);
        }
        control = words;
        close(file);
    }
    if (into) {
        /* A file for each process, in their order: a kill may cut the last record short. */
        char own[PATH_MAX];
        snprintf(own, sizeof own, "%s.%020llu", into, (unsigned long long)now_ns());
        trace = (int)syscall(SYS_openat, AT_FDCWD, own, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
        if (trace < 0) {
            complain(own);
        }
    }
    snprintf(directory, sizeof directory, "%s", where);
    directory_bytes = strlen(directory);
    /* Numbers of their own where the program is started again with the same trace. */
    next_file = ((uint64_t)getpid() << 32) + 1;
    note_existing(directory);
    note((struct head){.kind = BEGUN, .start_ns = now_ns(), .end_ns = now_ns()}, NULL, NULL, NULL, 0);
    inside = 0;
}

/* --- Faults ------------------------------------------------------------------------------------------------------ */

static uint64_t set(enum control word) { return control ? __atomic_load_n(&control[word], __ATOMIC_SEQ_CST) : 0; }

/* Whether this call is the one that a countdown names. */
static int counted_down(enum control word) {
    uint64_t left = set(word);
    while (left > 0) {
        if (__atomic_compare_exchange_n(&control[word], &left, left - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            return left == 1;
        }
    }
    return 0;
}

static void count_fault(void) { __atomic_fetch_add(&control[FAULTS], 1, __ATOMIC_SEQ_CST); }

static enum file_kind file_kind_of(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    return !strncmp(name, "snapshot-", 9) ? SNAPSHOT_FILE
        : !strncmp(name, "segment-", 8)   ? SEGMENT_FILE
        : !strncmp(name, "spare", 5)      ? SPARE_FILE
                                          : OTHER_FILE;
}

/* What is to happen in this call on a path: -1 nothing, else one of the values of KILL_WHEN. */
static int kill_in(enum kind kind, const char *path) {
    uint64_t in = set(KILL_IN), of = set(KILL_OF);
    enum file_kind file = file_kind_of(path);
    if ((in != kind && in != ANY_CALL) || (of && of != file) || !counted_down(KILL_AFTER)) {
        return -1;
    }
    __atomic_store_n(&control[DIED_OF], file, __ATOMIC_SEQ_CST);
    __atomic_store_n(&control[DIED_IN], kind, __ATOMIC_SEQ_CST);
    return (int)set(KILL_WHEN);
}

/* The same in a call on an open file. */
static int kill_in_file(enum kind kind, int descriptor) {
    char path[PATH_MAX];
    return set(KILL_IN) && path_of(descriptor, path) == 0 ? kill_in(kind, path) : -1;
}

/* Whether a call on an open file is the one that a countdown of failures names. */
static int fails_now(enum control word, int descriptor) {
    char path[PATH_MAX];
    uint64_t of = set(FAULT_OF);
    if (set(word) == 0 || (of && (path_of(descriptor, path) != 0 || file_kind_of(path) != of))) {
        return 0;
    }
    return counted_down(word);
}

/* A file that is made with this name, or gets it. */
static void count_rotation(const char *path) {
    if (control && file_kind_of(path) == SEGMENT_FILE) {
        __atomic_fetch_add(&control[ROTATIONS], 1, __ATOMIC_SEQ_CST);
    }
}

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) {
        pause();
    }
}

/* How many bytes more than `from` the files may have until the space is used up; `wanted` where there is enough. */
static uint64_t space_for(uint64_t wanted) {
    uint64_t space = set(SPACE);
    if (!space) {
        return wanted;
    }
    uint64_t taken = taken_below(directory);
    uint64_t left = taken < space ? space - taken : 0;
    return left < wanted ? left : wanted;
}

/* --- Writing ----------------------------------------------------------------------------------------------------- */

typedef ssize_t writes(int, const struct iovec *, int, off64_t);

static ssize_t write_at(int descriptor, const struct iovec *parts, int count, off64_t offset) {
    return find_pwritev64()(descriptor, parts, count, offset);
}

static ssize_t write_here(int descriptor, const struct iovec *parts, int count, off64_t offset) {
    (void)offset;
    return find_writev()(descriptor, parts, count);
}

/* The first so many bytes of what is to be written. */
static ssize_t write_some(writes *write, int descriptor, const struct iovec *parts, int count, off64_t offset, size_t most) {
    struct iovec some[64];
    int used = 0;
    for (; used < count && used < 64 && most > 0; used++) {
        some[used] = parts[used];
        some[used].iov_len = parts[used].iov_len < most ? parts[used].iov_len : most;
        most -= some[used].iov_len;
    }
    return used ? write(descriptor, some, used, offset) : 0;
}

static ssize_t traced_write(writes *write, int descriptor, const struct iovec *parts, int count, off64_t offset) {
    if (inside || !directory_bytes) {
        return write(descriptor, parts, count, offset);
    }
    pthread_mutex_lock(&lock);
    uint64_t file = file_of(descriptor);
    pthread_mutex_unlock(&lock);
    if (!file) {
        return write(descriptor, parts, count, offset);
    }
    /* The file of which half was written just now. */
    static volatile uint64_t fails_next;
    size_t bytes = 0;
    for (int part = 0; part < count; part++) {
        bytes += parts[part].iov_len;
    }
    if (fails_next == file || fails_now(FAIL_WRITE, descriptor)) {
        fails_next = 0;
        count_fault();
        errno = EIO;
        return -1;
    }
    size_t most = bytes;
    if (bytes > 1 && fails_now(SHORT_WRITE, descriptor)) {
        fails_next = file;
        count_fault();
        most = bytes / 2;
    }
    struct stat status;
    fstat(descriptor, &status);
    off64_t from = write == write_at ? offset : lseek64(descriptor, 0, SEEK_CUR);
    if (fcntl(descriptor, F_GETFL) & O_APPEND) {
        from = status.st_size;
    }
    if (from + (off64_t)most > status.st_size) {
        size_t grows = (size_t)(from + (off64_t)most - (from > status.st_size ? from : status.st_size));
        size_t may = (size_t)space_for(grows);
        if (may < grows) {
            most -= grows - may;
            if (most == 0) {
                errno = ENOSPC;
                return -1;
            }
        }
    }
    int killed = kill_in_file(WRITE, descriptor);
    if (killed == 0) {
        die();
    }
    struct head head = {.kind = WRITE, .file = file, .start_ns = now_ns()};
    ssize_t written = most == bytes && killed != 2
        ? write(descriptor, parts, count, offset)
        : write_some(write, descriptor, parts, count, offset, killed == 2 ? most / 2 : most);
    int error = errno;
    if (killed > 0) {
        die();
    }
    if (write == write_here && written > 0) {
        from = lseek64(descriptor, 0, SEEK_CUR) - written;
    }
    head.end_ns = now_ns();
    head.offset = (uint64_t)from;
    head.data_bytes = written > 0 ? (uint64_t)written : 0;
    pthread_mutex_lock(&lock);
    if (written > 0) {
        note(head, NULL, NULL, parts, count);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return written;
}

ssize_t write(int descriptor, const void *bytes, size_t length) {
    if (inside || !directory_bytes) {
        return find_write()(descriptor, bytes, length);
    }
    struct iovec part = {(void *)bytes, length};
    return traced_write(write_here, descriptor, &part, 1, 0);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    return traced_write(write_here, descriptor, parts, count, 0);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off64_t offset) {
    struct iovec part = {(void *)bytes, length};
    return traced_write(write_at, descriptor, &part, 1, offset);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t offset) {
    return pwrite64(descriptor, bytes, length, offset);
}

ssize_t pwritev64(int descriptor, const struct iovec *parts, int count, off64_t offset) {
    return traced_write(write_at, descriptor, parts, count, offset);
}

ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset) {
    return traced_write(write_at, descriptor, parts, count, offset);
}

ssize_t pwritev64v2(int descriptor, const struct iovec *parts, int count, off64_t offset, int flags) {
    if (flags) {
        note_unsupported("pwritev2 with flags");
    }
    return traced_write(offset == -1 ? write_here : write_at, descriptor, parts, count, offset);
}

ssize_t pwritev2(int descriptor, const struct iovec *parts, int count, off_t offset, int flags) {
    return pwritev64v2(descriptor, parts, count, offset, flags);
}

/* --- Sizes ------------------------------------------------------------------------------------------------------- */

int ftruncate64(int descriptor, off64_t length) {
    if (inside || !directory_bytes) {
        return find_ftruncate64()(descriptor, length);
    }
    int killed = -1;
    pthread_mutex_lock(&lock);
    struct head head = {.kind = SIZE, .file = file_of(descriptor), .length = (uint64_t)length};
    struct stat status;
    if (head.file && fstat(descriptor, &status) == 0 && length > status.st_size) {
        uint64_t grows = (uint64_t)(length - status.st_size);
        if (space_for(grows) < grows) {
            pthread_mutex_unlock(&lock);
            errno = ENOSPC;
            return -1;
        }
    }
    if (head.file && (killed = kill_in_file(SIZE, descriptor)) == 0) {
        die();
    }
    head.start_ns = now_ns();
    int result = find_ftruncate64()(descriptor, length);
    int error = errno;
    if (killed > 0) {
        die();
    }
    head.end_ns = now_ns();
    if (head.file && result == 0) {
        note(head, NULL, NULL, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int ftruncate(int descriptor, off_t length) { return ftruncate64(descriptor, length); }

int truncate64(const char *path, off64_t length) {
    char whole[PATH_MAX];
    if (!inside && absolute(AT_FDCWD, path, whole) == 0 && is_below(whole)) {
        note_unsupported("truncate");
    }
    return find_truncate64()(path, length);
}

int truncate(const char *path, off_t length) { return truncate64(path, length); }

/* Whether the file holds nothing but zeros there. */
static int are_zeros(int descriptor, off64_t offset, off64_t length) {
    char block[4096];
    for (off64_t end = offset + length; offset < end;) {
        size_t wanted = end - offset < (off64_t)sizeof block ? (size_t)(end - offset) : sizeof block;
        ssize_t count = pread64(descriptor, block, wanted, offset);
        if (count <= 0) {
            return count == 0;
        }
        for (ssize_t at = 0; at < count; at++) {
            if (block[at]) {
                return 0;
            }
        }
        offset += count;
    }
    return 1;
}

/* Allocates; returns an error's number, or 0. */
static int allocate(int descriptor, int mode, off64_t offset, off64_t length, int posix) {
    int killed = -1;
    pthread_mutex_lock(&lock);
    struct head head = {.kind = ALLOCATE, .file = file_of(descriptor), .offset = (uint64_t)offset};
    head.length = (uint64_t)length;
    struct stat status;
    if (head.file && fstat(descriptor, &status) == 0 && offset + length > status.st_size) {
        uint64_t grows = (uint64_t)(offset + length - status.st_size);
        if (space_for(grows) < grows) {
            pthread_mutex_unlock(&lock);
            return ENOSPC;
        }
    }
    if (head.file && (killed = kill_in_file(ALLOCATE, descriptor)) == 0) {
        die();
    }
    /* Where there are zeros, nothing is changed that a loss of power could undo. */
    int released = mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) && are_zeros(descriptor, offset, length);
    head.start_ns = now_ns();
    int error;
    if (posix) {
        error = find_posix_fallocate64()(descriptor, offset, length);
    } else {
        error = find_fallocate64()(descriptor, mode, offset, length) == 0 ? 0 : errno;
    }
    if (killed > 0) {
        die();
    }
    head.end_ns = now_ns();
    if (head.file && error == 0) {
        if (!released && (mode & ~FALLOC_FL_KEEP_SIZE)) {
            note((struct head){.kind = UNSUPPORTED}, "fallocate that changes contents", NULL, NULL, 0);
        } else if (!mode) {
            note(head, NULL, NULL, NULL, 0);
        }
    }
    pthread_mutex_unlock(&lock);
    return error;
}

int posix_fallocate64(int descriptor, off64_t offset, off64_t length) {
    if (inside || !directory_bytes) {
        return find_posix_fallocate64()(descriptor, offset, length);
    }
    return allocate(descriptor, 0, offset, length, 1);
}

int posix_fallocate(int descriptor, off_t offset, off_t length) {
    return posix_fallocate64(descriptor, offset, length);
}

int fallocate64(int descriptor, int mode, off64_t offset, off64_t length) {
    if (inside || !directory_bytes) {
        return find_fallocate64()(descriptor, mode, offset, length);
    }
    int error = allocate(descriptor, mode, offset, length, 0);
    errno = error ? error : errno;
    return error ? -1 : 0;
}

int fallocate(int descriptor, int mode, off_t offset, off_t length) {
    return fallocate64(descriptor, mode, offset, length);
}

/* --- Names ------------------------------------------------------------------------------------------------------- */

static int traced_open(int at, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX];
    int changes = (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
    if (inside || !directory_bytes || !changes || absolute(at, path, whole) != 0 || !is_below(whole)) {
        return find_openat64()(at, path, flags, mode);
    }
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        note_unsupported("open with O_TMPFILE");
    }
    if (flags & (O_SYNC | O_DSYNC)) {
        note_unsupported("open with O_SYNC or O_DSYNC");
    }
    int killed = -1;
    pthread_mutex_lock(&lock);
    struct stat before, after;
    int existed = lstat(whole, &before) == 0;
    if (existed && S_ISLNK(before.st_mode)) {
        note((struct head){.kind = UNSUPPORTED}, "open of a symbolic link", NULL, NULL, 0);
    }
    if (!existed && (flags & O_CREAT) && (killed = kill_in(CREATE, whole)) == 0) {
        die();
    }
    struct head head = {.kind = CREATE, .start_ns = now_ns()};
    int descriptor = find_openat64()(at, path, flags, mode);
    int error = errno;
    head.end_ns = now_ns();
    if (killed > 0) {
        die();
    }
    if (descriptor >= 0 && fstat(descriptor, &after) == 0 && S_ISREG(after.st_mode)) {
        if (!existed) {
            head.file = remember(&after);
            note(head, whole, NULL, NULL, 0);
            count_rotation(whole);
        } else if ((flags & O_TRUNC) && before.st_size > 0) {
            head.kind = SIZE;
            head.file = number_of(after.st_dev, after.st_ino);
            note(head, NULL, NULL, NULL, 0);
        }
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return descriptor;
}

#define MODE_OF(flags)                                    \
    mode_t mode = 0;                                      \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                \
        va_list rest;                                     \
        va_start(rest, flags);                            \
        mode = va_arg(rest, mode_t);                      \
        va_end(rest);                                     \
    }

int open64(const char *path, int flags, ...) {
    MODE_OF(flags)
    return traced_open(AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...) {
    MODE_OF(flags)
    return traced_open(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int openat64(int at, const char *path, int flags, ...) {
    MODE_OF(flags)
    return traced_open(at, path, flags, mode);
}

int openat(int at, const char *path, int flags, ...) {
    MODE_OF(flags)
    return traced_open(at, path, flags | O_LARGEFILE, mode);
}

int creat64(const char *path, mode_t mode) { return traced_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat(const char *path, mode_t mode) { return creat64(path, mode); }

/* A call that changes names, with what it is to be written down as. */
#define NAMED(kind_of_call, path, other, call)             \
    int killed = -1;                                       \
    pthread_mutex_lock(&lock);                             \
    const char *new_name = other;                          \
    if ((killed = kill_in(kind_of_call, new_name ? new_name : path)) == 0) { \
        die();                                             \
    }                                                      \
    struct head head = {.kind = (kind_of_call), .start_ns = now_ns()}; \
    int result = call;                                     \
    int error = errno;                                     \
    head.end_ns = now_ns();                                \
    if (killed > 0) {                                      \
        die();                                             \
    }                                                      \
    if (result == 0) {                                     \
        note(head, path, new_name, NULL, 0);               \
        if (new_name) {                                    \
            count_rotation(new_name);                      \
        }                                                  \
    }                                                      \
    pthread_mutex_unlock(&lock);                           \
    errno = error;                                         \
    return result;

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    char source[PATH_MAX], target[PATH_MAX];
    int ours = !inside && absolute(from_at, from, source) == 0 && absolute(to_at, to, target) == 0
        && (is_below(source) || is_below(target));
    if (!ours) {
        return find_renameat2()(from_at, from, to_at, to, flags);
    }
    struct stat status;
    if (flags & ~1u || !is_below(source) || !is_below(target) || lstat(source, &status) != 0 || !S_ISREG(status.st_mode)) {
        note_unsupported("rename of a directory, out of the directory, or with flags");
    }
    NAMED(RENAME, source, target, find_renameat2()(from_at, from, to_at, to, flags))
}

int renameat(int from_at, const char *from, int to_at, const char *to) { return renameat2(from_at, from, to_at, to, 0); }
int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int at, const char *path, int flags) {
    char whole[PATH_MAX];
    if (inside || absolute(at, path, whole) != 0 || !is_below(whole)) {
        return find_unlinkat()(at, path, flags);
    }
    enum kind kind = flags & AT_REMOVEDIR ? RMDIR : UNLINK;
    NAMED(kind, whole, NULL, find_unlinkat()(at, path, flags))
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int at, const char *path, mode_t mode) {
    char whole[PATH_MAX];
    if (inside || absolute(at, path, whole) != 0 || !is_below(whole)) {
        return find_mkdirat()(at, path, mode);
    }
    NAMED(MKDIR, whole, NULL, find_mkdirat()(at, path, mode))
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* --- Syncs ------------------------------------------------------------------------------------------------------- */

static int traced_sync(int descriptor, int (*sync)(int)) {
    struct stat status;
    char path[PATH_MAX];
    if (inside || !directory_bytes || fstat(descriptor, &status) != 0) {
        return sync(descriptor);
    }
    struct head head = {.kind = SYNC};
    const char *name = NULL;
    if (S_ISDIR(status.st_mode)) {
        if (path_of(descriptor, path) != 0 || !is_below(path)) {
            return sync(descriptor);
        }
        head.kind = SYNC_NAMES;
        name = path;
    } else {
        pthread_mutex_lock(&lock);
        head.file = file_of(descriptor);
        pthread_mutex_unlock(&lock);
        if (!head.file) {
            return sync(descriptor);
        }
    }
    if (set(head.kind == SYNC ? LIE_SYNC : LIE_NAMES)) {
        return 0;
    }
    head.start_ns = now_ns();
    int killed = kill_in_file(head.kind, descriptor);
    if (killed == 0) {
        die();
    }
    int result = 0, error = 0;
    if (head.kind == SYNC && fails_now(FAIL_SYNC, descriptor)) {
        count_fault();
        result = -1;
        error = EIO;
    } else {
        while (head.kind == SYNC && set(HANG_SYNC)) {
            usleep(1000);
        }
        uint64_t most = head.kind == SYNC ? set(SYNC_US) : 0;
        if (most) {
            /* As good a chance as any, and none that the test has to seed: what is found is replayed from the trace. */
            usleep((useconds_t)(head.start_ns / 64 % most));
        }
        result = sync(descriptor);
        error = errno;
    }
    if (killed > 0) {
        die();
    }
    head.end_ns = now_ns();
    head.error = result == 0 ? 0 : error;
    pthread_mutex_lock(&lock);
    note(head, name, NULL, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int fsync(int descriptor) { return traced_sync(descriptor, find_fsync()); }
int fdatasync(int descriptor) { return traced_sync(descriptor, find_fdatasync()); }

/* --- Space ------------------------------------------------------------------------------------------------------- */

static void bound(uint64_t block, uint64_t *free, uint64_t *available, uint64_t *blocks) {
    if (set(SPACE) && block) {
        *blocks = set(SPACE) / block;
        *free = *available = space_for(set(SPACE)) / block;
    }
}

int fstatvfs64(int descriptor, struct statvfs64 *of) {
    char path[PATH_MAX];
    int result = find_fstatvfs64()(descriptor, of);
    if (result == 0 && set(SPACE) && path_of(descriptor, path) == 0 && is_below(path)) {
        bound(of->f_frsize, &of->f_bfree, &of->f_bavail, &of->f_blocks);
    }
    return result;
}

int statvfs64(const char *path, struct statvfs64 *of) {
    char whole[PATH_MAX];
    int result = find_statvfs64()(path, of);
    if (result == 0 && set(SPACE) && realpath(path, whole) && is_below(whole)) {
        bound(of->f_frsize, &of->f_bfree, &of->f_bavail, &of->f_blocks);
    }
    return result;
}

/* On 64-bit Linux both structures are the same. */
int fstatvfs(int descriptor, struct statvfs *of) { return fstatvfs64(descriptor, (struct statvfs64 *)of); }
int statvfs(const char *path, struct statvfs *of) { return statvfs64(path, (struct statvfs64 *)of); }

/* --- What cannot be followed ------------------------------------------------------------------------------------- */

void *mmap64(void *at, size_t length, int protection, int flags, int descriptor, off64_t offset) {
    if (!inside && directory_bytes && descriptor >= 0 && flags & MAP_SHARED && protection & PROT_WRITE) {
        pthread_mutex_lock(&lock);
        uint64_t file = file_of(descriptor);
        pthread_mutex_unlock(&lock);
        if (file) {
            note_unsupported("writable shared mapping");
        }
    }
    return map(at, length, protection, flags, descriptor, offset);
}

void *mmap(void *at, size_t length, int protection, int flags, int descriptor, off_t offset) {
    return mmap64(at, length, protection, flags, descriptor, offset);
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    char whole[PATH_MAX];
    if (!inside && absolute(to_at, to, whole) == 0 && is_below(whole)) {
        note_unsupported("link");
    }
    return find_linkat()(from_at, from, to_at, to, flags);
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int symlinkat(const char *target, int at, const char *path) {
    char whole[PATH_MAX];
    if (!inside && absolute(at, path, whole) == 0 && is_below(whole)) {
        note_unsupported("symlink");
    }
    return find_symlinkat()(target, at, path);
}

int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }

static void refuse_into(int descriptor, const char *call) {
    pthread_mutex_lock(&lock);
    uint64_t file = inside ? 0 : file_of(descriptor);
    pthread_mutex_unlock(&lock);
    if (file) {
        note_unsupported(call);
    }
}

ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *into, size_t length, unsigned flags) {
    refuse_into(to, "copy_file_range");
    return find_copy_file_range()(from, at, to, into, length, flags);
}

ssize_t sendfile64(int to, int from, off64_t *at, size_t length) {
    refuse_into(to, "sendfile");
    return find_sendfile64()(to, from, at, length);
}

ssize_t sendfile(int to, int from, off_t *at, size_t length) { return sendfile64(to, from, (off64_t *)at, length); }

ssize_t splice(int from, off64_t *at, int to, off64_t *into, size_t length, unsigned flags) {
    refuse_into(to, "splice");
    return find_splice()(from, at, to, into, length, flags);
}
