/* data_text.c - text by its characters (bytes): a row is `length` of them, the labels are the characters that follow: of every
 * position, or of the last one. Classes are the characters of the training file in the order of their bytes. A play's speakers
 * may be clients: "Name:" on a line after an empty one begins a speech. */
#include "harness/data_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_THERE = 256 };
/* The text of one speaker (or all of it), as the pieces that its speeches are. */
typedef struct { const char *name; size_t name_size, first, last, total; } voice;
typedef struct { const char *at; size_t size, next; } speech;         /* next: of the same speaker, NONE at the end */
#define NONE SIZE_MAX
typedef struct {
  const char *path;
  char *text; size_t size;
  voice *voice; size_t voices;
  speech *speech; size_t speeches;
  char *err; size_t err_size;
} play;

static int no_memory(const play *p) { return snprintf(p->err, p->err_size, "%s: no memory for %zu bytes", p->path, p->size), -1; }

/* ---- speakers -------------------------------------------------------------------------------------------------------------- */
static void add_speech(play *p, size_t who, const char *at, size_t size) {
  voice *v = &p->voice[who];
  if (!size) return;
  p->speech[p->speeches] = (speech){ at, size, NONE };
  if (v->total) p->speech[v->last].next = p->speeches;
  else v->first = p->speeches;
  v->last = p->speeches++;
  v->total += size;
}

static size_t hash_of(const char *s, size_t n) {
  uint64_t h = 1469598103934665603u;
  for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)s[i]) * 1099511628211u;
  return (size_t)(h >> 20);
}

/* The number of a name; a new one at its first speech. slots: a power of two, more than there are lines. */
static size_t find_voice(play *p, size_t *slot, size_t slots, const char *name, size_t n) {
  size_t at = hash_of(name, n) & (slots - 1);
  for (; slot[at]; at = (at + 1) & (slots - 1)) {
    const voice *v = &p->voice[slot[at] - 1];
    if (v->name_size == n && !memcmp(v->name, name, n)) return slot[at] - 1;
  }
  p->voice[p->voices] = (voice){ .name = name, .name_size = n };
  slot[at] = ++p->voices;
  return p->voices - 1;
}

/* A name's line begins a speech, which ends before the empty line before the next one. */
static int find_speeches(play *p) {
  size_t lines = 2, slots = 1, who = NONE;
  for (size_t i = 0; i < p->size; i++) lines += p->text[i] == '\n';
  while (slots <= 2 * lines) slots *= 2;
  size_t *slot = calloc(slots, sizeof *slot);
  p->voice = calloc(lines, sizeof *p->voice);
  p->speech = calloc(lines, sizeof *p->speech);
  if (!slot || !p->voice || !p->speech) return free(slot), no_memory(p);
  const char *end = p->text + p->size, *from = NULL;
  int empty = 1;                                /* the line before */
  for (const char *at = p->text; at < end;) {
    const char *stop = memchr(at, '\n', (size_t)(end - at)), *next = stop ? stop + 1 : end;
    const size_t n = (size_t)((stop ? stop : end) - at);
    if (empty && n > 1 && at[n - 1] == ':') {
      if (who != NONE) add_speech(p, who, from, (size_t)(at - 1 - from));
      who = find_voice(p, slot, slots, at, n - 1);
      from = next;
    } else if (who == NONE && n) {
      free(slot);
      return snprintf(p->err, p->err_size, "%s: text before the first speaker, '%.*s'; allowed with clients = speakers: a line "
                      "'NAME:' after an empty one before every speech", p->path, (int)(n < 40 ? n : 40), at), -1;
    }
    empty = !n;
    at = next;
  }
  if (who != NONE) add_speech(p, who, from, (size_t)(end - from));
  free(slot);
  return 0;
}

static int one_voice(play *p) {
  p->voice = calloc(1, sizeof *p->voice);
  p->speech = calloc(1, sizeof *p->speech);
  if (!p->voice || !p->speech) return no_memory(p);
  p->voices = 1;
  add_speech(p, 0, p->text, p->size);
  return 0;
}

static int open_play(play *p, fl_data_file *file, const char *path, int speakers, char *err, size_t err_size) {
  *p = (play){ .path = path, .err = err, .err_size = err_size };
  if (!(p->text = fl_text_read(file, path, &p->size, err, err_size))) return -1;
  return speakers ? find_speeches(p) : one_voice(p);
}

static void close_play(play *p) {
  free(p->text);
  free(p->voice);
  free(p->speech);
}

/* ---- characters ------------------------------------------------------------------------------------------------------------ */
static int find_characters(fl_dataset *d, const play *p, size_t class[256]) {
  int there[256] = { 0 };
  if (!(d->value = malloc(256 * sizeof *d->value))) return no_memory(p);
  for (size_t i = 0; i < p->speeches; i++)
    for (size_t j = 0; j < p->speech[i].size; j++) there[(uint8_t)p->speech[i].at[j]] = 1;
  for (int b = 0; b < 256; b++) {
    class[b] = there[b] ? d->n_values : NOT_THERE;
    if (there[b]) d->value[d->n_values++] = b;
  }
  return 0;
}

