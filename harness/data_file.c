/* data_file.c - bytes of a file, their hash, and inflation. */
#include "harness/data_file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int fl_blob_read(fl_blob *b, const char *path, char *err, size_t err_size) {
  struct stat st;
  *b = (fl_blob){ .path = path };
  FILE *f = fopen(path, "rb");
  if (!f || fstat(fileno(f), &st) || !S_ISREG(st.st_mode)) {
    snprintf(err, err_size, "%s: %s", path, f ? "not a regular file" : strerror(errno));
    if (f) fclose(f);
    return -1;
  }
  b->size = (size_t)st.st_size;
  b->bytes = malloc(b->size + 1);
  const size_t got = b->bytes ? fread(b->bytes, 1, b->size, f) : 0;
  fclose(f);
  if (!b->bytes || got != b->size) {
    if (b->bytes) snprintf(err, err_size, "%s: only %zu of %zu bytes could be read", path, got, b->size);
    else snprintf(err, err_size, "%s: no memory for %zu bytes", path, b->size);
    fl_blob_free(b);
    return -1;
  }
  fl_sha256(b->bytes, b->size, b->sha256);
  return 0;
}

void fl_blob_free(fl_blob *b) {
  free(b->bytes);
  b->bytes = NULL;
}

int fl_reader_open(fl_reader *r, const fl_blob *b, char *err, size_t err_size) {
  *r = (fl_reader){ .blob = b };
  r->gzip = b->size >= 2 && b->bytes[0] == 0x1f && b->bytes[1] == 0x8b;
  if (r->gzip && inflateInit2(&r->z, 16 + MAX_WBITS) != Z_OK) {
    snprintf(err, err_size, "%s: zlib could not start", b->path);
    return -1;
  }
  return 0;
}

static int take_gzip(fl_reader *r, uint8_t *out, size_t n, size_t *got, char *err, size_t err_size) {
  const size_t limit = 1u << 30;                /* zlib counts in 32 bits */
  while (*got < n && !r->end) {
    const size_t in = r->blob->size - r->next < limit ? r->blob->size - r->next : limit;
    const size_t room = n - *got < limit ? n - *got : limit;
    r->z.next_in = r->blob->bytes + r->next;
    r->z.avail_in = (uInt)in;
    r->z.next_out = out + *got;
    r->z.avail_out = (uInt)room;
    const int status = inflate(&r->z, Z_NO_FLUSH);
    r->next += in - r->z.avail_in;
    *got += room - r->z.avail_out;
    if (status == Z_STREAM_END) {
      const uint8_t *p = r->blob->bytes + r->next;
      r->end = !(r->blob->size - r->next >= 2 && p[0] == 0x1f && p[1] == 0x8b);
      if (!r->end) inflateReset(&r->z);
      else if (r->next != r->blob->size) {
        snprintf(err, err_size, "%s: %zu bytes after the end of the gzip stream", r->blob->path, r->blob->size - r->next);
        return -1;
      }
    } else if (status != Z_OK || (r->next == r->blob->size && r->z.avail_out)) {
      snprintf(err, err_size, "%s: damaged gzip stream at byte %zu of %zu (%s)", r->blob->path, r->next, r->blob->size,
               r->z.msg ? r->z.msg : "the file is cut off");
      return -1;
    }
  }
  return 0;
}

int fl_reader_take(fl_reader *r, void *out, size_t n, size_t *got, char *err, size_t err_size) {
  *got = 0;
  if (r->gzip) return take_gzip(r, out, n, got, err, err_size);
  *got = r->blob->size - r->next < n ? r->blob->size - r->next : n;
  memcpy(out, r->blob->bytes + r->next, *got);
  r->next += *got;
  return 0;
}

void fl_reader_close(fl_reader *r) {
  if (r->gzip) inflateEnd(&r->z);
}

char *fl_text_read(fl_data_file *file, const char *path, size_t *size, char *err, size_t err_size) {
  fl_blob b;
  fl_reader r;
  if (strlen(path) >= sizeof file->path) return snprintf(err, err_size, "%.200s...: the path is too long", path), NULL;
  if (fl_blob_read(&b, path, err, err_size)) return NULL;
  strcpy(file->path, path);
  memcpy(file->sha256, b.sha256, sizeof b.sha256);
  size_t room = b.size + 1, at = 0, got = 0;
  char *text = malloc(room + 1);
  const int opened = text && !fl_reader_open(&r, &b, err, err_size);
  int bad = !opened;
  if (!text) snprintf(err, err_size, "%s: no memory for %zu bytes", path, room);
  while (!bad) {
    bad = fl_reader_take(&r, text + at, room - at, &got, err, err_size);
    at += got;
    if (bad || at < room) break;
    char *more = realloc(text, 2 * room + 1);   /* inflated it is longer */
    if (more) text = more, room *= 2;
    else bad = -1, snprintf(err, err_size, "%s: no memory for %zu bytes", path, 2 * room);
  }
  if (opened) fl_reader_close(&r);
  fl_blob_free(&b);
  if (bad) return free(text), NULL;
  text[at] = 0;
  *size = at;
  return text;
}
