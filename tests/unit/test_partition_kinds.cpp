// Partitioners beside the first ones: closed forms of sizes and counts, laws of the draws, refusals.
#include "partition.hpp"
using namespace partition_test;

namespace {
// Acar et al.'s partition by the standard library's generator: the mean of sum_c share^2, 10 classes of clients*size/10 samples.
double acar_concentration(size_t clients, size_t size, double alpha, unsigned seed) {
  std::mt19937_64 g(seed);
  std::gamma_distribution<double> gamma(alpha);
  std::vector<std::vector<double>> q(clients, std::vector<double>(10)), has(clients, std::vector<double>(10));
  for (auto &row : q)
    for (double &v : row)
      v = gamma(g) + 1e-300;
  std::vector<size_t> left(10, clients * size / 10), room(clients, size);
  for (size_t n = clients * size; n > 0; n--) {
    size_t i = g() % clients;
    while (!room[i])
      i = g() % clients;
    std::vector<double> now(10);
    for (size_t c = 0; c < 10; c++)
      now[c] = left[c] ? q[i][c] + 1e-9 : 0; // used up: any class that is left
    const size_t c = std::discrete_distribution<size_t>(now.begin(), now.end())(g);
    left[c]--, room[i]--, has[i][c]++;
  }
  double mean = 0;
  for (const auto &row : has)
    for (double v : row)
      mean += v * v / static_cast<double>(size * size * clients);
  return mean;
}
} // namespace

TEST_CASE("partition pathological: class assignment modes", "[partition]") {
  const auto y = labels(6000, 10);
  Split det, rnd;
  const auto set = [](const char *mode, const char *k) {
    return config({{"name", "pathological", ""}, {"classes_per_client", k, ""}, {"class_assignment_mode", mode, ""}});
  };
  REQUIRE(make(det, set("deterministic", "3"), 100, y));
  std::vector<uint32_t> counts = counts_of(det, y, 10);
  for (size_t i = 0; i < 100; i++) // every class has 30 owners: 20 samples each
    for (size_t c = 0; c < 10; c++)
      REQUIRE(counts[i * 10 + c] == ((c + 10 - i % 10) % 10 < 3 ? 20u : 0u));
  CHECK(distinct(det.all()) == 6000);
  REQUIRE(make(rnd, set("random", "3"), 100, y));
  counts = counts_of(rnd, y, 10);
  size_t owners[10] = {}, first = 0;
  for (size_t i = 0; i < 100; i++) {
    CHECK(classes_held(rnd, y, i) == 3);
    first += counts[i * 10 + i % 10] > 0;
    for (size_t c = 0; c < 10; c++)
      owners[c] += counts[i * 10 + c] > 0;
  }
  CHECK(first < 60); // 30 expected; first-deterministic has 100
  for (size_t c = 0; c < 10; c++) {
    CHECK((owners[c] > 12 && owners[c] < 48)); // 30 +- 4 sigma
    for (size_t i = 0; i < 100; i++)
      if (counts[i * 10 + c])
        CHECK((counts[i * 10 + c] == 600 / owners[c] || counts[i * 10 + c] == 600 / owners[c] + 1));
  }
  Split few; // Flower refuses this too: 25 owners of a class of 20
  CHECK_FALSE(make(few, set("deterministic", "5"), 50, labels(200, 10)));
  CHECK(std::string(err).find("class 0 has 20 samples for the 25 clients that are to hold it") != std::string::npos);
}

TEST_CASE("partition pathological: equal sizes are drawn from the classes held", "[partition]") {
  const auto y = labels(60000, 10);
  for (const char *k : {"3", "6"}) {
    Split s;
    REQUIRE(make(s, config({{"name", "pathological", ""}, {"classes_per_client", k, ""}, {"equal_sizes", "yes", ""},
                            {"class_assignment_mode", "random", ""}}), 100, y));
    const std::vector<uint32_t> counts = counts_of(s, y, 10);
    const double p = 1.0 / std::atoi(k), sigma = std::sqrt(600 * p * (1 - p));
    double chi = 0;
    for (size_t i = 0; i < 100; i++) {
      REQUIRE(s.list(i).size() == 600);
      CHECK(classes_held(s, y, i) == static_cast<size_t>(std::atoi(k)));
      for (size_t c = 0; c < 10; c++)
        if (counts[i * 10 + c]) {
          CHECK(std::abs(counts[i * 10 + c] - 600 * p) < 5 * sigma);
          chi += std::pow(counts[i * 10 + c] - 600 * p, 2) / (600 * p);
        }
    }
    const double freedom = 100.0 * (std::atoi(k) - 1); // multinomial: chi-squared of that many degrees
    CHECK(std::abs(chi - freedom) < 5 * std::sqrt(2 * freedom));
  }
}

