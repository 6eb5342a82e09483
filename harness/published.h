/* published.h - a CSV of published figures (docs/results.md): whether its columns, lines and values are what they must be. */
#ifndef FEDLANE_PUBLISHED_H
#define FEDLANE_PUBLISHED_H
#include <jansson.h>

/* known: an object whose keys are those of the runs' configurations ("algorithm.name"). 0, or -1 with a message that names the
 * file, the line and what is allowed. */
int fl_published_check(const char *path, const json_t *known, char *err, size_t err_size);
#endif
