/* A power cut for one folder: files as they were when they were last synced, kept beside it.
 *
 * Preloaded into a process. Each completed fsync or fdatasync of a file in $SYNC_FOLDER copies that file to
 * $SYNC_SHADOW: what was written later and never synced is not in there. A deleted file stays in the shadow until
 * the folder itself is synced, as a disk may keep its name. Before the system calls whose numbers stand in
 * $SYNC_MOMENTS ("3,17,40") the shadow and the unsynced journal of answers ("answers") are copied to
 * $SYNC_SHADOW.<number>: what a machine would find that lost its power then. At exit "calls" holds their count.
 * Before the call $SYNC_CUT the process is killed; $SYNC_SHADOW stays as it is.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP; /* copy() writes */
static long calls;

static void copy(const char *from, const char *to) {
  char part[PATH_MAX + 8], block[1 << 16];
  snprintf(part, sizeof part, "%s.part", to);
  int in = open(from, O_RDONLY), out = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ssize_t size;
  while (in >= 0 && out >= 0 && (size = read(in, block, sizeof block)) > 0)
    if (write(out, block, (size_t)size) != size) abort();
  if (in >= 0) close(in);
  if (out >= 0) close(out);
  rename(part, to);
}

/* Return the name of an open file inside $SYNC_FOLDER, "" for the folder itself, or NULL. */
static const char *name_of(int fd, char path[PATH_MAX]) {
  const char *folder = getenv("SYNC_FOLDER");
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, PATH_MAX - 1);
  if (!folder || size < 0) return NULL;
  path[size] = 0;
  size_t length = strlen(folder);
  if (strncmp(path, folder, length) != 0) return NULL;
  return path[length] == '/' ? path + length + 1 : path[length] == 0 ? "" : NULL;
}

/* Delete from the shadow what is no longer in the folder. */
static void delete_gone(const char *live, const char *shadow) {
  char path[PATH_MAX];
  DIR *folder = opendir(shadow);
  for (struct dirent *entry; folder && (entry = readdir(folder));) {
    snprintf(path, sizeof path, "%s/%s", live, entry->d_name);
    if (access(path, F_OK) == 0) continue;
    snprintf(path, sizeof path, "%s/%s", shadow, entry->d_name);
    unlink(path);
  }
  if (folder) closedir(folder);
}

static void copy_shadow(const char *shadow, long moment) {
  char to[PATH_MAX], from[PATH_MAX], target[2 * PATH_MAX];
  snprintf(to, sizeof to, "%s.%ld", shadow, moment);
  mkdir(to, 0700);
  DIR *folder = opendir(shadow);
  for (struct dirent *entry; folder && (entry = readdir(folder));) {
    if (entry->d_name[0] == '.') continue;
    snprintf(from, sizeof from, "%s/%s", shadow, entry->d_name);
    snprintf(target, sizeof target, "%s/%s", to, entry->d_name);
    copy(from, target);
  }
  if (folder) closedir(folder);
  snprintf(from, sizeof from, "%s/answers", getenv("SYNC_FOLDER"));
  snprintf(target, sizeof target, "%s/answers", to);
  copy(from, target);
}

static void count_call(int fd) {
  char path[PATH_MAX], number[32];
  const char *moments = getenv("SYNC_MOMENTS"), *shadow = getenv("SYNC_SHADOW"), *cut = getenv("SYNC_CUT");
  if (!shadow || !name_of(fd, path)) return;
  snprintf(number, sizeof number, ",%ld,", ++calls);
  if (moments && strstr(moments, number)) copy_shadow(shadow, calls);
  if (cut && atol(cut) == calls) kill(getpid(), SIGKILL);
}

static int synced(int fd, const char *function) {
  char path[PATH_MAX], target[2 * PATH_MAX];
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, function);
  pthread_mutex_lock(&lock);
  count_call(fd);
  int result = real(fd);
  const char *name = name_of(fd, path), *shadow = getenv("SYNC_SHADOW");
  if (result == 0 && name && shadow && !*name) delete_gone(path, shadow);
  if (result == 0 && name && shadow && *name) {
    snprintf(target, sizeof target, "%s/%s", shadow, name);
    copy(path, target);
  }
  pthread_mutex_unlock(&lock);
  return result;
}

int fsync(int fd) { return synced(fd, "fsync"); }
int fdatasync(int fd) { return synced(fd, "fdatasync"); }

static ssize_t written_at(const char *function, int fd, const void *bytes, size_t size, off64_t offset) {
  ssize_t (*real)(int, const void *, size_t, off64_t) =
      (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, function);
  pthread_mutex_lock(&lock);
  count_call(fd);
  ssize_t result = real(fd, bytes, size, offset);
  pthread_mutex_unlock(&lock);
  return result;
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) {
  return written_at("pwrite64", fd, bytes, size, offset);
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
  return written_at("pwrite", fd, bytes, size, offset);
}

/* Only writes inside the folder wait for the lock: one to a full pipe may take for ever. */
ssize_t write(int fd, const void *bytes, size_t size) {
  char path[PATH_MAX];
  ssize_t (*real)(int, const void *, size_t) = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
  if (!name_of(fd, path)) return real(fd, bytes, size);
  pthread_mutex_lock(&lock);
  count_call(fd);
  ssize_t result = real(fd, bytes, size);
  pthread_mutex_unlock(&lock);
  return result;
}

__attribute__((destructor)) static void report(void) {
  char path[PATH_MAX];
  const char *shadow = getenv("SYNC_SHADOW");
  if (!shadow) return;
  snprintf(path, sizeof path, "%s.calls", shadow);
  FILE *file = fopen(path, "w");
  if (file) {
    fprintf(file, "%ld", calls);
    fclose(file);
  }
}
