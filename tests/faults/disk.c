/* A disk that fails when it is told to: LD_PRELOAD this, then call `fault_arm`, `fault_trace` and `fault_mark`.

   Only files below the folder given to `fault_watch` are concerned. Every call that changes or syncs one is counted;
   the n-th can kill the process, or fail, as a full or a broken disk does. The trace holds what was written, and
   where a sync made it durable, so that a power loss at any point can be played afterwards. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OFF, KILL, FULL, BROKEN, BROKEN_SYNC };

static char watched[PATH_MAX];
static int mode, left, calls, log_fd = -1;

struct head {
    uint8_t kind, pad[7];
    int64_t offset, path_length, data_length;
};

void fault_watch(const char *folder) { snprintf(watched, sizeof watched, "%s", folder); }
void fault_arm(int what, int nth) { mode = what; left = nth; calls = 0; }
int fault_calls(void) { return calls; }

static void record(char kind, const char *path, int64_t offset, const void *data, int64_t length) {
    if (log_fd < 0) return;
    struct head head = {.kind = kind, .offset = offset, .path_length = strlen(path), .data_length = length};
    struct iovec parts[3] = {{&head, sizeof head}, {(void *)path, strlen(path)}, {(void *)data, length}};
    if (syscall(SYS_writev, log_fd, parts, 3) < 0) raise(SIGABRT);
}

void fault_trace(const char *file) {
    if (log_fd >= 0) syscall(SYS_close, log_fd);
    log_fd = *file ? open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
}
void fault_mark(int number) { record('M', "", number, "", 0); }

static int concerns(int fd, char *path) {
    if (!*watched) return 0;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strncmp(path, watched, strlen(watched)) == 0;
}

/* The shared-memory file is no part of what a power loss leaves, but it needs room on the disk like any other. */
static int is_shared_memory(const char *path) {
    size_t length = strlen(path);
    return length > 4 && strcmp(path + length - 4, "-shm") == 0;
}

/* Returns the error that the call has to fail with, 0 to go on. */
static int meet(int is_write, int is_sync) {
    calls++;
    if (mode == OFF || (mode == BROKEN_SYNC && !is_sync) || (mode == FULL && !is_write)) return 0;
    if (--left > 0) return 0;
    if (mode == KILL) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    if (mode == FULL) return ENOSPC; /* from here on */
    mode = OFF;                      /* once */
    return EIO;
}

#define FAIL_OR_GO(is_write, is_sync)                  \
    do {                                               \
        int error = meet(is_write, is_sync);           \
        if (error) { errno = error; return -1; }       \
    } while (0)

static ssize_t write_at(int fd, const void *data, size_t length, off_t offset) {
    char path[PATH_MAX];
    int ours = concerns(fd, path);
    if (ours) FAIL_OR_GO(1, 0);
    ssize_t done = syscall(SYS_pwrite64, fd, data, length, offset);
    if (ours && done > 0 && !is_shared_memory(path)) record('W', path, offset, data, done);
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return write_at(fd, data, length, offset); }
ssize_t pwrite64(int fd, const void *data, size_t length, off_t offset) { return write_at(fd, data, length, offset); }

ssize_t write(int fd, const void *data, size_t length) {
    char path[PATH_MAX];
    int ours = concerns(fd, path);
    off_t offset = 0;
    if (ours) {
        offset = lseek(fd, 0, SEEK_CUR);
        FAIL_OR_GO(1, 0);
    }
    ssize_t done = syscall(SYS_write, fd, data, length);
    if (ours && done > 0 && !is_shared_memory(path)) record('W', path, offset, data, done);
    return done;
}

static int cut(int fd, off_t length) {
    char path[PATH_MAX];
    int ours = concerns(fd, path);
    if (ours) FAIL_OR_GO(1, 0);
    int done = syscall(SYS_ftruncate, fd, length);
    if (ours && done == 0 && !is_shared_memory(path)) record('T', path, length, "", 0);
    return done;
}
int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off_t length) { return cut(fd, length); }

static int sync_file(int fd, long number) {
    char path[PATH_MAX];
    int ours = concerns(fd, path);
    if (ours) FAIL_OR_GO(0, 1);
    int done = syscall(number, fd);
    if (ours && done == 0) record('S', path, 0, "", 0);
    return done;
}
int fsync(int fd) { return sync_file(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }

int unlink(const char *path) {
    int ours = *watched && strncmp(path, watched, strlen(watched)) == 0;
    if (ours) FAIL_OR_GO(0, 0);
    int done = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (ours && done == 0 && !is_shared_memory(path)) record('U', path, 0, "", 0);
    return done;
}
