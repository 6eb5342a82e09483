/* guard_child.c - a fedlane-bench that was started with --serve: rows are asked for over a pipe, one at a time. A program kept
 * open answers within the milliseconds that the row itself takes, so two of them can take turns at every row. */
#include "guard.h"
#include "results.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS = 64, PROTOCOL = 1 };

/* What the child becomes: itself, or itself under callgrind, which counts only while the child says so. */
static void become(const fl_bench *b, fl_metric metric, char *const *arguments) {
  char serve[300], out[300];
  char *word[WORDS], later[] = "--instr-atstart=no", quiet[] = "-q", tool[] = "--tool=callgrind", valgrind[] = "valgrind";
  size_t n = 0;
  snprintf(serve, sizeof serve, "--serve=%s%s", metric == FL_TIME ? "time" : metric == FL_COUNTER ? "counter" : "callgrind:",
           metric == FL_CALLGRIND ? b->callgrind : "");
  snprintf(out, sizeof out, "--callgrind-out-file=%s", b->callgrind);
  if (metric == FL_CALLGRIND) {
    char *const front[] = { valgrind, tool, quiet, later, out };
    for (size_t i = 0; i < sizeof front / sizeof *front; i++) word[n++] = front[i];
  }
  word[n++] = (char *)b->path;
  word[n++] = serve;
  for (size_t i = 0; arguments[i] && n < WORDS - 1; i++) word[n++] = arguments[i];
  word[n] = NULL;
  execvp(word[0], word);
  fprintf(stderr, "fedlane: bench: '%s': %s\n", word[0], strerror(errno));
  _exit(127);
}

static int refused(fl_bench *b, const char *what, char *err, size_t err_size) {
  snprintf(err, err_size, "'%s' %s", b->path, what);
  fl_bench_end(b);
  return -1;
}

/* The first line: {"fedlane_bench": 1, "context": {...}, "rows": [...]}. */
static int read_hello(fl_bench *b, char *err, size_t err_size) {
  char *line = NULL;
  size_t size = 0;
  const ssize_t n = getline(&line, &size, b->answers);
  b->hello = n > 0 ? json_loads(line, 0, NULL) : NULL;
  free(line);
  const json_t *protocol = json_object_get(b->hello, "fedlane_bench"), *rows = json_object_get(b->hello, "rows");
  if (json_is_integer(protocol) && json_integer_value(protocol) != PROTOCOL)
    return refused(b, "answers in another form than this program asks; allowed: builds of the same version", err, err_size);
  if (json_is_integer(protocol) && json_is_array(rows) && json_is_object(json_object_get(b->hello, "context"))) return 0;
  return refused(b, "does not answer to --serve: its message, if any, stands above; builds older than the guard do not know it",
                 err, err_size);
}

int fl_bench_start(fl_bench *b, const char *path, fl_metric metric, char *const *arguments, char *err, size_t err_size) {
  int to[2], from[2];
  *b = (fl_bench){ .to = -1, .from = -1 };
  snprintf(b->path, sizeof b->path, "%s", path);
  if (metric == FL_CALLGRIND) {
    const char *folder = getenv("TMPDIR");
    snprintf(b->callgrind, sizeof b->callgrind, "%.200s/fedlane-guard-XXXXXX", folder && *folder ? folder : "/tmp");
    const int f = mkstemp(b->callgrind);
    if (f < 0) return snprintf(err, err_size, "cannot make '%s': %s", b->callgrind, strerror(errno)), -1;
    close(f);
  }
  if (pipe2(to, O_CLOEXEC)) return snprintf(err, err_size, "pipe: %s", strerror(errno)), -1;
  if (pipe2(from, O_CLOEXEC)) return snprintf(err, err_size, "pipe: %s", strerror(errno)), close(to[0]), close(to[1]), -1;
  fflush(NULL);
  b->pid = fork();
  if (b->pid == 0) {
    if (dup2(to[0], 0) < 0 || dup2(from[1], 1) < 0) _exit(127);
    become(b, metric, arguments);
  }
  close(to[0]);
  close(from[1]);
  b->to = to[1];
  b->from = from[0];
  if (b->pid < 0 || !(b->answers = fdopen(b->from, "r")))
    return refused(b, "could not be started", err, err_size);
  return read_hello(b, err, err_size);
}

int fl_bench_ask(fl_bench *b, const char *row, int cpu, long long calls, int parts, double *answer, char *err, size_t err_size) {
  char line[512], *end;
  const int n = snprintf(line, sizeof line, "%d %lld %d %s\n", cpu, calls, parts, row);
  for (int done = 0; done < n;) {
    const ssize_t k = write(b->to, line + done, (size_t)(n - done));
    if (k < 0 && errno == EINTR) continue;
    if (k < 0) return snprintf(err, err_size, "'%s' ended at row %s: %s", b->path, row, strerror(errno)), -1;
    done += (int)k;
  }
  if (!fgets(line, sizeof line, b->answers)) return snprintf(err, err_size, "'%s' ended at row %s", b->path, row), -1;
  *answer = strtod(line, &end);
  if (end != line && *end == '\n' && *answer > 0) return 0;
  line[strcspn(line, "\n")] = 0;
  return snprintf(err, err_size, "'%s', row %s: \"%s\"", b->path, row, line), -1;
}

void fl_bench_end(fl_bench *b) {
  if (b->answers) fclose(b->answers);
  else if (b->from >= 0) close(b->from);
  if (b->to >= 0) close(b->to);
  if (b->pid > 0) waitpid(b->pid, NULL, 0);     /* the end of its input ends it */
  if (b->callgrind[0]) unlink(b->callgrind);
  json_decref(b->hello);
  *b = (fl_bench){ .to = -1, .from = -1 };
}
