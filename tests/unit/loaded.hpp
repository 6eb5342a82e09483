// A data set as it was read, or what was said instead.
#pragma once
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <string>
#include <unistd.h>
#include <vector>
extern "C" {
#include "harness/data.h"
}

using Bytes = std::string;

// A folder for the files of one case, which go with it.
struct Folder {
  std::string path = "/tmp/fedlane-data-XXXXXX";
  std::vector<std::string> files;
  Folder() { REQUIRE(mkdtemp(&path[0])); }
  ~Folder() {
    for (const std::string &f : files) unlink(f.c_str());
    rmdir(path.c_str());
  }
  std::string write(const std::string &name, const Bytes &b) {
    files.push_back(path + "/" + name);
    std::ofstream(files.back(), std::ios::binary) << b;
    return files.back();
  }
};

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
