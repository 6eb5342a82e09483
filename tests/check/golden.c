/* golden.c - one SHA-256 an operation over the results of its quick cases with a fixed seed: every ISA must give it. */
#include "check.h"
#include <string.h>
#include <openssl/evp.h>

#define GOLDEN_SEED 20260101u

static int hash_op(const fl_kernels *k, const op_test *op, char out[65]) {
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_MD_CTX *sha = EVP_MD_CTX_new();
  if (!sha || !EVP_DigestInit_ex(sha, EVP_sha256(), NULL)) {
    fprintf(stderr, "fedlane-check: libcrypto has no SHA-256\n");
    EVP_MD_CTX_free(sha);
    return 0;
  }
  check t = { .ref = k, .dut = k, .seed = GOLDEN_SEED, .quick = 1, .sha = sha };
  run_op(&t, op);
  EVP_DigestFinal_ex(sha, raw, &size);
  EVP_MD_CTX_free(sha);
  for (unsigned i = 0; i < 32; i++) { snprintf(out + 2 * i, 3, "%02x", raw[i]); }
  return t.failures == 0;
}

int print_hashes(const fl_kernels *k, FILE *f) {
  int bad = 0;
  for (size_t i = 0; i < op_count; i++) {
    char hash[65];
    if (hash_op(k, &op_tests[i], hash)) { fprintf(f, "%s %s\n", op_tests[i].name, hash); } else { bad = 1; }
  }
  return bad;
}

/* Lines that no operation answers to: what they say would be held by nobody. */
static size_t surplus(FILE *f, const char *path) {
  char line[256], name[64];
  size_t lines = 0, bad = 0;
  while (fgets(line, sizeof line, f)) {
    size_t i = 0;
    if (sscanf(line, "%63s", name) != 1) { continue; }
    while (i < op_count && strcmp(name, op_tests[i].name)) { i++; }
    lines += i < op_count;
    if (i == op_count) {
      printf("FAIL %s: in %s, but no operation has this name\n", name, path);
      bad++;
    }
  }
  if (lines > op_count) {
    printf("FAIL %s: %zu lines for %zu operations\n", path, lines, op_count);
    bad++;
  }
  return bad;
}

int compare_golden(const fl_kernels *k, const char *path, char *const *word, int words) {
  size_t passed = 0, failed = 0;
  FILE *f = fopen(path, "r");
  if (!f) {
    fprintf(stderr, "fedlane-check: --golden: cannot read \"%s\"\n", path);
    return 2;
  }
  printf("isa %s against %s\n", k->name, path);
  failed = surplus(f, path);
  for (size_t i = 0; i < op_count; i++) {
    char line[256], name[64], want[65], hash[65];
    int found = 0, same = 0;
    if (!wanted(&op_tests[i], word, words)) { continue; }
    rewind(f);
    while (!found && fgets(line, sizeof line, f)) {
      found = sscanf(line, "%63s %64s", name, want) == 2 && !strcmp(name, op_tests[i].name);
    }
    same = found && hash_op(k, &op_tests[i], hash) && !strcmp(hash, want);
    if (same) { passed++; } else { failed++; }
    if (!found) { printf("FAIL %s: not in %s\n", op_tests[i].name, path); }
    if (found && !same) { printf("FAIL %s: %s, not %s\n", op_tests[i].name, hash, want); }
  }
  fclose(f);
  printf("%zu passed, %zu failed\n", passed, failed);
  return failed != 0;
}
