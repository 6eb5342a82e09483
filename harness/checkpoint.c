/* checkpoint.c - checkpoint.bin: magic, configuration, metrics, the session's bytes, SHA-256 of all before it.
 * Written beside and renamed; read twice, first to verify the sum, so that a damaged file changes nothing in memory. */
#include "harness/atomic.h"
#include "harness/record.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char magic[8] = {'F', 'L', 'C', 'H', 'E', 'C', 'K', 4};  /* the last byte is the schema */
enum { TRAILER = 32, BLOCK = 1 << 16 };

typedef struct {
  FILE *file;
  EVP_MD_CTX *sha;
  uint64_t left;                                /* reading: bytes before the trailer */
} stream;

static int put(void *self, const void *bytes, size_t n) {
  stream *s = self;
  if (EVP_DigestUpdate(s->sha, bytes, n) != 1) return -1;
  return n && fwrite(bytes, 1, n, s->file) != n ? -1 : 0;
}

static int get(void *self, void *bytes, size_t n) {
  stream *s = self;
  if (n > s->left || (n && fread(bytes, 1, n, s->file) != n)) return -1;
  s->left -= n;
  return 0;
}

static int put_u64(stream *s, uint64_t v) {
  unsigned char byte[8];
  for (int b = 0; b < 8; b++) byte[b] = (unsigned char)(v >> 8 * b);
  return put(s, byte, sizeof byte);
}

static int get_u64(stream *s, uint64_t *v) {
  unsigned char byte[8];
  if (get(s, byte, sizeof byte)) return -1;
  *v = 0;
  for (int b = 0; b < 8; b++) *v |= (uint64_t)byte[b] << 8 * b;
  return 0;
}

/* The rounds that the checkpoint counts must be on disk before it. */
static int sync_rounds(const char *dir, char *err, size_t err_size) {
  char path[4096];
  snprintf(path, sizeof path, "%s/rounds.jsonl", dir);
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return 0;
  int bad = fd < 0 || fsync(fd);
  if (bad) snprintf(err, err_size, "cannot write '%s': %s", path, strerror(errno));
  if (fd >= 0) close(fd);
  return bad ? -1 : 0;
}

static int put_all(stream *s, const fl_config *config, const fl_session *session, const fl_metrics *m) {
  json_t *json = fl_config_json(config);
  char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
  json_decref(json);
  uint64_t word[FL_RECORD_WORDS];
  fl_record_pack(m, word);
  int bad = !text || put(s, magic, sizeof magic) || put_u64(s, strlen(text)) || put(s, text, strlen(text));
  free(text);
  bad = bad || put_u64(s, FL_RECORD_WORDS);
  for (size_t i = 0; !bad && i < FL_RECORD_WORDS; i++) bad = put_u64(s, word[i]);
  bad = bad || fl_session_save(session, put, s);
  unsigned char digest[EVP_MAX_MD_SIZE];
  bad = bad || EVP_DigestFinal_ex(s->sha, digest, NULL) != 1 || fwrite(digest, 1, TRAILER, s->file) != TRAILER;
  return bad || fflush(s->file) ? -1 : 0;
}

int fl_checkpoint_save(const char *dir, const fl_config *config, const fl_session *session, const fl_metrics *m, char *err,
                       size_t err_size) {
  char path[4096], temporary[4104];
  snprintf(path, sizeof path, "%s/checkpoint.bin", dir);
  snprintf(temporary, sizeof temporary, "%s.tmp", path);
  if (sync_rounds(dir, err, err_size)) return -1;
  stream s = {fopen(temporary, "wbe"), EVP_MD_CTX_new(), 0};
  errno = s.file ? 0 : errno;
  int bad = !s.file || !s.sha || EVP_DigestInit_ex(s.sha, EVP_sha256(), NULL) != 1 || put_all(&s, config, session, m);
  int why = errno;
  EVP_MD_CTX_free(s.sha);
  if (s.file && fclose(s.file) && !bad) {
    bad = 1;
    why = errno;
  }
  if (bad) {
    snprintf(err, err_size, "cannot write '%s': %s", temporary, why ? strerror(why) : "the state cannot be saved");
    unlink(temporary);
    return -1;
  }
  return fl_file_commit(path, err, err_size);
}

