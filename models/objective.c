/* objective.c - what the gradients of a run draw from. */
#include <fedlane/objective.h>

fl_key fl_key_child(const fl_key *key, uint32_t number) {
  const uint32_t counter[4] = { number, 0, 0, key->purpose << 24 };
  uint32_t word[4];
  fl_key child = *key;
  fl_philox(counter, key->seed, word);
  child.seed = (uint64_t)word[1] << 32 | word[0];
  return child;
}