TEST_CASE("partition inner_dirichlet: disjoint, sizes as asked for, proportions while classes last", "[partition]") {
  const auto y = labels(60000, 10);
  const struct { const char *text; double alpha; } t[] = {{"0.1", 0.1}, {"0.6", 0.6}};
  for (const auto &a : t) {
    double mean = 0, want = 0;
    for (unsigned seed = 1; seed <= 8; seed++) {
      Split s;
      REQUIRE(make(s, config({{"name", "inner_dirichlet", ""}, {"dirichlet_alpha", a.text, ""},
                              {"seed", std::to_string(seed).c_str(), ""}}), 200, labels(20000, 10)));
      CHECK(distinct(s.all()) == 20000);
      for (size_t i = 0; i < 200; i++)
        REQUIRE(s.list(i).size() == 100);
      mean += mean_concentration(s, labels(20000, 10), 10) / 8;
      want += acar_concentration(200, 100, a.alpha, seed) / 8;
    }
    const double free = (a.alpha + 1) / (10 * a.alpha + 1); // if no class ever ran out
    CHECK(mean < 1.02 * (free + (1 - free) / 100));
    CHECK(mean == Approx(want).epsilon(0.05));
  }
  Split sized;
  REQUIRE(make(sized, config({{"name", "inner_dirichlet", ""}, {"size_sigma", "0.5", ""}}), 300, y));
  CHECK(sized.all().size() == 60000);
  CHECK(distinct(sized.all()) == 60000);
  double sum = 0, square = 0; // the logarithms of the sizes: mean ln(n/N) - sigma^2/2, standard deviation sigma
  for (size_t i = 1; i < 300; i++) {
    const double v = std::log(static_cast<double>(sized.list(i).size()));
    sum += v;
    square += v * v;
  }
  const double mean = sum / 299;
  CHECK(mean == Approx(std::log(200.0) - 0.125).margin(4 * 0.5 / std::sqrt(299.0)));
  CHECK(std::sqrt(square / 299 - mean * mean) == Approx(0.5).epsilon(0.2));
}

TEST_CASE("partition linear, square, exponential: sizes by closed form", "[partition]") {
  const auto y = labels(10007, 10);
  const struct { const char *name; double (*units)(double); } t[] = {
    {"linear", [](double i) { return i; }}, {"square", [](double i) { return i * i; }},
    {"exponential", [](double i) { return std::exp(i); }}};
  for (const auto &k : t) {
    INFO(k.name);
    Split s;
    REQUIRE(make(s, config({{"name", k.name, ""}}), 9, y));
    CHECK(distinct(s.all()) == 10007);
    double sum = 0;
    size_t given = 0;
    for (int i = 1; i <= 9; i++)
      sum += k.units(i);
    for (int i = 1; i < 9; i++) {
      const auto want = static_cast<size_t>(std::floor(k.units(i) / sum * 10007));
      CHECK(s.list(static_cast<size_t>(i - 1)).size() == want);
      given += want;
    }
    CHECK(s.list(8).size() == 10007 - given);
  }
  Split s;
  CHECK_FALSE(make(s, config({{"name", "exponential", ""}}), 20, y));
  CHECK(std::string(err) == "partition exponential: client 0 of 20 would have no sample; allowed: at most 9 clients for the "
                            "10007 samples of the data");
}

TEST_CASE("partition quantity: one Dirichlet draw of sizes, lognormal sizes", "[partition]") {
  const auto y = labels(60000, 10);
  double square = 0; // E q^2 = (alpha + 1)/(N (N alpha + 1))
  for (unsigned seed = 0; seed < 100; seed++) {
    Split s;
    REQUIRE(make(s, config({{"name", "quantity", ""}, {"dirichlet_alpha", "2", ""}, {"seed", std::to_string(seed).c_str(), ""},
                            {"min_size", "1", ""}}), 20, y));
    REQUIRE(distinct(s.all()) == 60000);
    for (size_t i = 0; i < 20; i++)
      square += std::pow(static_cast<double>(s.list(i).size()) / 60000, 2) / 2000;
  }
  CHECK(square == Approx(3.0 / (20 * 41)).epsilon(0.05));
  Split s, none, log;
  REQUIRE(make(s, config({{"name", "quantity", ""}, {"min_size", "100", ""}}), 20, y));
  for (size_t i = 0; i < 20; i++)
    CHECK(s.list(i).size() >= 100);
  CHECK_FALSE(make(none, config({{"name", "quantity", ""}, {"dirichlet_alpha", "0.001", ""}}), 100, y));
  CHECK(std::string(err).find("in 1000 draws no sizes gave every one of 100 clients min_size = 10 samples") != std::string::npos);
  REQUIRE(make(log, config({{"name", "quantity_lognormal", ""}, {"size_sigma", "1", ""}}), 100, y));
  CHECK(distinct(log.all()) == 60000);
}

