// Data sets: the known ones, IDX and NPZ files made here, and what is said about files that are wrong.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <unistd.h>
#include <vector>
#include <zlib.h>
#include "loaded.hpp"

namespace {
struct Environment {                            // FEDLANE_DATA for one test
  std::string old;
  bool had;
  explicit Environment(const char *value) : had(getenv("FEDLANE_DATA") != nullptr) {
    if (had) old = getenv("FEDLANE_DATA");
    if (value) setenv("FEDLANE_DATA", value, 1);
    else unsetenv("FEDLANE_DATA");
  }
  ~Environment() {
    if (had) setenv("FEDLANE_DATA", old.c_str(), 1);
    else unsetenv("FEDLANE_DATA");
  }
};

Bytes be32(uint32_t v) { return { char(v >> 24), char(v >> 16), char(v >> 8), char(v) }; }
Bytes le(uint64_t v, int n) {
  Bytes b;
  for (int i = 0; i < n; i++) b += char(v >> 8 * i);
  return b;
}
Bytes images(uint32_t n, uint32_t h, uint32_t w, int seed = 0) {
  Bytes b = be32(0x803) + be32(n) + be32(h) + be32(w);
  for (uint32_t i = 0; i < n * h * w; i++) b += char((i * 37 + unsigned(seed)) % 251);
  return b;
}
Bytes labels(uint32_t n, unsigned classes) {
  Bytes b = be32(0x801) + be32(n);
  for (uint32_t i = 0; i < n; i++) b += char(i % classes);
  return b;
}
Bytes deflated(const Bytes &in, int window) {   // 31: gzip, -15: raw deflate
  z_stream z{};
  REQUIRE(deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  Bytes out(in.size() + 200, 0);
  z.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(in.data()));
  z.avail_in = uInt(in.size());
  z.next_out = reinterpret_cast<Bytef *>(&out[0]);
  z.avail_out = uInt(out.size());
  REQUIRE(deflate(&z, Z_FINISH) == Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}
Bytes npy(const std::string &descr, const std::string &shape, const Bytes &data, const char *order = "False") {
  std::string h = "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
  while ((10 + h.size() + 1) % 64) h += ' ';
  h += '\n';
  return Bytes("\x93NUMPY\x01\x00", 8) + le(h.size(), 2) + h + data;
}
struct Zip {
  Bytes body, directory;
  unsigned count = 0;
  Zip &add(const std::string &name, const Bytes &data, bool deflate = false, uint32_t spoil_crc = 0) {
    const Bytes packed = deflate ? deflated(data, -15) : data;
    const uint32_t crc = uint32_t(crc32(0, reinterpret_cast<const Bytef *>(data.data()), uInt(data.size()))) ^ spoil_crc;
    const Bytes middle = le(0, 2) + le(deflate ? 8 : 0, 2) + le(0, 4) + le(crc, 4) + le(packed.size(), 4) +
                         le(data.size(), 4) + le(name.size(), 2);
    directory += le(0x02014b50, 4) + le(20, 2) + le(20, 2) + middle + le(0, 2) + le(0, 2) + le(0, 2) + le(0, 2) +
                 le(0, 4) + le(body.size(), 4) + name;
    body += le(0x04034b50, 4) + le(20, 2) + middle + le(0, 2) + name + packed;
    count++;
    return *this;
  }
  Bytes done() const {
    return body + directory + le(0x06054b50, 4) + le(0, 4) + le(count, 2) + le(count, 2) +
           le(directory.size(), 4) + le(body.size(), 4) + le(0, 2);
  }
};
struct Loaded : LoadedSet {
  Loaded(const char *name, const char *format, const std::string &train, const char *test = nullptr) {
    status = fl_dataset_load(&d, name, format, train.empty() ? nullptr : train.c_str(), test, nullptr, err, sizeof err);
    CHECK((status == 0 || (status == -1 && err[0])));
  }
};
}

TEST_CASE("SHA-256 in hexadecimal", "[data]") {
  char out[65];
  fl_sha256("abc", 3, out);
  CHECK(std::string(out) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  fl_sha256(nullptr, 0, out);
  CHECK(std::string(out) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("Fashion-MNIST of the system", "[data]") {
  Environment e(nullptr);
  Loaded l("fashion_mnist", nullptr, "");
  INFO(l.err);
  REQUIRE(l.status == 0);
  CHECK((l.d.train.n == 60000 && l.d.test.n == 10000 && l.d.train.c == 1 && l.d.train.h == 28 && l.d.train.w == 28));
  CHECK((l.d.train.classes == 10 && l.d.test.classes == 10 && l.d.client == nullptr && l.d.n_files == 4));
  CHECK((l.d.mean == 0.2860 && l.d.std == 0.3530));
  size_t count[10] = {};
  for (size_t i = 0; i < l.d.train.n; i++) count[l.d.train.label[i]]++;
  for (size_t c : count) CHECK(c == 6000);
  CHECK((l.d.train.label[0] == 9 && l.d.train.label[1] == 0 && l.d.test.label[0] == 9));
  std::ifstream disk(l.d.file[0].path, std::ios::binary);
  const Bytes bytes((std::istreambuf_iterator<char>(disk)), std::istreambuf_iterator<char>());
  char hex[65];
  fl_sha256(bytes.data(), bytes.size(), hex);   // of the file as it lies on disk
  CHECK((bytes.size() > 1000000 && std::string(l.d.file[0].sha256) == hex));
  double sum = 0;                               // the published constants are those of the training pixels
  for (size_t i = 0; i < 60000 * 784; i++) sum += l.d.train.pixels[i];
  CHECK(std::fabs(sum / (60000.0 * 784 * 255) - 0.2860) < 1e-4);
}

TEST_CASE("A known set that is missing names file, package and alternative", "[data]") {
  Environment e("/nonexistent");
  CHECK(Loaded("fashion_mnist", nullptr, "").says({ "/nonexistent/fashion-mnist/train-images-idx3-ubyte",
      "dataset-fashion-mnist", "FEDLANE_DATA",
                                                    "format: idx" }));
  CHECK(Loaded("mnist", nullptr, "").says({ "/nonexistent/mnist/train-images-idx3-ubyte", "FEDLANE_DATA" }));
  CHECK(Loaded("fashion_mnits", nullptr, "").says({ "fashion_mnits", "allowed: fashion_mnist, mnist",
      "did you mean 'fashion_mnist'" }));
}

TEST_CASE("IDX files, raw and gzip, by file, folder and prefix", "[data]") {
  Folder f;
  const Bytes x = images(20, 4, 5), y = labels(20, 3), x2 = images(6, 4, 5, 9), y2 = labels(6, 4);
  const bool gz = GENERATE(false, true);
  const std::string end = gz ? ".gz" : "";
  auto put = [&](const std::string &name, const Bytes &b) { return f.write(name + end, gz ? deflated(b, 31) : b); };
  const std::string train = put("train-images-idx3-ubyte", x), label = put("train-labels-idx1-ubyte", y);
  const std::string test = put("t10k-images-idx3-ubyte", x2);
  put("t10k-labels-idx1-ubyte", y2);
  for (const std::string &path : { train, f.path, f.path + "/train" }) {
    Loaded l(nullptr, "idx", path, path == f.path ? nullptr : test.c_str());
    INFO(path << ": " << l.err);
    REQUIRE(l.status == 0);
    CHECK((l.d.train.n == 20 && l.d.train.h == 4 && l.d.train.w == 5 && l.d.test.n == 6 && l.d.train.classes == 4 &&
        l.d.test.classes == 4));
    CHECK(!memcmp(l.d.train.pixels, x.data() + 16, 400));
    CHECK(!memcmp(l.d.train.label, y.data() + 8, 20));
    CHECK(!memcmp(l.d.test.pixels, x2.data() + 16, 120));
    CHECK(l.d.file[1].path == label);
    double s = 0, q = 0;
    for (size_t i = 0; i < 400; i++) s += l.d.train.pixels[i] / 255.0, q += std::pow(l.d.train.pixels[i] / 255.0, 2);
    CHECK(l.d.mean == Approx(s / 400));
    CHECK(l.d.std == Approx(std::sqrt(q / 400 - s / 400 * s / 400)));
  }
  Loaded alone(nullptr, "idx", train);
  CHECK((alone.status == 0 && alone.d.test.n == 0 && alone.d.train.classes == 3 && alone.d.n_files == 2));
}

TEST_CASE("IDX files that are wrong", "[data]") {
  Folder f;
  const Bytes x = images(20, 4, 5), y = labels(20, 3);
  const std::string train = f.path + "/train-images-idx3-ubyte", label = f.path + "/train-labels-idx1-ubyte";
  auto load = [&](const Bytes &a, const Bytes &b) {
    f.write("train-images-idx3-ubyte", a);
    f.write("train-labels-idx1-ubyte", b);
    return Loaded(nullptr, "idx", train);
  };
  CHECK(load(be32(0x801) + x.substr(4), y).says({ train.c_str(), "magic", "0x00000801", "0x00000803" }));
  CHECK(load(x, be32(0x803) + y.substr(4)).says({ label.c_str(), "0x00000803", "0x00000801" }));
  CHECK(load(x.substr(0, 10), y).says({ train.c_str(), "10 bytes" }));
  CHECK(load("", y).says({ train.c_str(), "0 bytes" }));
  CHECK(load(x + "z", y).says({ train.c_str(), "more data than the 400 bytes" }));
  CHECK(load(x.substr(0, 300), y).says({ train.c_str(), "400", "284" }));
  CHECK(load(x, labels(19, 3)).says({ "19 labels", "20 images" }));
  CHECK(load(be32(0x803) + be32(0) + be32(4) + be32(5), y).says({ "number of items is 0" }));
  CHECK(load(be32(0x803) + be32(1) + be32(5000) + be32(5), y).says({ "rows is 5000", "4096" }));
  CHECK(load(be32(0x803) + be32(4000000000u) + be32(4000) + be32(4000), y).says({ "announces" }));
  CHECK(load(x, labels(20, 1)).says({ "every label is 0" }));
  CHECK(load(be32(0x803) + be32(20) + be32(4) + be32(5) + Bytes(400, 'a'), y).says({ "same value" }));
  const Bytes z = deflated(x, 31);
  CHECK(load(z.substr(0, z.size() - 20), y).says({ train.c_str(), "damaged gzip" }));
  Bytes flipped = z;
  flipped[flipped.size() - 6] = char(flipped[flipped.size() - 6] ^ 1); // the CRC of the content
  CHECK(load(flipped, y).says({ train.c_str(), "damaged gzip" }));
  CHECK(load(z + "tail", y).says({ train.c_str(), "4 bytes after the end" }));
  CHECK(load(z, y).status == 0);
  unlink(label.c_str());
  CHECK(Loaded(nullptr, "idx", train).says({ label.c_str(), "not found" }));
  CHECK(Loaded(nullptr, "idx", f.path + "/nothing").says({ "nothing", "not found", "prefix" }));
  CHECK(Loaded(nullptr, "idx", f.write("data.bin", x)).says({ "data.bin", "images-idx3" }));
  CHECK(Loaded(nullptr, "idx", "").says({ "data.train" }));
  CHECK(Loaded(nullptr, "csv", train).says({ "data.format", "csv", "idx, npz" }));
}

TEST_CASE("Labels of a known set are checked against its classes", "[data]") {
  Folder f;
  const std::string sub = f.path + "/mnist";
  REQUIRE(std::system(("mkdir " + sub).c_str()) == 0);
  f.write("mnist/train-images-idx3-ubyte", images(20, 28, 28));
  f.write("mnist/train-labels-idx1-ubyte", labels(20, 11));
  f.write("mnist/t10k-images-idx3-ubyte", images(4, 28, 28));
  f.write("mnist/t10k-labels-idx1-ubyte", labels(4, 3));
  {
    Environment e(f.path.c_str());
    CHECK(Loaded("mnist", nullptr, "").says({ "train-labels-idx1-ubyte", "label 10", "sample 10", "0 to 9" }));
    f.write("mnist/train-labels-idx1-ubyte", labels(20, 5));
    Loaded l("mnist", nullptr, "");
    CHECK((l.status == 0 && l.d.train.classes == 10 && l.d.mean == 0.1307 && l.d.std == 0.3081));
  }
  for (auto &file : f.files) unlink(file.c_str());
  rmdir(sub.c_str());
}

TEST_CASE("NPZ with the keys of Keras", "[data]") {
  Folder f;
  Bytes x(2 * 12 * 3, 0), y64, y8, client;
  for (size_t i = 0; i < x.size(); i++) x[i] = char(i * 7 % 256);
  for (int i = 0; i < 6; i++) y64 += le(uint64_t(i % 3), 8), y8 += char(i % 2), client += le(uint64_t(5 - i), 4);
  const bool deflate = GENERATE(false, true);
  Zip zip;
  zip.add("x_test.npy", npy("|u1", "(6, 4, 3)", x, "False"), deflate).add("y_test.npy", npy("|u1", "(6,)", y8), deflate);
  SECTION("grey, int64 labels, clients") {
    zip.add("x_train.npy", npy("|u1", "(6, 4, 3)", x), deflate).add("y_train.npy", npy("<i8", "(6, 1)", y64))
      .add("client_train.npy", npy("<i4", "(6,)", client));
    Loaded l(nullptr, "npz", f.write("a.npz", zip.done()));
    INFO(l.err);
    REQUIRE(l.status == 0);
    CHECK((l.d.train.n == 6 && l.d.train.c == 1 && l.d.train.h == 4 && l.d.train.w == 3 && l.d.train.classes == 3 &&
        l.d.test.n == 6));
    CHECK(!memcmp(l.d.train.pixels, x.data(), x.size()));
    CHECK((l.d.train.label[5] == 2 && l.d.test.label[5] == 1));
    REQUIRE(l.d.client);
    CHECK((l.d.client[0] == 5 && l.d.client[5] == 0));
    CHECK(strlen(l.d.file[0].sha256) == 64);
  }
  SECTION("channels last become channels first") {
    Zip colour;
    colour.add("x_train.npy", npy("|u1", "(2, 4, 3, 3)", x), deflate).add("y_train.npy", npy("|u1", "(2,)", Bytes("\0\1", 2)));
    Loaded l(nullptr, "npz", f.write("a.npz", colour.done()));
    INFO(l.err);
    REQUIRE(l.status == 0);
    CHECK((l.d.train.c == 3 && l.d.train.h == 4 && l.d.train.w == 3 && l.d.test.n == 0));
    for (size_t i = 0; i < 2; i++)
      for (size_t p = 0; p < 12; p++)
        for (size_t c = 0; c < 3; c++) CHECK(l.d.train.pixels[(i * 3 + c) * 12 + p] == uint8_t(x[(i * 12 + p) * 3 + c]));
  }
  SECTION("files that are wrong") {
    const Bytes good = npy("|u1", "(6, 4, 3)", x), label = npy("<i8", "(6,)", y64);
    auto load = [&](const Bytes &a, const Bytes &b, uint32_t spoil = 0) {
      Zip z;
      z.add("x_train.npy", a, deflate, spoil).add("y_train.npy", b, deflate);
      return Loaded(nullptr, "npz", f.write("a.npz", z.done()));
    };
    CHECK(load(good, label).status == 0);
    CHECK(load(good, label, 1).says({ "a.npz", "x_train", "checksum" }));
    CHECK(load(npy("<f2", "(6, 2, 3)", x), label).says({ "x_train", "dtype is '<f2'; allowed" }));
    CHECK(load(npy(">f4", "(6, 1, 3)", x), label).says({ "x_train", "dtype", ">f4" }));
    CHECK(load(npy("|u1", "(72,)", x), label).says({ "x_train", "uint8" }));
    CHECK(load(npy("|u1", "(6, 4, 4)", x), label).says({ "x_train", "shape" }));
    CHECK(load(npy("|u1", "(6, 4, 3)", x, "True"), label).says({ "x_train", "fortran_order" }));
    CHECK(load(good, npy("<i8", "(5,)", y64.substr(8))).says({ "y_train", "5 values for 6 samples" }));
    CHECK(load(good, npy("|i1", "(6,)", Bytes("\0\1\xff\0\1\2", 6))).says({ "y_train", "value -1 at row 2", "0 to 16777215" }));
    CHECK(load(good, "garbage").says({ "y_train", "not an NPY array" }));
    CHECK(Loaded(nullptr, "npz", f.write("a.npz", zip.done())).says({ "x_train is missing" }));
    CHECK(Loaded(nullptr, "npz", f.write("a.npz", "PK nothing")).says({ "a.npz", "not an NPZ file" }));
    CHECK(Loaded(nullptr, "npz", f.path + "/none.npz").says({ "none.npz", "No such file" }));
    CHECK(Loaded(nullptr, "npz", f.path + "/none.npz", "x").says({ "data.test" }));
    const Bytes whole = Zip().add("x_train.npy", good, deflate).add("y_train.npy", label, deflate).done();
    for (size_t i = 0; i < whole.size(); i += 3) {        // any damage: an error or a load, never a crash
      Bytes b = whole;
      b[i] = char(b[i] ^ 0x55);
      Loaded(nullptr, "npz", f.write("a.npz", b));
      Loaded(nullptr, "npz", f.write("a.npz", whole.substr(0, i)));
    }
  }
}
