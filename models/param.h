/* param.h - a parameter with its range, and its value from text: layers, rules, stages, partitioners and sections of a
 * configuration are all checked by these, in the same words. */
#ifndef FEDLANE_PARAM_H
#define FEDLANE_PARAM_H
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

/* One parameter: lo <= value <= hi, or as the flags say. choices "a|b|c": the value is the index (lo, hi, flags ignored,
 * def = default index). Names have one meaning in the whole program. */
enum { FL_WHOLE = 1, FL_ABOVE = 2, FL_BELOW = 4,      /* a whole number; lo itself, hi itself is not allowed */
       FL_LIST = 8,                                   /* up to FL_MAX_MILESTONES whole numbers, rising, as "100+150"; "none" */
       FL_NUMBERS = 64,                               /* numbers, each from lo to hi, as "1+0.5+2"; "none" */
       FL_FEDERATED = 16, FL_CENTRAL = 32 };          /* has a meaning in federated runs, in central training alone */
typedef struct { const char *name; double def, lo, hi; const char *choices, *help; unsigned flags; } fl_param;
enum { FL_MAX_NUMBERS = 1024 };
/* One key = value; where: "file:line:column" or "--set", for messages. */
typedef struct { const char *key, *value, *where; } fl_setting;

/* The value (a choice's index, how many FL_NUMBERS) into *out. 0, or -1 with a message: place, key, value, what is allowed. */
int fl_param_read(const fl_param *, const fl_setting *, double *out, char *err, size_t err_size);
/* The numbers of an FL_NUMBERS setting that fl_param_read took, into out. */
void fl_param_numbers(const char *value, float *out);
/* "WHERE: unknown WHAT 'WORD'; did you mean 'NEAREST'?; allowed: NAMES" into err; returns -1. */
int fl_unknown(const char *where, const char *what, const char *word, const char *const *names, size_t n, char *err,
               size_t err_size);
#ifdef __cplusplus
}
#endif
#endif
