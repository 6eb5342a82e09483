/* atomic.h - files that are either the old one or the whole new one, whatever stops the program. */
#ifndef FEDLANE_ATOMIC_H
#define FEDLANE_ATOMIC_H
#include <jansson.h>
#include <stddef.h>

/* All return 0, or -1 with a message that names the path and the system's reason. */
int fl_folder_make(const char *path, char *err, size_t err_size);       /* with its parents; an existing folder is fine */
int fl_folder_sync(const char *path, char *err, size_t err_size);       /* what was renamed or removed in it is so for good */
int fl_file_write(const char *path, const void *bytes, size_t n, char *err, size_t err_size);
/* What was written as path + ".tmp": fsync, rename to path, fsync of the folder. On failure the temporary file is removed. */
int fl_file_commit(const char *path, char *err, size_t err_size);
int fl_file_read(const char *path, unsigned char **bytes, size_t *n, char *err, size_t err_size); /* free() the bytes */
int fl_file_write_all(int fd, const void *bytes, size_t n);             /* errno says why */
int fl_file_write_json(const char *path, const json_t *, char *err, size_t err_size);
json_t *fl_file_read_json(const char *path, char *err, size_t err_size); /* an object, or NULL with a message */
/* The folder of this program, or `up` above it; "" when the system does not tell. */
void fl_own_folder(char *folder, size_t size, int up);
#endif
