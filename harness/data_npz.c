/* data_npz.c - NPZ: a zip archive (stored or deflated members) of NPY arrays; or a folder of such arrays. */
#include "harness/data_array.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { uint16_t method; uint32_t crc; size_t packed, size, offset; } entry;

static uint16_t u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t u32(const uint8_t *p) { return (uint32_t)u16(p) | (uint32_t)u16(p + 2) << 16; }

/* The end record (its comment may have up to 65,535 bytes), then the central directory. */
int fl_archive_open(fl_archive *a) {
  const fl_blob *b = a->blob;
  if (b->size >= 22)
    for (size_t i = b->size - 22, steps = 0; steps <= 65535; i--, steps++) {
      const uint8_t *p = b->bytes + i;
      if (u32(p) == 0x06054b50 && i + 22 + u16(p + 20) == b->size) {
        a->count = u16(p + 10);
        a->begin = u32(p + 16);
        if (a->begin <= i && a->count != 0xffff) return 0;
        break;
      }
      if (!i) break;
    }
  snprintf(a->err, a->err_size, "%s: not an NPZ file (no zip directory, or one of more than 4 GB)", b->path);
  return -1;
}

/* Finds "key.npy". 1 found, 0 not there, -1 damaged. */
static int find(const fl_archive *a, const char *key, entry *e) {
  const fl_blob *b = a->blob;
  size_t at = a->begin;
  for (size_t i = 0; i < a->count; i++) {
    if (at + 46 > b->size || u32(b->bytes + at) != 0x02014b50) {
      snprintf(a->err, a->err_size, "%s: zip directory is damaged at entry %zu of %zu", b->path, i + 1, a->count);
      return -1;
    }
    const uint8_t *p = b->bytes + at;
    const size_t name = u16(p + 28), next = at + 46 + name + u16(p + 30) + u16(p + 32);
    if (next > b->size) {
      snprintf(a->err, a->err_size, "%s: zip directory is cut off at entry %zu of %zu", b->path, i + 1, a->count);
      return -1;
    }
    if (name == strlen(key) + 4 && !memcmp(p + 46, key, name - 4) && !memcmp(p + 46 + name - 4, ".npy", 4)) {
      *e = (entry){ u16(p + 10), u32(p + 16), u32(p + 20), u32(p + 24), u32(p + 42) };
      return 1;
    }
    at = next;
  }
  return 0;
}

static int inflate_raw(const uint8_t *in, size_t packed, uint8_t *out, size_t size) {
  z_stream z = { 0 };
  if (inflateInit2(&z, -MAX_WBITS) != Z_OK) return -1;
  z.next_in = (Bytef *)(uintptr_t)in;           /* zlib does not write there */
  z.avail_in = (uInt)packed;
  z.next_out = out;
  z.avail_out = (uInt)size;
  const int status = inflate(&z, Z_FINISH);
  const int ok = status == Z_STREAM_END && !z.avail_in && !z.avail_out;
  inflateEnd(&z);
  return ok ? 0 : -1;
}

/* Bytes of a member. NULL with a message. */
static uint8_t *extract(const fl_archive *a, const char *key, const entry *e) {
  const fl_blob *b = a->blob;
  const uint8_t *local = b->bytes + e->offset;
  const char *what = NULL;
  uint8_t *out = NULL;
  size_t data = 0;
  if (e->packed == UINT32_MAX || e->size == UINT32_MAX || e->offset == UINT32_MAX)
    what = "4 GB or more; allowed are smaller arrays";
  else if (e->method != 0 && e->method != 8) what = "compression method is not 0 (stored) or 8 (deflate)";
  else if (e->offset + 30 > b->size || u32(local) != 0x04034b50) what = "local header is damaged";
  else {
    data = e->offset + 30 + u16(local + 26) + u16(local + 28);
    if (data > b->size || e->packed > b->size - data) what = "data is cut off";
    else if (e->method == 0 ? e->packed != e->size : e->size / 1032 > e->packed) what = "sizes do not fit together";
    else if (!(out = malloc(e->size + 1))) what = "no memory";
    else if (e->method == 0) memcpy(out, b->bytes + data, e->size);
    else if (inflate_raw(b->bytes + data, e->packed, out, e->size)) what = "damaged deflate stream";
  }
  if (!what && crc32_z(0, out, e->size) != e->crc) what = "checksum (CRC-32) does not match";
  if (!what) return out;
  snprintf(a->err, a->err_size, "%s, array %s: %s", b->path, key, what);
  free(out);
  return NULL;
}

static int read_file(const fl_archive *a, const char *key, uint8_t **bytes, size_t *size) {
  char path[sizeof a->into->file->path];
  size_t f = 0;
  fl_blob b;
  if ((size_t)snprintf(path, sizeof path, "%s/%s.npy", a->folder, key) >= sizeof path)
    return snprintf(a->err, a->err_size, "%.200s...: the path is too long", a->folder), -1;
  if (access(path, F_OK) && errno == ENOENT) return 0;
  if (fl_blob_read(&b, path, a->err, a->err_size)) return -1;
  while (a->into->file[f].path[0]) f++;
  strcpy(a->into->file[f].path, path);
  memcpy(a->into->file[f].sha256, b.sha256, sizeof b.sha256);
  *bytes = b.bytes, *size = b.size;
  return 1;
}

int fl_archive_read(const fl_archive *a, const char *key, uint8_t **bytes, size_t *size) {
  entry e;
  if (a->folder) return read_file(a, key, bytes, size);
  const int found = find(a, key, &e);
  if (found != 1) return found;
  *size = e.size;
  return (*bytes = extract(a, key, &e)) ? 1 : -1;
}
