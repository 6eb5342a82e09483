// A data set as it was read, or what was said instead.
#pragma once
#include <catch2/catch.hpp>
#include <cstring>
#include <initializer_list>
extern "C" {
#include "harness/data.h"
}

struct LoadedSet {
  fl_dataset d;
  char err[1024] = "";
  int status;
  ~LoadedSet() { fl_dataset_free(&d); }
  bool says(std::initializer_list<const char *> words) const {
    if (status != -1) return false;
    for (const char *w : words)
      if (!strstr(err, w)) {
        UNSCOPED_INFO("message: " << err << "; missing: " << w);
        return false;
      }
    return true;
  }
};
