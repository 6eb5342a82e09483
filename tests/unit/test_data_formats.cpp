// Features and text: what is read from LIBSVM, NPY, text and sentences, against values written here; what is said of wrong files.
#include <catch2/catch.hpp>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>
#include "loaded.hpp"

namespace {
struct Loaded : LoadedSet {
  Loaded(const char *format, const std::string &train, const std::string &test = "", const fl_data_options *o = nullptr) {
    status = fl_dataset_load(&d, nullptr, format, train.c_str(), test.empty() ? nullptr : test.c_str(), o, err, sizeof err);
    INFO(err);
    CHECK((status == 0 || (status == -1 && err[0])));
  }
};
std::vector<float> dense(const fl_samples &s, size_t row) {
  std::vector<float> x(s.w, 0.0f);
  if (s.features) return { s.features + row * s.w, s.features + (row + 1) * s.w };
  for (size_t i = s.begin[row]; i < s.begin[row + 1]; i++) x[s.column[i]] = s.value[i];
  return x;
}
using Row = std::vector<float>;
}

TEST_CASE("LIBSVM: rows, classes in order, indices from 1 or 0, test rows as wide", "[data]") {
  Folder f;
  const std::string train = f.write("a", "+1 1:0.5 7:-2e1\r\n\n-1 3:1 # said\n# a comment\n1\n");
  const std::string test = f.write("t", "-1 9:4\n+1 2:0\n");
  {
    const Loaded l("libsvm", train, test);
    REQUIRE(l.status == 0);
    CHECK((l.d.train.n == 3 && l.d.test.n == 2 && l.d.train.w == 9 && l.d.train.c == 1 && l.d.train.h == 1));
    CHECK((l.d.train.begin && !l.d.train.features && !l.d.train.pixels && l.d.train.begin[3] == 3 && l.d.test.begin[2] == 2));
    CHECK(dense(l.d.train, 0) == Row{ 0.5f, 0, 0, 0, 0, 0, -20, 0, 0 });
    CHECK(dense(l.d.train, 1) == Row{ 0, 0, 1, 0, 0, 0, 0, 0, 0 });
    CHECK(dense(l.d.test, 0) == Row{ 0, 0, 0, 0, 0, 0, 0, 0, 4 });
    CHECK((l.d.train.label[0] == 1 && l.d.train.label[1] == 0 && l.d.train.label[2] == 1 && l.d.test.label[0] == 0));
    CHECK((l.d.n_values == 2 && l.d.value[0] == -1 && l.d.value[1] == 1 && l.d.train.classes == 2 && l.d.n_files == 2));
  }
  const Loaded zero("libsvm", f.write("z", "3 0:1 1:2\n7 1:5\n4 0:1 1:1\n"));
  REQUIRE(zero.status == 0);
  CHECK((zero.d.train.w == 2 && zero.d.train.features && zero.d.train.classes == 3));      /* more than half is there: dense */
  CHECK(dense(zero.d.train, 1) == Row{ 0, 5 });
  CHECK((zero.d.train.label[0] == 0 && zero.d.train.label[1] == 2 && zero.d.train.label[2] == 1));
  fl_data_options o = fl_data_defaults;
  o.index_base = FL_INDEX_ZERO;
  const Loaded shifted("libsvm", train, test, &o);
  CHECK((shifted.status == 0 && shifted.d.train.w == 10 && dense(shifted.d.train, 0)[7] == -20));
  o.index_base = FL_INDEX_ONE;
  CHECK(Loaded("libsvm", f.path + "/z", "", &o).says({ "/z: an index is 0", "from 1" }));
  const Loaded late("libsvm", train, f.write("u", "-1 0:4 9:1\n"));        /* an index 0 in the test rows alone */
  REQUIRE(late.status == 0);
  CHECK((late.d.train.w == 10 && dense(late.d.train, 0)[7] == -20 && dense(late.d.test, 0)[0] == 4));
}