/* Keys that decide when a run ends or is saved, not what a round computes. */
static const char *const free_key[] = {"rounds", "epochs", "time_budget", "target_accuracy", "stop_at_target",
                                       "checkpoint_seconds"};

static int is_free(const char *key) {
  for (size_t i = 0; i < sizeof free_key / sizeof *free_key; i++)
    if (strcmp(key, free_key[i]) == 0) return 1;
  return 0;
}

static void refuse(const char *key, const json_t *was, const json_t *is, char *err, size_t err_size) {
  char *a = was ? json_dumps(was, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12)) : NULL;
  char *b = is ? json_dumps(is, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12)) : NULL;
  snprintf(err, err_size, "cannot resume with a changed configuration: %s is %s, the checkpoint was made with %s", key,
           b ? b : "absent", a ? a : "none");
  free(a);
  free(b);
}

/* 0 when all keys but the free ones are equal, else the first that is not, as a dotted path. */
static int compare_config(const json_t *was, const json_t *is, const char *prefix, char *err, size_t err_size) {
  const char *key;
  json_t *value;
  char path[256];
  json_object_foreach((json_t *)was, key, value) {
    const json_t *other = json_object_get(is, key);
    if (is_free(key) || json_equal(value, other)) continue;
    snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", key);
    if (json_is_object(value) && json_is_object(other)) {
      if (compare_config(value, other, path, err, err_size)) return -1;
      continue;
    }
    refuse(path, value, other, err, err_size);
    return -1;
  }
  json_object_foreach((json_t *)is, key, value) {
    if (is_free(key) || json_object_get(was, key)) continue;
    snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", key);
    refuse(path, NULL, value, err, err_size);
    return -1;
  }
  return 0;
}

/* More rounds are the same run only when the rounds already done would have had the same learning rates. `each`: values of the
 * schedule in a round, the steps of an epoch where central training counts by step. */
static int compare_rounds(const json_t *was, const fl_config *config, uint64_t each, uint64_t done, char *err, size_t err_size) {
  const char *key = config->central ? "training.epochs" : "federated.rounds";
  const json_t *rounds = json_object_get(json_object_get(was, config->central ? "training" : "federated"), strchr(key, '.') + 1);
  uint64_t planned = rounds ? (uint64_t)json_integer_value(rounds) : config->rounds;
  if (config->rounds < done) {
    snprintf(err, err_size, "cannot resume: %s is %" PRIu64 ", the checkpoint is already at %s %" PRIu64, key, config->rounds,
             config->central ? "epoch" : "round", done);
    return -1;
  }
  const fl_algorithm *a = &config->algorithm;
  const int rule = a->rule->planned && a->rule->planned(a->h_rule);
  if (planned != config->rounds &&
      (rule || (!config->central && a->server_rule->planned && a->server_rule->planned(a->h_server)))) {
    snprintf(err, err_size, "cannot resume with %s %" PRIu64 " instead of %" PRIu64 ": every step of rule %s depends on it "
                                                                                    "(total_steps 0)",
             key, config->rounds, planned, rule ? a->rule->name : a->server_rule->name);
    return -1;
  }
  for (uint64_t t = 0; planned != config->rounds && t < done * each; t++) {
    if (fl_lr_at(&config->algorithm, t, planned * each) == fl_lr_at(&config->algorithm, t, config->rounds * each)) continue;
    snprintf(err, err_size, "cannot resume with %s %" PRIu64 " instead of %" PRIu64
             ": the learning-rate schedule of what is done depends on it", key, config->rounds, planned);
    return -1;
  }
  return 0;
}

