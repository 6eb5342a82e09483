/* crew.c - a team out of the caller's threads. A job is handed out through one word, its number and how many parts nobody took
 * yet: so a member that comes late can never take a part of another job than it saw. */
#include <fedlane/divide.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { SPIN_NS = 50000 };       /* about as long as the calls between two that are divided */
#define LEFT UINT32_MAX         /* the word's lower half */

struct fl_crew {
  size_t workers, n;
  void (*body)(void *arg, size_t i);
  void *arg;
  _Atomic uint64_t word;
  atomic_size_t done, home;     /* parts; members that saw the dismissal */
  atomic_int over, asleep, leader_asleep;
  pthread_mutex_t lock;
  pthread_cond_t work, end;
};

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

fl_crew *fl_crew_open(size_t workers) {
  fl_crew *c = calloc(1, sizeof *c);
  if (!c) return NULL;
  c->workers = workers;
  atomic_init(&c->word, 0);
  atomic_init(&c->done, 0);
  atomic_init(&c->home, 0);
  atomic_init(&c->over, 0);
  atomic_init(&c->asleep, 0);
  atomic_init(&c->leader_asleep, 0);
  pthread_mutex_init(&c->lock, NULL);
  pthread_cond_init(&c->work, NULL);
  pthread_cond_init(&c->end, NULL);
  return c;
}

void fl_crew_close(fl_crew *c) {
  if (!c) return;
  pthread_cond_destroy(&c->end);
  pthread_cond_destroy(&c->work);
  pthread_mutex_destroy(&c->lock);
  free(c);
}

/* One part, if one is left: 1. The job stays what it is until all its parts are done, this one among them. */
static int take(fl_crew *c) {
  uint64_t seen = atomic_load(&c->word);
  do {
    if (!(seen & LEFT)) return 0;
  } while (!atomic_compare_exchange_weak(&c->word, &seen, seen - 1));
  const size_t n = c->n;
  c->body(c->arg, n - (size_t)(seen & LEFT));
  if (atomic_fetch_add(&c->done, 1) + 1 == n && atomic_load(&c->leader_asleep)) {
    pthread_mutex_lock(&c->lock);
    pthread_cond_signal(&c->end);
    pthread_mutex_unlock(&c->lock);
  }
  return 1;
}

static void wake(fl_crew *c) {
  if (!atomic_load(&c->asleep)) return;
  pthread_mutex_lock(&c->lock);
  pthread_cond_broadcast(&c->work);
  pthread_mutex_unlock(&c->lock);
}

static void sleep_until_done(fl_crew *c, size_t n) {
  pthread_mutex_lock(&c->lock);
  atomic_store(&c->leader_asleep, 1);
  while (atomic_load(&c->done) < n) pthread_cond_wait(&c->end, &c->lock);
  atomic_store(&c->leader_asleep, 0);
  pthread_mutex_unlock(&c->lock);
}

static void each(void *self, size_t n, void (*body)(void *arg, size_t i), void *arg) {
  fl_crew *c = self;
  c->n = n, c->body = body, c->arg = arg;
  atomic_store(&c->done, 0);
  atomic_store(&c->word, ((atomic_load(&c->word) >> 32) + 1) << 32 | n);
  wake(c);
  while (take(c)) { }
  const uint64_t until = now() + SPIN_NS;
  while (atomic_load(&c->done) < n)
    if (now() > until) sleep_until_done(c, n);
}

fl_team fl_crew_team(fl_crew *c) { return (fl_team){ c, c->workers, each }; }

static int is_idle(fl_crew *c) { return !(atomic_load(&c->word) & LEFT) && !atomic_load(&c->over); }

static void sleep_until_work(fl_crew *c) {
  pthread_mutex_lock(&c->lock);
  atomic_fetch_add(&c->asleep, 1);
  while (is_idle(c)) pthread_cond_wait(&c->work, &c->lock);
  atomic_fetch_sub(&c->asleep, 1);
  pthread_mutex_unlock(&c->lock);
}

/* The last one home makes the crew ready to be used again. */
double fl_crew_serve(fl_crew *c) {
  const uint64_t env = fl_fpenv_enter();
  uint64_t computed = 0;
  for (;;) {
    const uint64_t begin = now();
    while (take(c)) { }
    const uint64_t end = now(), until = end + SPIN_NS;
    computed += end - begin;
    while (is_idle(c))
      if (now() > until) sleep_until_work(c);
    if (atomic_load(&c->over) && !(atomic_load(&c->word) & LEFT)) break;
  }
  fl_fpenv_restore(env);
  if (atomic_fetch_add(&c->home, 1) + 2 == c->workers) {
    atomic_store(&c->home, 0);
    atomic_store(&c->over, 0);
  }
  return 1e-9 * (double)computed;
}

void fl_crew_dismiss(fl_crew *c) {
  if (c->workers < 2) return;
  atomic_store(&c->over, 1);
  wake(c);
}
