// The binary versions of CIFAR-10 and CIFAR-100: rows, labels, files, channels' constants, refusals.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>
extern "C" {
#include "harness/data.h"
}

namespace {
constexpr size_t PIXELS = 3072;
struct Folder {
  std::string path = "/tmp/fedlane-cifar-XXXXXX";
  std::vector<std::string> files;
  Folder() { REQUIRE(mkdtemp(&path[0])); }
  ~Folder() {
    for (const std::string &f : files) std::remove(f.c_str());
    std::remove(path.c_str());
  }
  // n rows: labels (first - 1 of zeros, then i + base), pixel j of row i is i + j + base
  void write(const char *name, size_t n, size_t labels, unsigned base, size_t cut = 0, uint8_t coarse = 77) {
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i < n; i++) {
      if (labels == 2) bytes.push_back(coarse);
      bytes.push_back(uint8_t(i + base));
      for (size_t j = 0; j < PIXELS; j++) bytes.push_back(uint8_t(i + j + base));
    }
    files.push_back(path + "/" + name);
    FILE *f = std::fopen(files.back().c_str(), "wb");
    REQUIRE(f);
    CHECK(std::fwrite(bytes.data(), 1, bytes.size() - cut, f) == bytes.size() - cut);
    std::fclose(f);
  }
  void ten(size_t cut = 0) {
    for (unsigned b = 0; b < 5; b++)
      write(("data_batch_" + std::to_string(b + 1) + ".bin").c_str(), 2, 1, 2 * b, b == 3 ? cut : 0);
    write("test_batch.bin", 3, 1, 7);
  }
};
struct Loaded {
  fl_dataset d;
  char err[1200] = "";
  int status;
  Loaded(const char *name, const char *format, const char *train, const fl_data_options *o = nullptr) {
    status = fl_dataset_load(&d, name, format, train, nullptr, o, err, sizeof err);
  }
  ~Loaded() {
    if (!status) fl_dataset_free(&d);
  }
};
}

TEST_CASE("CIFAR-10: rows in the files' order, three channels, their constants", "[data]") {
  Folder folder;
  folder.ten();
  const Loaded l(nullptr, "cifar10", folder.path.c_str());
  INFO(l.err);
  REQUIRE(l.status == 0);
  CHECK((l.d.train.n == 10 && l.d.test.n == 3 && l.d.train.c == 3 && l.d.train.h == 32 && l.d.train.w == 32));
  CHECK((l.d.train.classes == 10 && l.d.n_files == 6));
  for (size_t i = 0; i < 10; i++) CHECK((l.d.train.label[i] == i && l.d.train.pixels[i * PIXELS + 5] == i + 5));
  for (size_t i = 0; i < 3; i++) CHECK((l.d.test.label[i] == i + 7 && l.d.test.pixels[i * PIXELS] == i + 7));
  REQUIRE(l.d.train.channel);
  CHECK((l.d.train.channel[0] == 0.4914 && l.d.train.channel[5] == 0.2616));
}

TEST_CASE("CIFAR-100: the fine label is the label", "[data]") {
  Folder folder;
  folder.write("train.bin", 4, 2, 30);
  folder.write("test.bin", 2, 2, 90);
  const Loaded l(nullptr, "cifar100", folder.path.c_str());
  INFO(l.err);
  REQUIRE(l.status == 0);
  CHECK((l.d.train.classes == 100 && l.d.train.label[3] == 33 && l.d.test.label[1] == 91 && l.d.test.pixels[0] == 90));
}

TEST_CASE("CIFAR-100: the coarse label is the label where it is asked for", "[data]") {
  fl_data_options o = fl_data_defaults;
  o.coarse = 1;
  Folder folder;
  folder.write("train.bin", 4, 2, 30, 0, 19);
  folder.write("test.bin", 2, 2, 90, 0, 7);
  const Loaded l(nullptr, "cifar100", folder.path.c_str(), &o);
  INFO(l.err);
  REQUIRE(l.status == 0);
  CHECK((l.d.train.classes == 20 && l.d.train.label[3] == 19 && l.d.test.label[1] == 7 && l.d.test.pixels[0] == 90));
  Folder wrong;
  wrong.write("train.bin", 1, 2, 0, 0, 20);
  wrong.write("test.bin", 1, 2, 0, 0, 0);
  CHECK(std::string(Loaded(nullptr, "cifar100", wrong.path.c_str(), &o).err).find("label 20 of sample 0; allowed 0 to 19") !=
        std::string::npos);
}

TEST_CASE("CIFAR files that are cut, missing or have other labels are refused by name", "[data]") {
  Folder folder;
  folder.ten(1);
  CHECK(std::string(Loaded(nullptr, "cifar10", folder.path.c_str()).err) ==
        folder.path + "/data_batch_4.bin: 6145 bytes; allowed: rows of 3073 bytes, 1 label and 3072 pixels each");
  CHECK(std::string(Loaded(nullptr, "cifar100", folder.path.c_str()).err).find(folder.path + "/train.bin: ") == 0);
  Folder wrong;
  wrong.write("train.bin", 2, 2, 99);
  wrong.write("test.bin", 1, 2, 0);
  CHECK(std::string(Loaded(nullptr, "cifar100", wrong.path.c_str()).err).find("label 100 of sample 1; allowed 0 to 99") !=
        std::string::npos);
  setenv("FEDLANE_DATA", wrong.path.c_str(), 1);
  const std::string err = Loaded("cifar10", nullptr, nullptr).err;
  unsetenv("FEDLANE_DATA");
  CHECK(err.find("data set cifar10: ") == 0);
  CHECK(err.find("data: {format: cifar10, train: FOLDER}") != std::string::npos);
}

// With all weights 0 the logistic model's gradient of a class is (1/classes - [it is the label]) times the input.
TEST_CASE("Every channel is normalised by its own constants", "[data]") {
  Folder folder;
  folder.ten();
  const Loaded l(nullptr, "cifar10", folder.path.c_str());
  REQUIRE(l.status == 0);
  char err[256] = "";
  fl_model *m = fl_model_new(fl_net_find("logistic", nullptr), &l.d.train, &l.d.test, l.d.mean, l.d.std, err, sizeof err);
  REQUIRE(m);
  const fl_objective *o = fl_model_objective(m);
  std::vector<float> x(o->layout->d), g(x.size());
  std::vector<char> work(o->work(o->self, 1));
  const uint32_t row = 4;
  o->loss_grad(o->self, fl_kernels_select(nullptr, nullptr), x.data(), &row, 1, g.data(), work.data());
  for (size_t i = 0; i < PIXELS; i += 101) {
    const double pixel = l.d.train.pixels[row * PIXELS + i] / 255.0, *c = l.d.train.channel;
    CHECK(g[i] / 0.1 == Approx((pixel - c[i / 1024]) / c[3 + i / 1024]).margin(1e-6));
  }
  fl_model_free(m);
}