TEST_CASE("LIBSVM: files that are wrong name line and column", "[data]") {
  Folder f;
  auto load = [&](const Bytes &b) { return Loaded("libsvm", f.write("a", b)); };
  CHECK(load("").says({ "/a: no row" }));
  CHECK(load("# nothing\n").says({ "/a: no row" }));
  CHECK(load("1 1:1\n1 2:1\n").says({ "every label is 1", "2 classes" }));
  CHECK(load("1 1:1\nx 2:1\n").says({ "/a:2:1: label 'x'" }));
  CHECK(load("1 1:1\n0.5 2:1\n").says({ "/a:2:1: label '0.5'", "whole number" }));
  CHECK(load("1,2 1:1\n").says({ "/a:1:1: label '1,2'" }));
  CHECK(load("nan 1:1\n").says({ "/a:1:1: label 'nan'" }));
  CHECK(load("1 1:1 1:2\n").says({ "/a:1:7: entry '1:2'", "rise" }));
  CHECK(load("1 5:1 3:2\n").says({ "/a:1:7: entry '3:2'", "rise" }));
  CHECK(load("1 -3:1\n").says({ "/a:1:3: entry '-3:1'", "from 0" }));
  CHECK(load("1 4294967297:1\n").says({ "/a:1:3: entry '4294967297:1'", "134217728" }));
  CHECK(load("1 99999999999999999999999:1\n").says({ "/a:1:3" }));
  CHECK(load("1 3:nan\n").says({ "/a:1:3: entry '3:nan'", "finite" }));
  CHECK(load("1 3:1e99\n").says({ "/a:1:3: entry '3:1e99'", "finite" }));
  CHECK(load("1 3:\n2 1:1\n").says({ "/a:1:3: entry '3:'" }));
  CHECK(load("1 3: 4\n").says({ "/a:1:3: entry '3:'" }));
  CHECK(load("1 3:4x\n").says({ "/a:1:3: entry '3:4x'" }));
  CHECK(load("1 3=4\n").says({ "/a:1:3: entry '3=4'" }));
  CHECK(load("1 qid:3 1:1\n").says({ "/a:1:3: entry 'qid:3'" }));
  CHECK(load(Bytes("1 1:1\n0 \0001:1\n", 13)).says({ "/a:2:3" }));
  const std::string train = f.write("b", "1 1:1\n2 1:1\n");
  CHECK(Loaded("libsvm", train, f.write("t", "2 1:1\n3 1:1\n")).says({ "/t: label 3 of row 2", "1 to 2" }));
  CHECK(Loaded("libsvm", f.path + "/none").says({ "none", "No such file" }));
}

TEST_CASE("rows that are sparse give the bits of dense ones", "[data]") {
  Folder f;
  Bytes text;
  const size_t n = 37, w = 50;
  std::vector<float> x(n * w, 0.0f);
  std::vector<uint8_t> label(n);
  std::vector<uint32_t> index(n);
  uint32_t state = 1;
  auto draw = [&] { return state = state * 1664525u + 1013904223u, state >> 8; };
  for (size_t r = 0; r < n; r++) {
    label[r] = uint8_t(draw() % 3), index[r] = uint32_t(n - 1 - r);
    text += std::to_string(label[r]);
    for (size_t i = 0; i < w; i++)
      if (draw() % 7 == 0 || i == w - 1) {
        x[r * w + i] = float(int(draw() % 2000) - 1000) / 8;
        char entry[40];
        snprintf(entry, sizeof entry, " %zu:%.9g", i + 1, double(x[r * w + i]));
        text += entry;
      }
    text += '\n';
  }
  const Loaded l("libsvm", f.write("a", text));
  REQUIRE((l.status == 0 && l.d.train.begin && l.d.train.w == w && l.d.train.n == n));
  fl_samples plain = {};
  plain.n = n, plain.c = plain.h = 1, plain.w = w, plain.classes = 3, plain.label = label.data(), plain.features = x.data();
  char err[300];
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  double loss[2];
  std::vector<float> g[2];
  for (int i = 0; i < 2; i++) {
    fl_model *m = fl_model_new(fl_net_find("logistic", nullptr), i ? &plain : &l.d.train, nullptr, 0, 1, err, sizeof err);
    REQUIRE(m);
    const fl_objective *o = fl_model_objective(m);
    std::vector<float> p(o->layout->d);
    std::vector<char> work(o->work(o->self, n));
    g[i].resize(o->layout->d);
    o->init(o->self, 3, p.data());
    loss[i] = o->loss_grad(o->self, k, p.data(), index.data(), n, g[i].data(), work.data());
    fl_model_free(m);
  }
  CHECK(loss[0] == loss[1]);
  CHECK(!memcmp(g[0].data(), g[1].data(), g[0].size() * sizeof(float)));
  fl_samples some;
  const uint32_t row[3] = { 5, 0, 5 };
  REQUIRE(fl_samples_copy(&l.d.train, row, 3, &some) == 0);
  for (size_t i = 0; i < 3; i++) CHECK(dense(some, i) == Row(x.begin() + long(row[i] * w), x.begin() + long((row[i] + 1) * w)));
  fl_samples_free(&some);
}