TEST_CASE("partition dirichlet without balance: E sum_i q_i^2 of each class", "[partition]") {
  const auto y = labels(60000, 10);
  const auto set = [](const char *balance) {
    return config({{"name", "dirichlet", ""}, {"dirichlet_alpha", "0.5", ""}, {"min_size", "1", ""},
                   {"self_balancing", balance, ""}});
  };
  Split free, balanced;
  REQUIRE(make(free, set("no"), 20, y));
  REQUIRE(make(balanced, set("yes"), 20, y));
  CHECK(distinct(free.all()) == 60000);
  const auto spread = [&](const Split &s) {
    size_t most = 0;
    for (size_t i = 0; i < 20; i++)
      most = std::max(most, s.list(i).size());
    return most;
  };
  CHECK(spread(free) > spread(balanced));
  double mean = 0;
  for (unsigned seed = 0; seed < 30; seed++) {
    Split s;
    REQUIRE(make(s, config({{"name", "dirichlet", ""}, {"dirichlet_alpha", "0.5", ""}, {"min_size", "1", ""},
                            {"self_balancing", "no", ""}, {"seed", std::to_string(seed).c_str(), ""}}), 20, y));
    for (uint32_t v : counts_of(s, y, 10))
      mean += std::pow(v / 6000.0, 2) / 300;
  }
  CHECK(mean == Approx(1.5 / (20 * 0.5 + 1)).epsilon(0.05)); // (alpha + 1)/(N alpha + 1)
}

TEST_CASE("partition dirichlet_rounded: proportions of class 0's size, leftovers dropped, clients may be empty", "[partition]") {
  std::vector<uint8_t> y(3000, 0); // classes of 1000, 1500 and 500: 0 is spread whole, of 1 a third is left, 2 runs out
  std::fill(y.begin() + 1000, y.begin() + 2500, uint8_t(1));
  std::fill(y.begin() + 2500, y.end(), uint8_t(2));
  Split s;
  REQUIRE(make(s, config({{"name", "dirichlet_rounded", ""}, {"dirichlet_alpha", "0.01", ""}, {"seed", "1", ""}}), 30, y, 3));
  CHECK(distinct(s.all()) == s.all().size());
  size_t total[3] = {}, empty = 0;
  const auto counts = counts_of(s, y, 3);
  for (size_t i = 0; i < 30; i++) {
    empty += s.list(i).empty();
    for (size_t c = 0; c < 3; c++)
      total[c] += counts[i * 3 + c];
  }
  CHECK(std::abs(static_cast<double>(total[0]) - 1000) <= 15);
  CHECK(std::abs(static_cast<double>(total[1]) - 1000) <= 15);
  CHECK(total[2] == 500);
  CHECK(empty > 0);
  CHECK((s.s.disjoint && !s.s.complete));
}

TEST_CASE("partition shard: shard_size, as many shards as there are, the incomplete one", "[partition]") {
  const auto y = labels(6050, 10); // 605 a class
  Split sized, all, incomplete;
  REQUIRE(make(sized, config({{"name", "shard", ""}, {"shard_size", "25", ""}}), 100, y));
  CHECK(sized.all().size() == 5000);
  REQUIRE(make(all, config({{"name", "shard", ""}, {"shards_per_client", "0", ""}, {"shard_size", "200", ""}}), 7, y));
  for (size_t i = 0; i < 7; i++) // 30 shards: two clients have five
    CHECK(all.list(i).size() == (i < 2 ? 1000 : 800));
  REQUIRE(make(incomplete, config({{"name", "shard", ""}, {"shards_per_client", "0", ""}, {"shard_size", "200", ""},
                                   {"keep_incomplete_shard", "yes", ""}}), 31, y));
  CHECK(distinct(incomplete.all()) == 6050);
  size_t fifty = 0;
  for (size_t i = 0; i < 31; i++)
    fifty += incomplete.list(i).size() == 50;
  CHECK(fifty == 1);
  Split bad;
  CHECK_FALSE(make(bad, config({{"name", "shard", ""}, {"shards_per_client", "0", ""}}), 7, y));
  CHECK(std::string(err) == "partition shard: shards_per_client = 0; allowed: only with a shard_size above 0");
  CHECK_FALSE(make(bad, config({{"name", "shard", ""}, {"shards_per_client", "0", ""}, {"shard_size", "1000", ""}}), 7, y));
  CHECK(std::string(err).find("into 6 shards, fewer than the 7 clients") != std::string::npos);
  CHECK_FALSE(make(bad, config({{"name", "shard", ""}, {"shard_size", "1000", ""}}), 7, y));
  CHECK(std::string(err).find("need 14000 samples") != std::string::npos);
  CHECK(refusal({{"name", "shard", ""}, {"keep_incomplete_shard", "yes", "--set"}}) ==
        "--set: keep_incomplete_shard = 'yes'; allowed: only with shards_per_client = 0");
}

