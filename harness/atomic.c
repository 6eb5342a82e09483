/* atomic.c - temporary name, fsync, rename, fsync of the folder. */
#include "harness/atomic.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(const char *what, const char *path, char *err, size_t err_size) {
  snprintf(err, err_size, "cannot %s '%s': %s", what, path, strerror(errno));
  return -1;
}

static int temporary_name(const char *path, char *out, size_t size, char *err, size_t err_size) {
  int n = snprintf(out, size, "%s.tmp", path);
  if (n >= 0 && (size_t)n < size) return 0;
  errno = ENAMETOOLONG;
  return failed("write", path, err, err_size);
}

int fl_folder_make(const char *path, char *err, size_t err_size) {
  char part[4096];
  size_t n = strlen(path);
  if (n == 0 || n >= sizeof part) {
    errno = n ? ENAMETOOLONG : ENOENT;
    return failed("make folder", path, err, err_size);
  }
  memcpy(part, path, n + 1);
  for (size_t i = 1; i <= n; i++) {
    if (part[i] != '/' && part[i] != 0) continue;
    char kept = part[i];
    part[i] = 0;
    if (mkdir(part, 0777) && errno != EEXIST) return failed("make folder", part, err, err_size);
    part[i] = kept;
  }
  struct stat s;
  if (stat(path, &s)) return failed("make folder", path, err, err_size);
  if (S_ISDIR(s.st_mode)) return 0;
  errno = ENOTDIR;
  return failed("make folder", path, err, err_size);
}

int fl_file_write_all(int fd, const void *bytes, size_t n) {
  const char *p = bytes;
  while (n) {
    ssize_t done = write(fd, p, n);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return -1;
    p += done;
    n -= (size_t)done;
  }
  return 0;
}

int fl_folder_sync(const char *path, char *err, size_t err_size) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return failed("write folder", path, err, err_size);
  int bad = fsync(fd) && errno != EINVAL;       /* some network file systems cannot sync a folder */
  if (bad) failed("write folder", path, err, err_size);
  close(fd);
  return bad ? -1 : 0;
}

/* A rename is durable only when the folder that holds the name is. */
static int sync_folder_of(const char *path, char *err, size_t err_size) {
  char folder[4200];
  snprintf(folder, sizeof folder, "%s", path);
  char *slash = strrchr(folder, '/');
  if (!slash) snprintf(folder, sizeof folder, ".");
  else slash[slash == folder] = 0;
  return fl_folder_sync(folder, err, err_size);
}

int fl_file_commit(const char *path, char *err, size_t err_size) {
  char temporary[4200];
  if (temporary_name(path, temporary, sizeof temporary, err, err_size)) return -1;
  int fd = open(temporary, O_RDWR | O_CLOEXEC);
  if (fd < 0 || fsync(fd)) {
    failed("write", temporary, err, err_size);
    if (fd >= 0) close(fd);
    unlink(temporary);
    return -1;
  }
  if (close(fd) || rename(temporary, path)) {
    failed("write", path, err, err_size);
    unlink(temporary);
    return -1;
  }
  return sync_folder_of(path, err, err_size);
}

int fl_file_write(const char *path, const void *bytes, size_t n, char *err, size_t err_size) {
  char temporary[4200];
  if (temporary_name(path, temporary, sizeof temporary, err, err_size)) return -1;
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return failed("write", temporary, err, err_size);
  if (fl_file_write_all(fd, bytes, n)) {
    failed("write", temporary, err, err_size);
    close(fd);
    unlink(temporary);
    return -1;
  }
  if (close(fd)) {
    failed("write", temporary, err, err_size);
    unlink(temporary);
    return -1;
  }
  return fl_file_commit(path, err, err_size);
}

int fl_file_read(const char *path, unsigned char **bytes, size_t *n, char *err, size_t err_size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat s;
  if (fd < 0) return failed("read", path, err, err_size);
  if (fstat(fd, &s) == 0 && !S_ISREG(s.st_mode)) errno = S_ISDIR(s.st_mode) ? EISDIR : EINVAL;
  else {
    size_t size = (size_t)s.st_size, have = 0;
    unsigned char *buffer = malloc(size + 1);
    while (buffer && have < size) {
      ssize_t got = read(fd, buffer + have, size - have);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      have += (size_t)got;
    }
    if (buffer && have == size) {
      close(fd);
      buffer[size] = 0;
      *bytes = buffer;
      *n = size;
      return 0;
    }
    if (buffer && !errno) errno = EIO;
    free(buffer);
  }
  failed("read", path, err, err_size);
  close(fd);
  return -1;
}

int fl_file_write_json(const char *path, const json_t *value, char *err, size_t err_size) {
  char *text = json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
  if (!text) {
    snprintf(err, err_size, "cannot write '%s': a value is not valid JSON (a text that is not UTF-8?)", path);
    return -1;
  }
  size_t n = strlen(text);
  text[n] = '\n';                               /* in the place of the final 0: the text needs none */
  int bad = fl_file_write(path, text, n + 1, err, err_size);
  free(text);
  return bad;
}

json_t *fl_file_read_json(const char *path, char *err, size_t err_size) {
  unsigned char *bytes;
  size_t n;
  if (fl_file_read(path, &bytes, &n, err, err_size)) return NULL;
  json_error_t e;
  json_t *value = json_loadb((const char *)bytes, n, 0, &e);
  free(bytes);
  if (!value) {
    snprintf(err, err_size, "'%s', line %d: %s", path, e.line, e.text);
  } else if (!json_is_object(value)) {
    snprintf(err, err_size, "'%s' is not a JSON object", path);
    json_decref(value);
    value = NULL;
  }
  return value;
}

void fl_own_folder(char *folder, size_t size, int up) {
  const ssize_t n = readlink("/proc/self/exe", folder, size - 1);
  folder[n > 0 ? n : 0] = 0;
  for (int i = 0; n > 0 && i <= up && strrchr(folder, '/'); i++) *strrchr(folder, '/') = 0;
}