TEST_CASE("text: characters, the next ones as labels, speakers", "[data]") {
  Folder f;
  fl_data_options o = fl_data_defaults;
  o.length = 4;
  const std::string path = f.write("a", "abcabdabcaab");
  {
    const Loaded l("text", path, f.write("t", "ddcba"), &o);
    REQUIRE(l.status == 0);
    CHECK((l.d.train.n == 2 && l.d.train.w == 4 && l.d.train.positions == 4 && l.d.train.classes == 4 && l.d.test.n == 1));
    CHECK((l.d.n_values == 4 && l.d.value[0] == 'a' && l.d.value[3] == 'd' && !l.d.client && l.d.unlabelled));
    const int32_t tokens[8] = { 0, 1, 2, 0, 1, 3, 0, 1 };
    const uint8_t labels[8] = { 1, 2, 0, 1, 3, 0, 1, 2 };
    CHECK((!memcmp(l.d.train.tokens, tokens, sizeof tokens) && !memcmp(l.d.train.label, labels, 8)));
  }
  o.stride = 3, o.predict = FL_PREDICT_LAST;
  {
    const Loaded l("text", path, "", &o);
    REQUIRE(l.status == 0);
    CHECK((l.d.train.n == 3 && l.d.train.positions == 0 && !l.d.unlabelled && l.d.test.n == 0));
    CHECK((l.d.train.tokens[4] == 0 && l.d.train.tokens[7] == 0 && l.d.train.label[0] == 1 && l.d.train.label[2] == 0));
  }
  o.stride = 0, o.predict = FL_PREDICT_EVERY, o.test_part = 0.5;
  {
    const Loaded l("text", path, "", &o);
    REQUIRE(l.status == 0);
    CHECK((l.d.train.n == 1 && l.d.test.n == 1 && l.d.test.tokens[0] == 0 && l.d.test.label[3] == 0));
  }
  o.test_part = 0, o.speakers = 1, o.length = 2;
  const Loaded l("text", f.write("p", "A B:\nxyx\n\nC:\nyy\ny\n\nA B:\nx\n"), "", &o);
  REQUIRE(l.status == 0);
  REQUIRE(l.d.train.n == 4);                    // "xyx\nx\n" and "yy\ny\n", the empty lines and the names away
  const int32_t who[4] = { 0, 0, 1, 1 }, tokens[8] = { 1, 2, 1, 0, 2, 2, 0, 2 };
  CHECK((!memcmp(l.d.client, who, sizeof who) && !memcmp(l.d.train.tokens, tokens, sizeof tokens)));
  CHECK((l.d.train.label[3] == 1 && l.d.train.label[7] == 0));
}

