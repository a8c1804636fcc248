/* Loaded before the program: while the file FSYNC_FAILS names is there, flushes fail with EIO, and what was appended to a
   file since its last good flush is gone, as with a medium that lost it. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct { dev_t dev; ino_t ino; off_t size; } good[256];
static int known;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int flush(int fd, long call) {
    const char *trigger = getenv("FSYNC_FAILS");
    struct stat is;
    int i, failed = trigger && access(trigger, F_OK) == 0;
    if (fstat(fd, &is) != 0) return -1;
    pthread_mutex_lock(&lock);
    for (i = 0; i < known && (good[i].dev != is.st_dev || good[i].ino != is.st_ino); i++) {}
    if (failed) {
        if (i < known && S_ISREG(is.st_mode) && is.st_size > good[i].size && ftruncate(fd, good[i].size) != 0) {}
        pthread_mutex_unlock(&lock);
        errno = EIO;
        return -1;
    }
    int done = syscall(call, fd);
    if (done == 0 && i < 256) {
        good[i].dev = is.st_dev;
        good[i].ino = is.st_ino;
        good[i].size = is.st_size;
        if (i == known) known++;
    }
    pthread_mutex_unlock(&lock);
    return done;
}

int fsync(int fd) { return flush(fd, SYS_fsync); }
int fdatasync(int fd) { return flush(fd, SYS_fdatasync); }
