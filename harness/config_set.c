/* config_set.c - a key whose value is a set of names, and the keys that act only beside some of the diagnostics. */
#include "config_keys.h"
#include <stdio.h>
#include <string.h>

enum { MAX_TEXT = 200 };

void fl_key_set_text(const char *choices, unsigned set, const char *between, char *out, size_t size) {
  size_t at = 0;
  *out = 0;
  for (; set && at < size; set >>= 1) {
    const size_t n = strcspn(choices, "|");
    if (set & 1) at += (size_t)snprintf(out + at, size - at, "%s%.*s", at ? between : "", (int)n, choices);
    choices += n + (choices[n] != 0);
    if (!*choices) break;
  }
}

int fl_key_set_read(const fl_key_entry *k, const fl_node *node, void *set, char *err, size_t size) {
  char text[MAX_TEXT], all[MAX_TEXT], *word = text;
  unsigned bits = 0;
  fl_key_set_text(k->param.choices, ~0u, ", ", all, sizeof all);
  const fl_node *bad = fl_node_joined(node, text, sizeof text);
  if (bad || !*text)
    return snprintf(err, size, "%s: %s; allowed: one name or a list of %s", (bad ? bad : node)->where, k->param.name, all), -1;
  for (int more = 1; more;) {
    const size_t n = strcspn(word, "+");
    fl_setting one = { k->param.name, word, node->key_where };
    double index;
    more = word[n] != 0;
    word[n] = 0;
    if (fl_param_read(&k->param, &one, &index, err, size)) return -1;
    if (bits >> (unsigned)index & 1)
      return snprintf(err, size, "%s: %s: '%s' more than once; allowed: each name once", node->key_where, k->param.name,
                      word), -1;
    bits |= 1u << (unsigned)index;
    word += n + 1;
  }
  memcpy(set, &bits, sizeof bits);
  return 0;
}

unsigned fl_key_needs(const char *key) {
  static const struct { const char *key; unsigned of; } need[] = {
    { "diagnostics_every", ~0u }, { "diagnostics_rows", FL_D_GRADIENT | FL_D_SAM_GAP | FL_D_SHARPNESS },
    { "gap_rho", FL_D_SAM_GAP }, { "sharpness_steps", FL_D_SHARPNESS }, { "sharpness_step", FL_D_SHARPNESS } };
  for (size_t i = 0; i < sizeof need / sizeof *need; i++)
    if (!strcmp(key, need[i].key)) return need[i].of;
  return 0;
}