// What is cut off for testing is the end of every voice: nothing twice, nothing lost. Rows of one character with the next one
// say where each part begins and ends.
TEST_CASE("text: both parts of a text, or of each speaker's, are the whole", "[data]") {
  Folder f;
  fl_data_options o = fl_data_defaults;
  const std::string one = "abcdefghijklmnopqrst", two = "0123456789", all = one + two;
  const auto pairs = [](const std::string &s) {
    std::string out;
    for (size_t i = 0; i + 1 < s.size(); i++) out += { s[i], s[i + 1] };
    return out;
  };
  const auto rows = [](const fl_dataset &d, const fl_samples &s) {
    std::string out;
    for (size_t i = 0; i < s.n; i++) out += { char(d.value[s.tokens[i]]), char(d.value[s.label[i]]) };
    return out;
  };
  o.length = 1;
  const std::string text = f.write("a", all);
  const std::string play = f.write("p", "A:\n" + one + "\n\nB:\n0123\n\nA:\nXYZ\n\nB:\n456789");
  const std::string a = one + "\nXYZ\n", b = two.substr(0, 4) + "\n" + two.substr(4);
  struct Part { double part; size_t text, a, b; };        // characters of 30, 25 and 11 that are for testing
  for (const Part &p : { Part{ 0.1, 3, 2, 1 }, Part{ 0.2, 6, 5, 2 }, Part{ 0.25, 7, 6, 2 }, Part{ 0.5, 15, 12, 5 },
                         Part{ 0.7, 21, 17, 7 }, Part{ 0.9, 27, 22, 9 } }) {
    INFO("test_part = " << p.part);
    o.test_part = p.part, o.speakers = 0;
    const Loaded whole("text", text, "", &o);
    REQUIRE(whole.status == 0);
    CHECK(rows(whole.d, whole.d.train) == pairs(all.substr(0, 30 - p.text)));
    CHECK(rows(whole.d, whole.d.test) == pairs(all.substr(30 - p.text)));
    o.speakers = 1;
    const Loaded voices("text", play, "", &o);
    REQUIRE(voices.status == 0);
    CHECK(rows(voices.d, voices.d.train) == pairs(a.substr(0, 25 - p.a)) + pairs(b.substr(0, 11 - p.b)));
    CHECK(rows(voices.d, voices.d.test) == pairs(a.substr(25 - p.a)) + pairs(b.substr(11 - p.b)));
    CHECK(size_t(std::count(voices.d.client, voices.d.client + voices.d.train.n, 1)) == 10 - p.b);
  }
}

TEST_CASE("text that is wrong", "[data]") {
  Folder f;
  fl_data_options o = fl_data_defaults;
  o.length = 4;
  const std::string good = f.write("a", "abcabcabc");
  CHECK(Loaded("text", f.write("e", ""), "", &o).says({ "/e: 0 different characters" }));
  CHECK(Loaded("text", f.write("e", "aaaaaaa"), "", &o).says({ "/e: 1 different characters" }));
  CHECK(Loaded("text", f.write("e", "abab"), "", &o).says({ "/e: no row", "length = 4" }));
  CHECK(Loaded("text", good, f.write("t", "ab\nc"), &o).says({ "/t:1:3: byte 0x0a", "training text" }));
  o.test_part = 0.1;
  CHECK(Loaded("text", good, "", &o).says({ "no test row" }));
  CHECK(Loaded("text", good, f.path + "/t", &o).says({ "test_part = 0.1", "data.test" }));
  o.test_part = 0, o.speakers = 1;
  CHECK(Loaded("text", good, "", &o).says({ "before the first speaker", "abcabc" }));
}

TEST_CASE("sentences: bytes are tokens, cut, filled up, and text again", "[data]") {
  Folder f;
  fl_data_options o = fl_data_defaults;
  o.length = 6;
  const Bytes first = "h\xc3\xa9llo and more", second = "ok ";
  const std::string train = f.write("a", "sentence\tlabel\r\n" + first + "\t1\r\n" + second + "\t0\n");
  const Loaded l("sentences", train, f.write("t", "a\t1"), &o);
  REQUIRE(l.status == 0);
  CHECK((l.d.train.n == 2 && l.d.test.n == 1 && l.d.train.w == 6 && l.d.train.classes == 2 && l.d.train.positions == 0));
  CHECK((l.d.train.label[0] == 1 && l.d.train.label[1] == 0));
  for (size_t r = 0; r < 2; r++) {              // the round trip
    Bytes back;
    for (size_t i = 0; i < 6 && l.d.train.tokens[r * 6 + i]; i++) back += char(l.d.train.tokens[r * 6 + i]);
    CHECK(back == (r ? second : first.substr(0, 6)));
  }
  CHECK((l.d.train.tokens[9] == 0 && l.d.train.tokens[11] == 0));
  auto load = [&](const Bytes &b) { return Loaded("sentences", f.write("w", b), "", &o); };
  CHECK(load("").says({ "/w: no row" }));
  CHECK(load("sentence\tlabel\n").says({ "/w: no row" }));
  CHECK(load("a\t1\nno label\n").says({ "/w:2:1: no tab" }));
  CHECK(load("a\t1\nb\tx\n").says({ "/w:2:3: label 'x'", "0 to 16777215" }));
  CHECK(load("a\t-1\n").says({ "/w:1:3: label '-1'" }));
  CHECK(load("a\t16777216\n").says({ "/w:1:3: label '16777216'" }));
  CHECK(load("a\t99999999999999999999\n").says({ "/w:1:3: label" }));
  CHECK(load("a\t1\n\t0\n").says({ "/w:2:1: no text" }));
  CHECK(load(Bytes("a\0b\t1\n", 6)).says({ "/w:1:2: a byte 0" }));
  CHECK(load("a\t0\nb\t0\n").says({ "every label is 0" }));
}