/* Length of what comes before the trailer, or -1 with a message. */
static int64_t verified(FILE *file, const char *path, char *err, size_t err_size) {
  unsigned char *block = malloc(BLOCK), digest[EVP_MAX_MD_SIZE], trailer[TRAILER];
  EVP_MD_CTX *sha = EVP_MD_CTX_new();
  off_t size = fseeko(file, 0, SEEK_END) ? -1 : ftello(file);
  int bad = !block || !sha || size < (off_t)(sizeof magic + TRAILER) || EVP_DigestInit_ex(sha, EVP_sha256(), NULL) != 1;
  rewind(file);
  off_t left = size - TRAILER;
  while (!bad && left > 0) {
    size_t want = left < BLOCK ? (size_t)left : BLOCK;
    bad = fread(block, 1, want, file) != want || EVP_DigestUpdate(sha, block, want) != 1;
    left -= (off_t)want;
  }
  bad = bad || fread(trailer, 1, TRAILER, file) != TRAILER || EVP_DigestFinal_ex(sha, digest, NULL) != 1 ||
        memcmp(digest, trailer, TRAILER) != 0;
  rewind(file);
  EVP_MD_CTX_free(sha);
  free(block);
  if (!bad) return (int64_t)size - TRAILER;
  snprintf(err, err_size, "'%s' is damaged or cut off (%" PRId64 " bytes, its SHA-256 does not match); remove it to start the "
                                                                 "run anew",
           path, (int64_t)size);
  return -1;
}

static json_t *get_config(stream *s) {
  uint64_t n;
  char *text = NULL;
  json_t *json = NULL;
  if (get_u64(s, &n) == 0 && n <= s->left && (text = malloc((size_t)n + 1)) && get(s, text, (size_t)n) == 0)
    json = json_loadb(text, (size_t)n, 0, NULL);
  free(text);
  return json;
}

/* The present configuration as the checkpoint's was written: both sides went through the same text. */
static json_t *present_config(const fl_config *config) {
  json_t *json = fl_config_json(config);
  char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
  json_decref(json);
  json = text ? json_loads(text, 0, NULL) : NULL;
  free(text);
  return json;
}

static int load(stream *s, const char *path, const fl_config *config, fl_session *session, fl_metrics *m, char *err,
                size_t err_size) {
  char head[sizeof magic];
  if (get(s, head, sizeof head) || memcmp(head, magic, sizeof magic)) {
    snprintf(err, err_size, "'%s' is not a checkpoint of schema %d", path, magic[7]);
    return -1;
  }
  json_t *was = get_config(s), *is = present_config(config);
  uint64_t words = 0, word[FL_RECORD_WORDS];
  int bad = !was || !is || get_u64(s, &words) || words != FL_RECORD_WORDS;
  for (size_t i = 0; !bad && i < FL_RECORD_WORDS; i++) bad = get_u64(s, &word[i]);
  if (bad) {
    snprintf(err, err_size, "'%s' is not a checkpoint of this version of fedlane", path);
  } else {
    fl_record_unpack(word, m);
    const uint64_t each = fl_counts_steps(&config->algorithm, config->central) ? fl_session_job(session)->local_steps : 1;
    bad = compare_config(was, is, "", err, err_size) || compare_rounds(was, config, each, m->round, err, err_size);
  }
  json_decref(was);
  json_decref(is);
  if (bad) return -1;
  char why[400] = "";
  if (fl_session_load(session, get, s, why, sizeof why) || s->left) {
    snprintf(err, err_size, "'%s': %s", path, why[0] ? why : "its state does not fit this run");
    return -1;
  }
  return 0;
}

int fl_checkpoint_load(const char *dir, const fl_config *config, fl_session *session, fl_metrics *m, char *err, size_t err_size) {
  char path[4096];
  snprintf(path, sizeof path, "%s/checkpoint.bin", dir);
  stream s = {fopen(path, "rbe"), NULL, 0};
  if (!s.file) {
    if (errno == ENOENT) return 1;
    snprintf(err, err_size, "cannot read '%s': %s", path, strerror(errno));
    return -1;
  }
  int64_t size = verified(s.file, path, err, err_size);
  s.left = size > 0 ? (uint64_t)size : 0;
  int bad = size < 0 || load(&s, path, config, session, m, err, err_size);
  fclose(s.file);
  return bad ? -1 : 0;
}
