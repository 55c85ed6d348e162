/* A bad disk for one process: calls on files in $DISK_FOLDER fail, or take long, while a file says so.
 *
 * Preloaded into a process. $DISK_RULES is a file of lines "CALL NAME ACTION": CALL is write, sync or read; NAME is
 * a part of the path of the files meant, or *; ACTION is the number of an error (28: no space left), or the
 * milliseconds that the call takes, as "+5000". The rules are read anew at each call; without the file all is well.
 * Write stands for everything that changes a folder: also opening for writing, cutting, renaming, making, deleting.
 *
 * With $DISK_SHADOW a second folder holds what a disk would: what was written and then synced, without an error.
 * What a failed sync covered is not there and does not get there by a later sync, unless it is written again: the
 * kernel takes such pages for clean. Source: https://lwn.net/Articles/752063/
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define REAL(type, name) ((type)dlsym(RTLD_NEXT, name))
#define DIRTY_MAX 65536

typedef int (*sync_call)(int);
typedef int (*open_call)(const char *, int, ...);
typedef ssize_t (*write_call)(int, const void *, size_t);
typedef ssize_t (*pwrite_call)(int, const void *, size_t, off_t);
typedef ssize_t (*read_call)(int, void *, size_t);
typedef ssize_t (*pread_call)(int, void *, size_t, off_t);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { ino_t file; off_t start; size_t size; } dirty[DIRTY_MAX];
static size_t dirty_count;

static int is_inside(const char *path) {
  const char *folder = getenv("DISK_FOLDER");
  return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int path_of(int fd, char path[PATH_MAX]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, PATH_MAX - 1);
  path[size < 0 ? 0 : size] = 0;
  return size > 0 && is_inside(path);
}

/* Return 0, after the time that the rules say, or the error that the call must end with. */
static int judged(const char *call, const char *path) {
  char text[4096], word[32], name[256], action[32];
  const char *rules = getenv("DISK_RULES");
  if (!rules) return 0;
  int before = errno, result = 0, used, fd = REAL(open_call, "open")(rules, O_RDONLY | O_CLOEXEC);
  if (fd < 0) { errno = before; return 0; }
  ssize_t size = REAL(read_call, "read")(fd, text, sizeof text - 1);
  close(fd);
  text[size < 0 ? 0 : size] = 0;
  for (char *at = text; sscanf(at, "%31s %255s %31s%n", word, name, action, &used) == 3; at += used) {
    if (strcmp(word, call) != 0 || (*name != '*' && !strstr(path, name))) continue;
    if (*action == '+') {
      long ms = atol(action + 1);
      struct timespec wait = {ms / 1000, ms % 1000 * 1000000};
      nanosleep(&wait, NULL);
    } else if (!result) {
      result = atoi(action);
    }
  }
  errno = before;
  return result;
}

static int judged_fd(const char *call, int fd) {
  char path[PATH_MAX];
  return path_of(fd, path) ? judged(call, path) : 0;
}

static int judged_path(const char *path) {
  char whole[PATH_MAX];
  if (*path != '/') {
    char folder[PATH_MAX];
    if (!getcwd(folder, sizeof folder)) return 0;
    if (snprintf(whole, sizeof whole, "%s/%s", folder, path) >= (int)sizeof whole) return 0;
    path = whole;
  }
  return is_inside(path) ? judged("write", path) : 0;
}

#define REFUSED(error) if (error) { errno = error; return -1; }

/* Remember what was written, for the next sync. */
static void note(int fd, off_t start, ssize_t size) {
  struct stat about;
  char path[PATH_MAX];
  if (size <= 0 || !getenv("DISK_SHADOW") || !path_of(fd, path) || fstat(fd, &about)) return;
  pthread_mutex_lock(&lock);
  if (dirty_count == DIRTY_MAX) abort();
  dirty[dirty_count].file = about.st_ino;
  dirty[dirty_count].start = start;
  dirty[dirty_count++].size = (size_t)size;
  pthread_mutex_unlock(&lock);
}

