// Labels of more than 256 classes: readers keep them as words, partitions see the same samples as by bytes, networks learn them.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <unistd.h>
#include <vector>
#include "loaded.hpp"
extern "C" {
#include "harness/partition.h"
}

namespace {
struct Arrays : Folder {
  // y_PART.npy with these labels, and x_PART.npy with a number a row.
  void arrays(const std::string &part, const std::vector<int32_t> &y) {
    std::vector<float> x(y.begin(), y.end());
    const std::string n = std::to_string(y.size());
    write("x_" + part + ".npy", npy("<f4", "(" + n + ", 1)", x.data(), 4 * x.size()));
    write("y_" + part + ".npy", npy("<i4", "(" + n + ",)", y.data(), 4 * y.size()));
  }
  static Bytes npy(const std::string &descr, const std::string &shape, const void *data, size_t bytes) {
    const std::string h = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
    return Bytes("\x93NUMPY\x01\x00", 8) + char(h.size()) + char(h.size() >> 8) + h +
           Bytes(static_cast<const char *>(data), bytes);
  }
};
struct Loaded : LoadedSet {
  Loaded(const char *format, const std::string &train, const std::string &test = "", const fl_data_options *o = nullptr) {
    status = fl_dataset_load(&d, nullptr, format, train.c_str(), test.empty() ? nullptr : test.c_str(), o, err, sizeof err);
  }
};
std::vector<uint32_t> labels_of(const fl_samples &s) {
  std::vector<uint32_t> y(s.n * (s.positions ? s.positions : 1));
  for (size_t i = 0; i < y.size(); i++) y[i] = fl_samples_label(&s, i);
  return y;
}
using Words = std::vector<uint32_t>;
}

TEST_CASE("Arrays: labels are words from class 257 on, of all rows alike", "[data]") {
  Arrays f;
  const int32_t most = GENERATE(255, 256, 70000);
  f.arrays("train", { 3, most, 0, 7 });
  f.arrays("test", { 2, 1 });
  Loaded l("npy", f.path);
  INFO(l.err);
  REQUIRE(l.status == 0);
  const bool words = most > 255;
  CHECK((l.d.train.classes == size_t(most) + 1 && l.d.test.classes == l.d.train.classes));
  CHECK((!l.d.train.label == words && !l.d.train.label32 == !words && !l.d.test.label == words && !l.d.test.label32 == !words));
  CHECK(labels_of(l.d.train) == Words{ 3, uint32_t(most), 0, 7 });
  CHECK(labels_of(l.d.test) == Words{ 2, 1 });
  REQUIRE(fl_dataset_holdout(&l.d, 0.5, l.err, sizeof l.err) == 0);        // labels go with their rows
  for (const fl_samples *s : { &l.d.train, &l.d.test })
    for (size_t i = 0; i < s->n; i++) CHECK(s->features[i] == float(fl_samples_label(s, i)));
}

TEST_CASE("Arrays: a label above those that words have is refused", "[data]") {
  Arrays f;
  f.arrays("train", { 3, 1 << 24, 0 });
  CHECK(Loaded("npy", f.path).says({ "y_train", "value 16777216 at row 1", "0 to 16777215" }));
}

TEST_CASE("Arrays: a label of each token of a large vocabulary", "[data]") {
  Arrays f;
  const int32_t token[6] = { 1, 299, 3, 4, 5, 6 }, y[6] = { 299, 3, 4, 5, 6, 0 };
  f.write("tokens_train.npy", Arrays::npy("<i4", "(2, 3)", token, sizeof token));
  f.write("y_train.npy", Arrays::npy("<i4", "(2, 3)", y, sizeof y));
  const Loaded l("npy", f.path);
  INFO(l.err);
  REQUIRE(l.status == 0);
  CHECK((l.d.train.classes == 300 && l.d.train.positions == 3 && l.d.unlabelled));
  CHECK(labels_of(l.d.train) == Words{ 299, 3, 4, 5, 6, 0 });
  const fl_split_data seen = fl_dataset_split(&l.d);
  CHECK((seen.classes == 1 && !seen.label32 && fl_split_label(&seen, 1) == 0));
}

TEST_CASE("LIBSVM and sentences: more than 256 classes", "[data]") {
  Arrays f;
  Bytes lines, said;
  for (int i = 0; i < 600; i++) {               // every label twice, falling
    const int label = 7 * (299 - i % 300) - 1000;
    lines += std::to_string(label) + " " + std::to_string(i % 300 + 1) + ":1\n";
    said += "a\t" + std::to_string(i % 300) + "\n";
  }
  const std::string train = f.write("a", lines);
  const Loaded l("libsvm", train, f.write("t", "1093 1:1\n-1000 2:1\n"));
  INFO(l.err);
  REQUIRE(l.status == 0);
  CHECK((l.d.train.classes == 300 && l.d.n_values == 300 && l.d.value[0] == -1000 && l.d.value[299] == 1093));
  for (size_t i = 0; i < 600; i++) CHECK(fl_samples_label(&l.d.train, i) == 299 - i % 300);
  CHECK(labels_of(l.d.test) == Words{ 299, 0 });
  CHECK(Loaded("libsvm", train, f.write("u", "1093 1:1\n-999 2:1\n")).says({ "/u: label -999 of row 2", "300 labels" }));
  const Loaded s("sentences", f.write("s", said));
  REQUIRE(s.status == 0);
  CHECK((s.d.train.classes == 300 && s.d.train.label32 && s.d.train.label32[299] == 299));
}

