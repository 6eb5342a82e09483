/* race_team.c - a data race on purpose between two parts of a team's job, which run at the same time: a build with
 * ThreadSanitizer must report it, else its silence about one model on several threads means nothing. What lets the two
 * meet orders nothing. */
#include <fedlane/divide.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_int here;

static void part(void *shared, size_t i) {
  (void)i;
  atomic_fetch_add_explicit(&here, 1, memory_order_relaxed);
  while (atomic_load_explicit(&here, memory_order_relaxed) < 2) { }
  ++*(int *)shared;
}
static void *serve(void *crew) {
  fl_crew_serve(crew);
  return NULL;
}

int main(void) {
  int shared = 0;
  pthread_t other;
  fl_crew *crew = fl_crew_open(2);
  if (!crew || pthread_create(&other, NULL, serve, crew)) return 1;
  const fl_team team = fl_crew_team(crew);
  team.each(team.self, 2, part, &shared);
  fl_crew_dismiss(crew);
  pthread_join(other, NULL);
  fl_crew_close(crew);
  printf("%d\n", shared);
  return 0;
}