/* Bring what was noted of a file to the shadow, or forget it: what a disk does with it at a sync. */
static void settle(int fd, int works) {
  struct stat about;
  char path[PATH_MAX], target[2 * PATH_MAX];
  const char *shadow = getenv("DISK_SHADOW");
  if (!shadow || !path_of(fd, path) || fstat(fd, &about) || !S_ISREG(about.st_mode)) return;
  snprintf(target, sizeof target, "%s/%s", shadow, strrchr(path, '/') + 1);
  pthread_mutex_lock(&lock);
  int in = REAL(open_call, "open")(path, O_RDONLY | O_CLOEXEC);
  int out = REAL(open_call, "open")(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  size_t kept = 0;
  for (size_t each = 0; each < dirty_count; each++) {
    if (dirty[each].file != about.st_ino) { dirty[kept++] = dirty[each]; continue; }
    if (!works) continue;
    char *bytes = malloc(dirty[each].size);
    ssize_t size = REAL(pread_call, "pread64")(in, bytes, dirty[each].size, dirty[each].start);
    if (size > 0 && REAL(pwrite_call, "pwrite64")(out, bytes, (size_t)size, dirty[each].start) != size) abort();
    free(bytes);
  }
  dirty_count = kept;
  if (works && ftruncate(out, about.st_size)) abort();
  close(in);
  close(out);
  pthread_mutex_unlock(&lock);
}

static int synced(int fd, const char *name) {
  int error = judged_fd("sync", fd), result = error ? -1 : REAL(sync_call, name)(fd);
  settle(fd, result == 0);
  if (error) errno = error;
  return result;
}

int fsync(int fd) { return synced(fd, "fsync"); }
int fdatasync(int fd) { return synced(fd, "fdatasync"); }

ssize_t write(int fd, const void *bytes, size_t size) {
  REFUSED(fd > 2 ? judged_fd("write", fd) : 0);
  ssize_t result = REAL(write_call, "write")(fd, bytes, size);
  if (fd > 2 && result > 0 && getenv("DISK_SHADOW")) note(fd, lseek(fd, 0, SEEK_CUR) - result, result);
  return result;
}

static ssize_t written(int fd, const void *bytes, size_t size, off_t offset) {
  REFUSED(judged_fd("write", fd));
  ssize_t result = REAL(pwrite_call, "pwrite64")(fd, bytes, size, offset);
  note(fd, offset, result);
  return result;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) { return written(fd, bytes, size, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t offset) { return written(fd, bytes, size, offset); }

static ssize_t had(int fd, void *bytes, size_t size, off_t offset) {
  REFUSED(judged_fd("read", fd));
  return REAL(pread_call, "pread64")(fd, bytes, size, offset);
}

ssize_t pread(int fd, void *bytes, size_t size, off_t offset) { return had(fd, bytes, size, offset); }
ssize_t pread64(int fd, void *bytes, size_t size, off_t offset) { return had(fd, bytes, size, offset); }

static int cut(int fd, off_t size, const char *name) {
  REFUSED(judged_fd("write", fd));
  return REAL(int (*)(int, off_t), name)(fd, size);
}

int ftruncate(int fd, off_t size) { return cut(fd, size, "ftruncate"); }
int ftruncate64(int fd, off_t size) { return cut(fd, size, "ftruncate64"); }

static int opened(const char *path, int flags, mode_t mode) {
  REFUSED((flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT ? judged_path(path) : 0);
  return REAL(open_call, "open64")(path, flags, mode);
}

#define OPENED { \
  va_list rest; va_start(rest, flags); mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; va_end(rest); \
  return opened(path, flags, mode); }
int open(const char *path, int flags, ...) OPENED
int open64(const char *path, int flags, ...) OPENED

int rename(const char *from, const char *to) {
  REFUSED(judged_path(to));
  return REAL(int (*)(const char *, const char *), "rename")(from, to);
}

int unlink(const char *path) {
  REFUSED(judged_path(path));
  char gone[2 * PATH_MAX];
  const char *shadow = getenv("DISK_SHADOW"), *name = strrchr(path, '/');
  if (shadow && is_inside(path)) { /* names are the journal's of the file system, which is not what fails here */
    snprintf(gone, sizeof gone, "%s/%s", shadow, name ? name + 1 : path);
    REAL(int (*)(const char *), "unlink")(gone);
  }
  return REAL(int (*)(const char *), "unlink")(path);
}

int mkdir(const char *path, mode_t mode) {
  REFUSED(judged_path(path));
  return REAL(int (*)(const char *, mode_t), "mkdir")(path, mode);
}
