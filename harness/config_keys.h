/* config_keys.h - the keys of a configuration that belong to no partitioner, method, rule or stage. The reader, --dry-run
 * and docs/configuration.md are made from these tables. */
#ifndef FEDLANE_CONFIG_KEYS_H
#define FEDLANE_CONFIG_KEYS_H
#include "config.h"
#include "config_tree.h"

/* FL_KEY_SET: names of param.choices, one or a list (no sweep) or joined by '+', as the bits of an unsigned. */
typedef enum { FL_KEY_REAL, FL_KEY_SIZE, FL_KEY_U64, FL_KEY_FLAG, FL_KEY_CHOICE, FL_KEY_SET } fl_key_kind;
typedef struct { fl_param param; fl_key_kind kind; size_t offset; } fl_key_entry;
typedef struct { const char *name; const fl_key_entry *key; size_t n; } fl_section_keys;
double fl_key_get(const fl_key_entry *, const fl_config *);
/* Whether a key of 'federated' is left out of the resolved configuration at its default. */
int fl_key_is_later(const char *key);
/* The first key that another one's value leaves without an effect, and what it needs; NULL: none. */
const char *fl_key_idle(const fl_section_keys *, const fl_config *, char *needs, size_t size);
const fl_section_keys *fl_section_of(int central);        /* of 'federated', of 'training' */
/* The names of a FL_KEY_SET into *set (an unsigned). 0, or -1 with a message. */
int fl_key_set_read(const fl_key_entry *, const fl_node *, void *set, char *err, size_t err_size);
/* The diagnostics one of which the key needs beside it; 0: it always acts. */
unsigned fl_key_needs(const char *key);
/* The bits of a set as names, joined by `between`. */
void fl_key_set_text(const char *choices, unsigned set, const char *between, char *out, size_t size);
/* A bare key, as in --set rounds=5, that belongs into a section: the section's name, or NULL. */
const char *fl_section_with(const char *key, int central);
typedef struct { const char *name, *help; } fl_key_help;
extern const fl_key_help fl_top_keys[], fl_data_keys[], fl_tune_keys[];
/* A key of data that only some formats have: their names, joined by '|'. */
typedef struct { const char *formats; fl_key_entry key; } fl_format_key;
extern const fl_format_key fl_format_keys[];
extern const size_t fl_format_key_count;
int fl_format_has(const fl_format_key *, const char *format);
extern const size_t fl_top_key_count, fl_data_key_count, fl_tune_key_count;
/* A network by name (fl_net_find), or NULL with a message that says what is allowed. */
const fl_net *fl_net_named(const char *where, const char *name, fl_net_sized *room, char *err, size_t err_size);
#endif
