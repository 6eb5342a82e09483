/* race.c - a data race on purpose, in a parallel region as the session's: a build with ThreadSanitizer must report it, else its
 * silence about everything else means nothing. */
#include <stdio.h>

int main(void) {
  int shared = 0;
#pragma omp parallel num_threads(2)
  shared++;
  printf("%d\n", shared);
  return 0;
}
