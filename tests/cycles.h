/* cycles.h - additions that wait for each other, one cycle of the core each: the clock behind the time-stamp counter's. */
#ifndef FEDLANE_TEST_CYCLES_H
#define FEDLANE_TEST_CYCLES_H

/* n: a multiple of 8. */
static inline void spend_cycles(unsigned long n) {
#if defined(__x86_64__)
#define FL_LINK "add $1, %0\n"
#elif defined(__aarch64__)
#define FL_LINK "add %0, %0, #1\n"
#endif
#if defined(FL_LINK)
  unsigned long sum = 0;
  for (unsigned long i = 0; i < n / 8; i++) {
    __asm__ volatile(FL_LINK FL_LINK FL_LINK FL_LINK FL_LINK FL_LINK FL_LINK FL_LINK : "+r"(sum));
  }
#undef FL_LINK
#else
  (void)n;
#endif
}
#endif