TEST_CASE("partition distribution: k following classes, a matrix's shares or numbers", "[partition]") {
  const auto y = labels(1000, 10); // 100 a class; 20 clients of 2 classes: 4 owners a class
  Split drawn, given, exact;
  REQUIRE(make(drawn, config({{"name", "distribution", ""}}), 20, y));
  CHECK(distinct(drawn.all()) == 1000);
  auto counts = counts_of(drawn, y, 10);
  for (size_t i = 0; i < 20; i++)
    for (size_t c = 0; c < 10; c++)
      CHECK((counts[i * 10 + c] >= 5) == ((c + 10 - i % 10) % 10 < 2));
  std::string rows;
  for (int c = 0; c < 10; c++)
    rows += std::string(c ? ", " : "") + "[1, 2, 3, 4]";
  const std::string path = temporary(("{\"distribution\": [" + rows + "]}").c_str());
  REQUIRE(make(given, config({{"name", "distribution", ""}, {"path", path.c_str(), ""}}), 20, y));
  counts = counts_of(given, y, 10); // class 3 belongs to clients 2, 3, 12, 13: 5 each, and 80 by shares
  CHECK((counts[23] == 13 && counts[33] == 21 && counts[123] == 29 && counts[133] == 37));
  REQUIRE(make(exact, config({{"name", "distribution", ""}, {"path", path.c_str(), ""}, {"rescale", "no", ""}}), 20, y));
  counts = counts_of(exact, y, 10);
  CHECK((counts[23] == 1 && counts[33] == 2 && counts[123] == 3 && counts[133] == 4));
  CHECK(exact.all().size() == 100);
  Split bad;
  const auto file = config({{"name", "distribution", ""}, {"path", path.c_str(), ""}});
  CHECK_FALSE(make(bad, file, 15, y));
  CHECK(std::string(err) == "partition distribution: clients = 15; allowed: a multiple of 10, the classes of the data");
  CHECK_FALSE(make(bad, file, 40, y));
  CHECK(std::string(err) == path + ": distribution[0]: 4 numbers; allowed: a list of 8, one for each client that holds the "
                                   "class");
  CHECK_FALSE(make(bad, config({{"name", "distribution", ""}, {"preassigned_num_samples_per_label", "26", ""}}), 20, y));
  CHECK(std::string(err).find("needs 104 samples, the data have 100") != std::string::npos);
  CHECK(refusal({{"name", "distribution", ""}, {"rescale", "no", "--set"}}).find("only with path") != std::string::npos);
  CHECK(refusal({{"name", "distribution", ""}, {"path", "x", ""}, {"lognormal_sigma", "1", "--set"}}).find("only without path") !=
        std::string::npos);
  CHECK(refusal({{"name", "distribution", ""}, {"path", "x", ""}, {"rescale", "no", ""},
                 {"preassigned_num_samples_per_label", "1", "--set"}}) ==
        "--set: preassigned_num_samples_per_label = '1'; allowed: only with rescale = yes");
  std::remove(path.c_str());
}

TEST_CASE("partition group: a class's own group has bias of it, the others share the rest", "[partition]") {
  const auto y = labels(20000, 10);
  Split s, iid;
  REQUIRE(make(s, config({{"name", "group", ""}, {"bias", "0.5", ""}}), 50, y));
  CHECK(distinct(s.all()) == 20000);
  std::vector<double> share(100); // [group][class] of 2000 samples
  const auto counts = counts_of(s, y, 10);
  for (size_t i = 0; i < 50; i++)
    for (size_t c = 0; c < 10; c++)
      share[i / 5 * 10 + c] += counts[i * 10 + c] / 2000.0;
  for (size_t g = 0; g < 10; g++) {
    for (size_t c = 0; c < 10; c++) {
      const double p = c == g ? 0.5 : 0.5 / 9;
      CHECK(std::abs(share[g * 10 + c] - p) < 5 * std::sqrt(p * (1 - p) / 2000));
    }
    for (size_t i = 5 * g + 1; i < 5 * g + 5; i++)
      CHECK(s.list(5 * g).size() - s.list(i).size() <= 1);
  }
  CHECK_FALSE(make(iid, config({{"name", "group", ""}}), 55, y));
  CHECK(std::string(err).find("clients = 55; allowed: a multiple of 10") != std::string::npos);
}

