/* registry.h - the tables behind the names: the catalogue's own and what was registered. */
#ifndef FL_OPTIMIZERS_REGISTRY_H
#define FL_OPTIMIZERS_REGISTRY_H
#include <fedlane/plugin.h>
#ifdef __cplusplus
extern "C" {
#endif

/* By name; NULL, and a message that lists what is allowed. name: n characters. */
const fl_rule *fl_rule_named(const char *where, const char *name, char *err, size_t err_size);
const fl_stage *fl_stage_named(const char *where, const char *name, size_t n, char *err, size_t err_size);
const fl_method *fl_method_named(const char *where, const char *name, char *err, size_t err_size);
/* 0, or -1 and the field of the table that is not valid: what the tests ask of the catalogue's own tables, too. */
int fl_rule_valid(const fl_rule *, char *err, size_t err_size);
int fl_stage_valid(const fl_stage *, char *err, size_t err_size);
int fl_method_valid(const fl_method *, char *err, size_t err_size);     /* its rule is there already */
#ifdef __cplusplus
}
#endif
#endif