namespace {
Bytes npy(const std::string &descr, const std::string &shape, const void *data, size_t bytes) {
  std::string h = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
  return Bytes("\x93NUMPY\x01\x00", 8) + char(h.size()) + char(h.size() >> 8) + h +
         Bytes(static_cast<const char *>(data), bytes);
}
}

TEST_CASE("NPY: a folder of arrays of numbers or tokens", "[data]") {
  Folder f;
  const double x64[6] = { 1, -2.5, 0.1, 1e-3, 7, 8 };
  const float x32[3] = { 1.5f, -4, 0 };
  const int64_t y[3] = { 1, 0, 2 }, who[3] = { 4, 4, 0 };
  f.write("x_train.npy", npy("<f8", "(3, 2)", x64, sizeof x64));
  f.write("y_train.npy", npy("<i8", "(3,)", y, sizeof y));
  f.write("client_train.npy", npy("<i8", "(3,)", who, sizeof who));
  SECTION("features") {
    f.write("x_test.npy", npy("<f4", "(1, 2)", x32, 8));
    f.write("y_test.npy", npy("<i8", "(1,)", y, 8));
    const Loaded l("npy", f.path);
    INFO(l.err);
    REQUIRE(l.status == 0);
    CHECK((l.d.train.n == 3 && l.d.train.w == 2 && l.d.train.h == 1 && l.d.train.classes == 3 && l.d.n_files == 5));
    for (size_t i = 0; i < 6; i++) CHECK(l.d.train.features[i] == float(x64[i]));
    CHECK((l.d.test.n == 1 && l.d.test.features[0] == 1.5f && l.d.client[0] == 4 && l.d.mean == 0 && l.d.std == 1));
  }
  SECTION("whole numbers; images of three channels at the end become planes") {
    const int32_t whole[24] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, -1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -11, -12 };
    f.write("x_train.npy", npy("<i4", "(2, 2, 2, 3)", whole, sizeof whole));
    f.write("y_train.npy", npy("<i8", "(2,)", y, 16));
    f.write("client_train.npy", npy("<i8", "(2,)", who, 16));
    const Loaded l("npy", f.path);
    INFO(l.err);
    REQUIRE((l.status == 0 && l.d.train.c == 3 && l.d.train.h == 2 && l.d.train.w == 2));
    for (size_t i = 0; i < 2; i++)
      for (size_t p = 0; p < 4; p++)
        for (size_t c = 0; c < 3; c++) CHECK(l.d.train.features[(i * 3 + c) * 4 + p] == float(whole[(i * 4 + p) * 3 + c]));
  }
  SECTION("tokens with a label a position") {
    const int64_t t[6] = { 0, 5, 1048575, 2, 2, 2 };
    unlink((f.path + "/x_train.npy").c_str());
    f.write("tokens_train.npy", npy("<i8", "(3, 2)", t, sizeof t));
    const int64_t each[6] = { 1, 2, 3, 4, 5, 0 };
    f.write("y_train.npy", npy("<i8", "(3, 2)", each, sizeof each));
    const Loaded l("npy", f.path);
    INFO(l.err);
    REQUIRE((l.status == 0 && l.d.train.positions == 2 && l.d.train.tokens[2] == 1048575 && l.d.train.classes == 6));
    CHECK(l.d.train.label[4] == 5);
  }
}