TEST_CASE("partition continuous: sorted by brightness or label, or not at all", "[partition]") {
  const size_t n = 3000;
  std::vector<uint8_t> y = labels(n, 10), pixels(4 * n);
  std::mt19937 g(3);
  for (auto &p : pixels)
    p = static_cast<uint8_t>(g() % 256);
  const auto bright = [&](uint32_t i) { return pixels[4 * i] + pixels[4 * i + 1] + pixels[4 * i + 2] + pixels[4 * i + 3]; };
  const fl_split_data data{n, 10, y.data(), nullptr, pixels.data(), 4, nullptr};
  const auto means = [&](const char *strictness) { // of the sorted property, by client
    Split s;
    const auto c = config({{"name", "continuous", ""}, {"strictness", strictness, ""}});
    REQUIRE(fl_split_make(&s.s, &c, 10, &data, err, sizeof err) == 0);
    CHECK(distinct(s.all()) == n);
    std::vector<double> m(10);
    for (size_t i = 0; i < 10; i++) {
      CHECK(s.list(i).size() == n / 10);
      for (uint32_t k : s.list(i))
        m[i] += bright(k) / 300.0;
    }
    return m;
  };
  const auto sorted = means("1"), mixed = means("0.5"), none = means("0");
  std::vector<int> all;
  for (uint32_t i = 0; i < n; i++)
    all.push_back(bright(i));
  std::sort(all.begin(), all.end());
  for (long i = 0; i < 10; i++) {
    const double sum = std::accumulate(all.begin() + 300 * i, all.begin() + 300 * (i + 1), 0.0);
    CHECK(sorted[static_cast<size_t>(i)] == Approx(sum / 300));
  }
  // blend b = z/2 + noise/2: the property's mean of the outer tenths is 1/sqrt(2) of what sorting gives
  CHECK((mixed[9] - mixed[0]) / (sorted[9] - sorted[0]) == Approx(std::sqrt(0.5)).margin(0.06));
  CHECK(std::abs(none[9] - none[0]) < 60); // of a standard deviation of 148/sqrt(300) each
  Split flat, blind, label;
  const std::vector<uint8_t> dark(4 * n);
  const fl_split_data same{n, 10, y.data(), nullptr, dark.data(), 4, nullptr};
  const auto c = config({{"name", "continuous", ""}});
  CHECK(fl_split_make(&flat.s, &c, 10, &same, err, sizeof err) == -1);
  CHECK(std::string(err).find("property = brightness is the same in all samples") != std::string::npos);
  CHECK_FALSE(make(blind, c, 10, y));
  CHECK(std::string(err).find("only with data that have pixels") != std::string::npos);
  REQUIRE(make(label, config({{"name", "continuous", ""}, {"property", "label", ""}, {"strictness", "1", ""}}), 10, y));
  for (size_t i = 0; i < 10; i++)
    CHECK(classes_held(label, y, i) == 1);
}

TEST_CASE("partition noise: iid lists, sigma by client, kept in the file", "[partition]") {
  const auto y = labels(1000, 10);
  const fl_split_data data{1000, 10, y.data(), nullptr, nullptr, 0, nullptr};
  Split s, iid, again;
  REQUIRE(make(s, config({{"name", "noise", ""}, {"noise_sigma", "0.3", ""}, {"seed", "7", ""}}), 7, y));
  REQUIRE(make(iid, config({{"seed", "7", ""}}), 7, y));
  CHECK(s.all() == iid.all());
  CHECK(std::string(s.s.sha256) != iid.s.sha256);
  for (size_t i = 0; i < 7; i++)
    CHECK(s.s.sigma[i] == Approx(0.3 * static_cast<double>(i) / 6));
  std::vector<float> rows(1000);
  fl_split_noise(&s.s, rows.data());
  for (size_t i = 0; i < 7; i++)
    for (uint32_t k : s.list(i))
      REQUIRE(rows[k] == static_cast<float>(s.s.sigma[i]));
  const std::string path = temporary("");
  REQUIRE(fl_split_save(&s.s, path.c_str(), err, sizeof err) == 0);
  REQUIRE(fl_split_load(&again.s, path.c_str(), &data, err, sizeof err) == 0);
  CHECK(std::string(s.s.sha256) == again.s.sha256);
  std::remove(path.c_str());
}
