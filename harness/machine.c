/* machine.c - what a result must say of the machine and the build that made it. Anything the system does not tell is
 * "unknown" or null: a run never fails for it. */
#include "harness/results.h"
#include "fedlane_commit.h"
#include <ctype.h>
#include <dirent.h>
#include <openssl/crypto.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <yaml.h>
#include <zlib.h>

/* The first line of a small file, without its line feed; 0 when there is none. */
static int first_line(const char *path, char *out, size_t size) {
  FILE *f = fopen(path, "re");
  out[0] = 0;
  if (!f) return 0;
  if (!fgets(out, (int)size, f)) out[0] = 0;
  fclose(f);
  out[strcspn(out, "\n")] = 0;
  return out[0] != 0;
}

static json_t *line_json(const char *path) {
  char text[256];
  json_t *s = first_line(path, text, sizeof text) ? json_string(text) : NULL;
  return s ? s : json_string("unknown");
}

/* Entries of a folder named prefix + digits. */
static int count_numbered(const char *folder, const char *prefix) {
  DIR *d = opendir(folder);
  int n = 0;
  for (const struct dirent *e; d && (e = readdir(d));)
    n += strncmp(e->d_name, prefix, strlen(prefix)) == 0 && isdigit((unsigned char)e->d_name[strlen(prefix)]);
  if (d) closedir(d);
  return n;
}

/* Distinct (package, core) of the processors that are there; 0 when the system does not say. */
static int physical_cores(void) {
  enum { MOST = 4096 };
  char path[128], text[64];
  int n = 0;
  int (*seen)[2] = malloc(MOST * sizeof *seen);
  long cpus = sysconf(_SC_NPROCESSORS_CONF);
  for (long c = 0; seen && c < cpus && n < MOST; c++) {
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%ld/topology/physical_package_id", c);
    if (!first_line(path, text, sizeof text)) continue;
    int package = atoi(text), known = 0;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%ld/topology/core_id", c);
    if (!first_line(path, text, sizeof text)) continue;
    int core = atoi(text);
    for (int i = 0; i < n && !known; i++) known = seen[i][0] == package && seen[i][1] == core;
    if (known) continue;
    seen[n][0] = package;
    seen[n++][1] = core;
  }
  free(seen);
  return n;
}

static int affinity_cpus(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) ? 0 : CPU_COUNT(&set);
}

static json_t *caches_json(void) {
  json_t *list = json_array();
  char path[128], level[16], type[32], size[32], shared[128];
  for (int i = 0; i < 16; i++) {
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/level", i);
    if (!first_line(path, level, sizeof level)) break;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/type", i);
    first_line(path, type, sizeof type);
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
    first_line(path, size, sizeof size);
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/shared_cpu_list", i);
    first_line(path, shared, sizeof shared);
    json_array_append_new(list, json_pack("{s:i, s:s, s:s, s:s}", "level", atoi(level), "type", type, "size", size, "shared_by",
                                          shared));
  }
  return list;
}

/* The names of the ISAs in a mask. */
static json_t *isa_json(unsigned mask) {
  json_t *list = json_array();
  for (int i = 0; i < FL_ISA_COUNT; i++)
    if (mask & 1u << i) json_array_append_new(list, json_string(fl_isa_name((fl_isa)i)));
  return list;
}

/* A cgroup's number in a file that may also say "max"; null then. */
static json_t *limit_json(const char *path) {
  char text[64];
  if (!first_line(path, text, sizeof text) || !isdigit((unsigned char)text[0])) return json_null();
  return json_integer((json_int_t)strtoll(text, NULL, 10));
}

static json_t *quota_json(void) {
  char text[64];
  double quota, period;
  if (!first_line("/sys/fs/cgroup/cpu.max", text, sizeof text) || sscanf(text, "%lf %lf", &quota, &period) != 2 || period <= 0)
    return json_null();
  return json_real(quota / period);
}

static void put_isa(json_t *o, const fl_kernels *kernels) {
  fl_isa_info isa;
  fl_isa_detect(&isa);
  json_t *brand = json_string(isa.brand[0] ? isa.brand : "unknown");
  json_object_set_new(o, "cpu", brand ? brand : json_string("unknown"));
  json_object_set_new(o, "isa_detected", isa_json(isa.cpu));
  json_object_set_new(o, "isa_enabled", isa_json(isa.cpu & isa.os));
  json_object_set_new(o, "isa_built", isa_json(isa.built));
  json_object_set_new(o, "isa_used", kernels ? json_string(kernels->name) : json_null());
}

static json_t *libraries_json(void) {
  return json_pack("{s:s, s:s, s:s, s:s}", "zlib", zlibVersion(), "libyaml", yaml_get_version_string(), "jansson",
                   JANSSON_VERSION, "openssl", OpenSSL_version(OPENSSL_VERSION));
}

/* CMake's list of flags reaches the program with spaces or semicolons. */
static json_t *flags_json(void) {
  char text[] = FL_FLAGS;
  for (char *p = text; *p; p++)
    if (*p == ';') *p = ' ';
  return json_string(text);
}

json_t *fl_machine_json(const fl_kernels *kernels, int threads) {
  struct utsname u;
  json_t *o = json_object();
  int known = uname(&u) == 0, cores = physical_cores(), nodes = count_numbered("/sys/devices/system/node", "node");
  long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  put_isa(o, kernels);
  json_object_set_new(o, "architecture", json_string(known ? u.machine : "unknown"));
  json_object_set_new(o, "cores", cores ? json_integer(cores) : json_null());
  json_object_set_new(o, "cpus", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
  json_object_set_new(o, "cpus_allowed", json_integer(affinity_cpus()));
  json_object_set_new(o, "cpu_quota", quota_json());
  json_object_set_new(o, "threads", json_integer(threads));
  json_object_set_new(o, "caches", caches_json());
  json_object_set_new(o, "numa_nodes", json_integer(nodes ? nodes : 1));
  json_object_set_new(o, "governor", line_json("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"));
  json_object_set_new(o, "hugepages", line_json("/sys/kernel/mm/transparent_hugepage/enabled"));
  json_object_set_new(o, "memory_bytes", json_integer((json_int_t)pages * page));
  json_object_set_new(o, "memory_limit_bytes", limit_json("/sys/fs/cgroup/memory.max"));
  json_object_set_new(o, "system", json_string(known ? u.sysname : "unknown"));
  json_object_set_new(o, "kernel", json_string(known ? u.release : "unknown"));
  json_object_set_new(o, "compiler", json_string(FL_COMPILER));
  json_object_set_new(o, "flags", flags_json());
  json_object_set_new(o, "version", json_string(FL_VERSION));
  json_object_set_new(o, "libraries", libraries_json());
  json_object_set_new(o, "commit", json_string(FL_COMMIT[0] ? FL_COMMIT : "unknown"));
  json_object_set_new(o, "dirty", FL_DIRTY < 0 ? json_null() : json_boolean(FL_DIRTY));
  return o;
}