TEST_CASE("NPY: arrays that are wrong", "[data]") {
  Folder f;
  const double x64[6] = { 1, -2.5, 0.1, 1e-3, 7, 8 };
  const int64_t y[3] = { 1, 0, 2 };
  f.write("y_train.npy", npy("<i8", "(3,)", y, sizeof y));
  auto load = [&](const char *type, const char *shape, const void *data, size_t bytes) {
    f.write("x_train.npy", npy(type, shape, data, bytes));
    return Loaded("npy", f.path);
  };
  const double wrong[6] = { 1, 2, std::nan(""), 4, 5, 6 }, large[6] = { 1, 2, 3, 4, 5, 1e300 };
  const int64_t wide[6] = { 0, 0, 0, 0, 0, 16777217 };
  CHECK(load("<f8", "(3, 2)", wrong, sizeof wrong).says({ f.path.c_str(), "array x_train", "row 1", "not finite" }));
  CHECK(load("<f8", "(3, 2)", large, sizeof large).says({ "x_train", "row 2", "beyond 32 bits" }));
  CHECK(load("<i8", "(3, 2)", wide, sizeof wide).says({ "x_train", "16777217", "2^24" }));
  CHECK(load("<f8", "(3, 3)", x64, sizeof x64).says({ "x_train", "shape" }));
  CHECK(load("<f8", "(18446744073709551615, 2)", x64, sizeof x64).says({ "x_train", "shape" }));
  CHECK(load("<f8", "(0, 2)", x64, 0).says({ "array x_train" }));
  CHECK(load("<c8", "(3, 2)", x64, sizeof x64).says({ "x_train", "dtype", "<c8" }));
  CHECK(load("<f8", "(6,)", x64, sizeof x64).says({ "x_train", "(n, features)" }));
  CHECK(load("<f8", "(6, 1)", x64, sizeof x64).says({ "y_train", "3 values for 6 samples" }));
  f.write("y_train.npy", npy("<f8", "(3,)", x64, 24));
  CHECK(load("<f8", "(3, 2)", x64, sizeof x64).says({ "y_train", "floating-point" }));
  unlink((f.path + "/y_train.npy").c_str());
  CHECK(load("<f8", "(3, 2)", x64, sizeof x64).says({ "y_train is missing" }));
}

TEST_CASE("features and text: any damage is an error or a load, never a crash", "[data]") {
  Folder f;
  fl_data_options o = fl_data_defaults;
  o.length = 4;
  const double x[4] = { 1, 2, 3, 4 };
  const Bytes array = npy("<f8", "(2, 2)", x, sizeof x);
  const std::string train = f.path + "/x_train.npy";
  f.write("y_train.npy", npy("|u1", "(2,)", "\0\1", 2));
  const struct { const char *format; Bytes good; } all[4] = { { "libsvm", "+1 1:0.5 7:-2e1\n-1 3:1 # x\n1 2:4" },
                                                             { "text", "Ann:\nabcabd\nabc\n\nBo:\nabcdabc\n" },
                                                             { "sentences", "text\tlabel\na b\t1\nlonger\t0\n" },
                                                             { "npy", array } };
  for (const auto &one : all)
    for (size_t i = 0; i <= one.good.size(); i++)
      for (int how = 0; how < 5; how++) {
        static const char with[4] = { '\0', '\n', ':', '9' };
        Bytes b = one.good;
        if (how < 4 && i < b.size()) b[i] = with[how];
        if (how == 4) b.resize(i);
        o.speakers = how & 1;
        std::ofstream(train, std::ios::binary) << b;
        const Loaded l(one.format, one.format[0] == 'n' ? f.path : train, "", &o);
        CHECK((l.status == 0 || l.err[0]));
      }
  unlink(train.c_str());
}

