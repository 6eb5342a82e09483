/* memory.c - how much memory this process may still take: the machine's and its control groups'. Client states are touched
 * lazily, so without asking, a population that is too large would end in the kernel's SIGKILL in the middle of a round. */
#include "internal.h"
#include "models/locale.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The number behind `key` at a line's start (NULL: the file's first). 1, or 0: no such file, key or number ("max"). */
static int number(const char *folder, const char *name, const char *key, uint64_t *value) {
  char path[512], line[256];
  const size_t skip = key ? strlen(key) : 0;
  int found = 0;
  if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path) return 0;
  FILE *f = fopen(path, "re");
  while (f && !found && fgets(line, sizeof line, f))
    found = !strncmp(line, key ? key : "", skip) && sscanf(line + skip, "%" SCNu64, value) == 1;
  if (f) fclose(f);
  return found;
}

/* What a control group leaves; its page cache can be reclaimed. UINT64_MAX: no limit. */
static uint64_t group_room(const char *folder, int v1) {
  uint64_t limit, used, active = 0, inactive = 0;
  if (!number(folder, v1 ? "memory.limit_in_bytes" : "memory.max", NULL, &limit) ||
      !number(folder, v1 ? "memory.usage_in_bytes" : "memory.current", NULL, &used)) return UINT64_MAX;
  number(folder, "memory.stat", v1 ? "total_active_file " : "active_file ", &active);
  number(folder, "memory.stat", v1 ? "total_inactive_file " : "inactive_file ", &inactive);
  used -= active + inactive < used ? active + inactive : used;
  return limit > used ? limit - used : 0;
}

/* The least of a group and those above it. A container may be told a path that only exists outside of it. */
static uint64_t groups_room(const char *base, const char *path, int v1) {
  char folder[512];
  uint64_t least = UINT64_MAX;
  if ((size_t)snprintf(folder, sizeof folder, "%s%s", base, path) >= sizeof folder) return least;
  for (char *end = folder + strlen(folder); end;) {
    *end = 0;
    const uint64_t room = group_room(folder, v1);
    if (room < least) least = room;
    end = strlen(folder) > strlen(base) ? strrchr(folder, '/') : NULL;
  }
  return least;
}

uint64_t fl_memory_available(void) {
  uint64_t least = UINT64_MAX, kilobytes;
  char line[512];
  if (number("/proc", "meminfo", "MemAvailable:", &kilobytes)) least = 1024 * kilobytes;
  FILE *f = fopen("/proc/self/cgroup", "re");
  while (f && fgets(line, sizeof line, f)) {
    line[strcspn(line, "\n")] = 0;
    const char *kind = strchr(line, ':'), *path = kind ? strchr(kind + 1, ':') : NULL;
    const int v1 = kind && !strncmp(kind, ":memory:", 8), v2 = !strncmp(line, "0::", 3);
    if (!path || !(v1 || v2)) continue;
    const uint64_t room = groups_room(v1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup", path + 1, v1);
    if (room < least) least = room;
  }
  if (f) fclose(f);
  return least - least / 16;                    /* the rest of the process and the kernel need some, too */
}

int fl_states_refuse(const char *what, size_t more, size_t each, uint64_t available, char *err, size_t size) {
  const locale_t before = fl_locale_enter();
  snprintf(err, size, "%s: the states of %zu more clients need %zu x %zu bytes = %.3f GB; %.3f GB of memory are available; fewer "
           "clients, or a method without a state for each", what, more, more, each, 1e-9 * (double)more * (double)each,
           1e-9 * (double)available);
  fl_locale_leave(before);
  return -1;
}
