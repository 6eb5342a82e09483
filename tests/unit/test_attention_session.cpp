// Runs of an attention network: the same bits with any number of threads, whole and with adapters.
#include "session.hpp"
#include "text.hpp"
#include <memory>

namespace {
using Model = std::unique_ptr<fl_model, void (*)(fl_model *)>;
constexpr size_t rows = 22, length = 8, classes = 11;
}

TEST_CASE("Runs of mini GPT have the same bits with any number of threads, and learn", "[network]") {
  const std::string net = GENERATE("mini_gpt", "mini_gpt_lora4"), method = GENERATE("fedavg", "fedadamw", "local_muon");
  const Text text(rows, length, classes);
  char err[512] = "";
  fl_net_sized room;
  const Model m(fl_model_new(fl_net_find(net.c_str(), &room), &text.s, &text.s, 0, 1, err, sizeof err), fl_model_free);
  INFO(net << ", " << method << ": " << err);
  REQUIRE(m);
  rules::Floats first;
  for (int threads : { 1, 2, 3 }) {
    const std::string lr = method == "fedavg" ? "0.2" : "0.01";
    session::Session s({ { "name", method }, { "lr", lr } }, *fl_model_objective(m.get()), { 0, 9, 10, 17, 22 }, 3, 4);
    s.options.threads = threads;
    s.open();
    REQUIRE(s.error == "");
    const double before = s.round().test_loss;
    s.round();
    CHECK(s.round().test_loss < before);
    if (threads == 1) first = s.x();
    else CHECK(rules::same(first, s.x()));
  }
}