TEST_CASE("made data: FedProx's synthetic(alpha, beta) by its formula, golden bytes", "[data]") {
  fl_data_options o = fl_data_defaults;
  o.users = 8, o.test_part = 0.2, o.alpha = 0.5, o.beta = 2, o.seed = 9;
  const Loaded l("alpha_beta", "", "", &o);
  REQUIRE((l.status == 0 && l.d.train.w == 60 && l.d.train.classes == 10 && l.d.client && l.d.train.n > l.d.test.n));
  std::vector<size_t> sizes(8);
  for (size_t i = 0; i < l.d.train.n; i++) sizes[size_t(l.d.client[i])]++;
  size_t at = 0, tested = 0, right = 0;
  for (uint32_t u = 0; u < 8; u++) {            // every user anew, from the words of the paper's generator
    auto stream = [&](uint32_t what, uint32_t which, uint32_t part) {
      const fl_key key = { 9, FL_PURPOSE_POPULATION, what, which, part };
      fl_stream s;
      fl_stream_init(&s, &key);
      return s;
    };
    fl_stream s0 = stream(3, u, 0), s1 = stream(3, u, 1), s2 = stream(3, u, 2);
    const size_t all = 50 + size_t(std::exp(4 + 2 * fl_stream_gaussian(&s0))), test = size_t(0.2 * double(all));
    REQUIRE(sizes[u] == all - test);
    double W[10][60], b[10], v[60];
    const double centre = 0.5 * fl_stream_gaussian(&s1), B = 2 * fl_stream_gaussian(&s2);
    for (auto &row : W)
      for (double &w : row) w = centre + fl_stream_gaussian(&s1);
    for (double &w : b) w = centre + fl_stream_gaussian(&s1);
    for (double &w : v) w = B + fl_stream_gaussian(&s2);
    for (size_t i = 0; i < all; i++) {
      const bool trained = i < all - test;
      const fl_samples &part = trained ? l.d.train : l.d.test;
      const size_t row = trained ? at++ : tested++;
      const float *x = part.features + row * 60;
      fl_stream s = stream(4, u, uint32_t(i));
      double best = -1e300;
      size_t y = 0;
      for (size_t j = 0; j < 60; j++) {
        const double want = v[j] + std::pow(double(j + 1), -0.6) * fl_stream_gaussian(&s);
        if (std::fabs(double(x[j]) - want) > 1e-5 * (1 + std::fabs(want))) FAIL("feature " << j << " of row " << row);
      }
      for (size_t k = 0; k < 10; k++) {
        double score = b[k];
        for (size_t j = 0; j < 60; j++) score += W[k][j] * double(x[j]);
        if (score > best) best = score, y = k;
      }
      right += part.label[row] == y;
    }
  }
  CHECK(right == l.d.train.n + l.d.test.n);
  char hex[65];
  fl_sha256(l.d.train.features, l.d.train.n * 60 * sizeof(float), hex);
  CHECK(std::string(hex).substr(0, 16) == "54a0a1a1670fd645");
}

TEST_CASE("made data: blobs around their centres, golden bytes", "[data]") {
  fl_data_options o = fl_data_defaults;
  char hex[65];
  o.rows = 600, o.features = 5, o.classes = 4, o.spread = 0.5, o.test_part = 0.1;
  const Loaded blobs("blobs", "", "", &o);
  REQUIRE((blobs.status == 0 && blobs.d.train.n == 540 && blobs.d.test.n == 60 && blobs.d.train.w == 5 && !blobs.d.client));
  for (size_t k = 0; k < 4; k++)
    for (size_t j = 0; j < 5; j++) {
      double sum = 0, squares = 0;
      for (size_t r = k; r < 540; r += 4) sum += blobs.d.train.features[r * 5 + j] / (blobs.d.train.label[r] == k);
      for (size_t r = k; r < 540; r += 4) squares += std::pow(blobs.d.train.features[r * 5 + j] - sum / 135, 2);
      CHECK(std::fabs(sum / 135) < 10.2);
      CHECK(std::sqrt(squares / 135) == Approx(0.5).epsilon(0.3));
    }
  fl_sha256(blobs.d.train.features, 540 * 5 * sizeof(float), hex);
  CHECK(std::string(hex).substr(0, 16) == "f59c9eaa461acc82");
}
