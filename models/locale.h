/* locale.h - numbers as text are read and printed with a point, whatever locale the calling program has set. */
#ifndef FEDLANE_LOCALE_H
#define FEDLANE_LOCALE_H
#include <locale.h>

/* Of the calling thread only; nothing of the caller's runs in between. Leaving gives its own locale back. */
static inline locale_t fl_locale_enter(void) { return uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0)); }
static inline void fl_locale_leave(locale_t before) {
  const locale_t c = uselocale(before);
  if (c != before && c != LC_GLOBAL_LOCALE) freelocale(c);
}
#endif