/* Of test rows: what the training text has not. */
static int check_characters(const play *p, const size_t class[256]) {
  for (size_t i = 0; i < p->speeches; i++)
    for (size_t j = 0; j < p->speech[i].size; j++) {
      const char *at = p->speech[i].at + j, *line = at;
      size_t number = 1;
      if (class[(uint8_t)*at] != NOT_THERE) continue;
      while (line > p->text && line[-1] != '\n') line--;
      for (const char *q = p->text; q < line; q++) number += *q == '\n';
      return snprintf(p->err, p->err_size, "%s:%zu:%zu: byte 0x%02x; allowed: the characters of the training text", p->path,
                      number, (size_t)(at - line) + 1, (uint8_t)*at), -1;
    }
  return 0;
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------ */
/* Of n characters: rows that begin `stride` apart, each with `length` characters and one behind them. */
static size_t rows_of(size_t n, const fl_data_options *o) { return n > o->length ? (n - o->length - 1) / o->stride + 1 : 0; }

static int alloc_rows(const play *p, fl_part *part, const fl_data_options *o, int clients) {
  part->c = part->h = 1, part->w = o->length;
  part->positions = o->predict == FL_PREDICT_EVERY ? o->length : 0;
  const size_t labels = part->positions ? part->positions : 1;
  if (part->n > SIZE_MAX / (8 * o->length)) return no_memory(p);
  part->tokens = fl_pixels_alloc(part->n * o->length * sizeof *part->tokens);
  part->label = malloc(part->n * labels);
  if (clients) part->client = malloc(part->n * sizeof *part->client);
  return part->tokens && part->label && (!clients || part->client) ? 0 : no_memory(p);
}

static void put_rows(const char *text, size_t n, const size_t class[256], const fl_data_options *o, int32_t who, fl_part *part,
                     size_t *at) {
  const size_t rows = rows_of(n, o);
  for (size_t r = 0; r < rows; r++, (*at)++) {
    const uint8_t *from = (const uint8_t *)text + r * o->stride;
    int32_t *token = part->tokens + *at * o->length;
    for (size_t i = 0; i < o->length; i++) token[i] = (int32_t)class[from[i]];
    for (size_t i = 0; i < part->positions; i++) part->label[*at * o->length + i] = (uint8_t)class[from[i + 1]];
    if (!part->positions) part->label[*at] = (uint8_t)class[from[o->length]];
    if (part->client) part->client[*at] = who;
  }
}

static const char *joined(const play *p, const voice *v, char *room) {
  if (!v->total) return room;
  if (p->speech[v->first].next == NONE) return p->speech[v->first].at;
  char *at = room;
  for (size_t i = v->first; i != NONE; at += p->speech[i].size, i = p->speech[i].next)
    memcpy(at, p->speech[i].at, p->speech[i].size);
  return room;
}

/* How much of a voice of n characters is for training: the rest, at its end, for testing. */
static size_t trained(size_t n, double test_part) { return n - (size_t)(test_part * (double)n); }

/* The rows of a play into `to`; with a test part the ends of its voices into `rest`. */
static int cut(const play *p, const size_t class[256], const fl_data_options *o, fl_part *to, fl_part *rest) {
  const double part = rest ? o->test_part : 0;
  for (size_t i = 0; i < p->voices; i++) {
    const size_t n = p->voice[i].total, most = trained(n, part);
    to->n += rows_of(most, o);
    if (rest) rest->n += rows_of(n - most, o);
  }
  if (!to->n || (rest && !rest->n))
    return snprintf(p->err, p->err_size, "%s: no %srow; allowed: more than length = %zu characters%s", p->path,
                    to->n ? "test " : "", o->length, p->voices > 1 ? " of a speaker" : ""), -1;
  char *room = malloc(p->size + 1);
  size_t at = 0, behind = 0;
  if (!room || alloc_rows(p, to, o, o->speakers) || (rest && alloc_rows(p, rest, o, 0))) return free(room), no_memory(p);
  for (size_t i = 0; i < p->voices; i++) {
    const size_t n = p->voice[i].total, most = trained(n, part);
    const char *text = joined(p, &p->voice[i], room);
    put_rows(text, most, class, o, (int32_t)i, to, &at);
    if (rest) put_rows(text + most, n - most, class, o, (int32_t)i, rest, &behind);
  }
  free(room);
  return 0;
}

int fl_text_load(fl_dataset *d, const char *train, const char *test, const fl_data_options *given, fl_part part[2], char *err,
                 size_t err_size) {
  fl_data_options o = *given;
  play a = { 0 }, b = { 0 };
  size_t class[256];
  if (!o.stride) o.stride = o.length;
  if (test && o.test_part > 0)
    return snprintf(err, err_size, "data.test_part = %g; allowed: only without data.test, a file of test rows", o.test_part), -1;
  int bad = open_play(&a, &part[0].file[0], train, o.speakers, err, err_size);
  bad = bad || find_characters(d, &a, class);
  if (!bad && d->n_values < 2)
    bad = snprintf(err, err_size, "%s: %zu different characters; allowed: 2 or more", train, d->n_values);
  bad = bad || cut(&a, class, &o, &part[0], o.test_part > 0 ? &part[1] : NULL);
  if (!bad && test) {
    bad = open_play(&b, &part[1].file[0], test, o.speakers, err, err_size) || check_characters(&b, class) ||
          cut(&b, class, &o, &part[1], NULL);
    free(part[1].client);                       /* who speaks does not matter in evaluation */
    part[1].client = NULL;
  }
  close_play(&a);
  close_play(&b);
  return bad ? -1 : 0;
}