namespace {
// Every partitioner that needs no file, on these data; of those that look at no label iid and natural.
std::vector<std::string> sums_of(const fl_split_data &d, size_t clients, std::vector<std::string> *labels = nullptr) {
  std::vector<std::string> sums;
  for (size_t i = 0; i < fl_partitioner_count(); i++) {
    const std::string name = fl_partitioner_at(i)->name;
    static const std::set<std::string> skipped = { "file",     "linear",             "square", "exponential",
                                                   "quantity", "quantity_lognormal", "noise" };
    if (skipped.count(name)) continue;
    char err[700] = "";
    std::vector<fl_setting> set = { { "name", name.c_str(), "" } };
    if (name == "dirichlet") set.push_back({ "min_size", "1", "" });
    if (name == "distribution") set.push_back({ "preassigned_num_samples_per_label", "1", "" });
    if (name == "continuous") set.push_back({ "property", "label", "" });
    fl_partition_config c;
    fl_split s;
    INFO(name);
    REQUIRE(fl_partition_build(set.data(), set.size(), &c, err, sizeof err) == 0);
    const int status = fl_split_make(&s, &c, clients, &d, err, sizeof err);
    INFO(err);
    REQUIRE(status == 0);
    std::vector<uint32_t> counts(clients * d.classes), want(counts.size());
    fl_split_counts(&s, &d, counts.data());
    for (size_t k = 0; k < clients; k++)
      for (size_t p = s.offset[k]; p < s.offset[k + 1]; p++) want[k * d.classes + fl_split_label(&d, s.index[p])]++;
    CHECK(counts == want);
    sums.push_back(s.sha256);
    if (labels) labels->push_back(s.labels_sha256);
    fl_split_free(&s);
  }
  return sums;
}
}

TEST_CASE("Partitions by words are those by bytes; more than 256 classes are dealt by every partitioner", "[partition]") {
  const size_t n = 4000;
  Words word(n);
  std::vector<uint8_t> byte(n);
  std::vector<int32_t> client(n);
  for (size_t i = 0; i < n; i++) word[i] = byte[i] = uint8_t(i * 7 % 20), client[i] = int32_t(i % 40);
  fl_split_data d = {};
  d.n = n, d.classes = 20, d.client = client.data();
  fl_split_data bytes = d, words = d;
  bytes.label = byte.data(), words.label32 = word.data();
  std::vector<std::string> of_bytes, of_words;
  CHECK(sums_of(bytes, 40, &of_bytes) == sums_of(words, 40, &of_words));
  CHECK(of_bytes != of_words);
  CHECK(of_words[0].size() == 64);
  for (size_t i = 0; i < n; i++) word[i] = uint32_t(i * 7 % 400), client[i] = int32_t(i % 400);
  words.classes = 400;
  const std::vector<std::string> sums = sums_of(words, 400);
  CHECK(sums == sums_of(words, 400));
  word[17] = 400;
  fl_partition_config c;
  fl_split s;
  char err[700] = "";
  const fl_setting iid = { "name", "iid", "" };
  REQUIRE(fl_partition_build(&iid, 1, &c, err, sizeof err) == 0);
  CHECK(fl_split_make(&s, &c, 10, &words, err, sizeof err) == -1);
  CHECK(std::string(err) == "partition: label[17] = 400; allowed: 0 to 399");
  bytes.classes = 257;
  CHECK(fl_split_make(&s, &c, 10, &bytes, err, sizeof err) == -1);
  CHECK(std::string(err) == "partition: 257 classes; allowed: 1 to 256");
}

TEST_CASE("A network learns 300 classes, and counts what is right", "[data]") {
  fl_data_options o = fl_data_defaults;
  o.rows = 900, o.features = 20, o.classes = 300, o.spread = 0.1, o.test_part = 1.0 / 3;
  const Loaded l("blobs", "", "", &o);
  INFO(l.err);
  REQUIRE(l.status == 0);
  REQUIRE((l.d.train.classes == 300 && l.d.train.n == 600 && l.d.test.n == 300 && l.d.train.label32 && l.d.test.label32));
  char err[300] = "";
  fl_model *m = fl_model_new(fl_net_find("logistic", nullptr), &l.d.train, &l.d.test, 0, 1, err, sizeof err);
  INFO(err);
  REQUIRE(m);
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  const fl_objective *f = fl_model_objective(m);
  std::vector<float> x(f->layout->d), g(x.size());
  std::vector<char> work(f->work(f->self, 600));
  std::vector<uint32_t> all(600);
  for (uint32_t i = 0; i < 600; i++) all[i] = i;
  fl_eval before, after;
  f->evaluate(f->self, k, x.data(), 0, 300, &before, work.data());
  for (int step = 0; step < 60; step++) {
    f->loss_grad(f->self, k, x.data(), all.data(), 600, g.data(), work.data());
    for (size_t i = 0; i < x.size(); i++) x[i] -= 2 * g[i];
  }
  f->evaluate(f->self, k, x.data(), 0, 300, &after, work.data());
  CHECK((before.count == 300 && before.correct <= 1));
  CHECK(after.correct >= 285);
  fl_model_free(m);
}
