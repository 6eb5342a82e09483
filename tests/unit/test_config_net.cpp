// Networks in configurations: layers, blocks with variables, names, and the same network as JSON and back.
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <unistd.h>
extern "C" {
#include "harness/config_net.h"
}

namespace {
using Net = std::unique_ptr<fl_net, void (*)(fl_net *)>;
Net read(const std::string &text, std::string *message = nullptr) {
  char err[1024] = "", path[] = "/tmp/fedlane-net-XXXXXX";
  const int file = mkstemp(path);
  REQUIRE(file >= 0);
  REQUIRE(write(file, text.data(), text.size()) == ssize_t(text.size()));
  close(file);
  std::unique_ptr<fl_node, void (*)(fl_node *)> map(fl_node_read_file(path, err, sizeof err), fl_node_free);
  unlink(path);
  INFO(err);
  REQUIRE(map);
  Net net(fl_net_read(map.get(), nullptr, err, sizeof err), fl_net_free);
  std::string said = err;
  if (said.find(path) == 0) said = "net.yaml" + said.substr(std::string(path).size());
  if (message) *message = said;
  else INFO(err);
  return net;
}
// "type name settings < from" of every layer
std::string lines(const fl_net *net) {
  std::string out;
  for (size_t i = 0; i < net->n; i++) {
    const fl_layer_spec &l = net->layer[i];
    out += std::string(l.type) + " " + l.name + (*l.settings ? " " : "") + l.settings;
    out += (l.from ? std::string(" < ") + l.from : "") + "\n";
  }
  return out;
}
std::string refusal(const std::string &text) {
  std::string message;
  CHECK(read(text, &message) == nullptr);
  return message;
}
const char *const blocks = "name: small\n"
                           "blocks:\n"
                           "  pair:\n"
                           "    - conv: {out: $c, kernel: 3, pad: 1}\n"
                           "    - relu\n"
                           "    - conv: {out: $c, kernel: $k, pad: $p, name: last}\n"
                           "  residual:\n"
                           "    - pair: {c: $c, k: 3, p: 1}\n"
                           "    - add: {from: [pair1, input]}\n"
                           "layers:\n"
                           "  - conv: {out: 8, kernel: 3, pad: 1, name: stem}\n"
                           "  - residual: {name: stage, c: 8, repeat: 2}\n"
                           "  - pair: {c: 4, k: 1, p: 0}\n"
                           "  - gelu: {form: tanh, from: stage}\n"
                           "  - add: {from: [pair1, stem, gelu1], name: sum}\n"
                           "  - linear: {bias: yes}\n";
}

TEST_CASE("A network of a configuration: types, parameters, names", "[config]") {
  const Net net = read("layers:\n- conv: {out: 32, kernel: 5, pad: 2}\n- relu\n- max_pool:\n"
                       "- linear: {out: 5e2, bias: false, name: fc}\n- relu: {}\n- linear\n");
  REQUIRE(net);
  CHECK(std::string(net->name) == "network");
  CHECK(lines(net.get()) == "conv conv1 out=32 kernel=5 pad=2\nrelu relu1\nmax_pool max_pool1\nlinear fc out=500 bias=no\n"
                            "relu relu2\nlinear linear1\n");
  const std::string where = net->layer[3].where;
  CHECK(where.substr(where.size() - 4) == ":5:3");
}

TEST_CASE("A layer without a name has its kind's first number that no layer before it has", "[config]") {
  const Net net = read("blocks: {b: [relu, relu]}\nlayers:\n- linear: {name: linear2}\n- linear\n- linear\n"
                       "- relu: {name: linear4}\n"
                       "- linear\n- b\n- relu: {name: b2}\n- b\n- linear: {name: linear7}\n- linear\n- linear\n");
  REQUIRE(net);
  CHECK(lines(net.get()) == "linear linear2\nlinear linear1\nlinear linear3\nrelu linear4\nlinear linear5\n"
                            "relu b1.relu1\nrelu b1.relu2\nrelu b2\nrelu b3.relu1\nrelu b3.relu2\nlinear linear7\n"
                            "linear linear6\nlinear linear8\n");
  CHECK(refusal("layers:\n- linear\n- relu: {name: linear1}\n") ==
        "net.yaml:3:3: name = 'linear1'; allowed: a name of its own, not 'input'");
}

TEST_CASE("Blocks are written out with their variables, names and inputs", "[config]") {
  const Net net = read(blocks);
  REQUIRE(net);
  CHECK(std::string(net->name) == "small");
  CHECK(lines(net.get()) ==
        "conv stem out=8 pad=1\n"
        "conv stage.0.pair1.conv1 out=8 pad=1\nrelu stage.0.pair1.relu1\nconv stage.0.pair1.last out=8 pad=1\n"
        "add stage.0.add1 < stage.0.pair1.last stem\n"
        "conv stage.1.pair1.conv1 out=8 pad=1\nrelu stage.1.pair1.relu1\nconv stage.1.pair1.last out=8 pad=1\n"
        "add stage.1.add1 < stage.1.pair1.last stage.0.add1\n"
        "conv pair1.conv1 out=4 pad=1\nrelu pair1.relu1\nconv pair1.last out=4 kernel=1\n"
        "gelu gelu1 form=tanh < stage.1.add1\n"
        "add sum < pair1.last stem gelu1\n"
        "linear linear1\n");
}

TEST_CASE("A network as JSON is read as the same network", "[config]") {
  const Net net = read(blocks);
  REQUIRE(net);
  json_t *json = fl_net_json(net.get());
  char *text = json_dumps(json, JSON_COMPACT);
  const Net again = read(text);
  REQUIRE(again);
  CHECK(lines(again.get()) == lines(net.get()));
  CHECK(std::string(again->name) == "small");
  CHECK(fl_net_same(net.get(), again.get()));
  CHECK(!fl_net_same(net.get(), read("layers: [linear]").get()));
  free(text);
  json_decref(json);
}

TEST_CASE("Errors in networks name the place, the value and what is allowed", "[config]") {
  CHECK(refusal("layers:\n- conv: {out: 0}\n") == "net.yaml:2:15: out = '0'; allowed: a whole number from 1 to 65536");
  CHECK(refusal("layers:\n- conv: {kernl: 3}\n").find("net.yaml:2:10: unknown key of conv 'kernl'; did you mean 'kernel'?") == 0);
  CHECK(refusal("layers:\n- convv\n").find("net.yaml:2:3: unknown type of layer 'convv'; did you mean 'conv'?") == 0);
  CHECK(refusal("layers:\n- linear\n- add: {from: [linear1, fc]}\n").find("net.yaml:3:25: unknown layer 'fc'") == 0);
  CHECK(refusal("layers:\n- linear: {name: a}\n- linear: {name: a}\n") ==
        "net.yaml:3:3: name = 'a'; allowed: a name of its own, not 'input'");
  CHECK(refusal("layers:\n- linear: {out: $c}\n") ==
        "net.yaml:2:17: out = '$c'; allowed: a value, as no use of a block gives variables here");
  const std::string block = "blocks: {a: [{linear: {out: $c}}, {dropout: {drop: $p}}]}\nlayers:\n";
  CHECK(refusal(block + "- a: {c: 4, p: 0.1, repet: 2}\n") ==
        "net.yaml:3:21: unknown key of block a 'repet'; did you mean 'repeat'?; allowed: name, from, repeat, c, p");
  CHECK(refusal(block + "- a: {c: 4}\n") == "net.yaml:3:3: block a without a value of p; allowed: {a: {p: VALUE, ...}}");
  CHECK(refusal(block + "- a\n") == "net.yaml:3:3: block a without a value of c; allowed: {a: {c: VALUE, ...}}");
  CHECK(refusal("layers: []\n") == "net.yaml:1:9: layers; allowed: a list of one layer or more");
  CHECK(refusal("name: x\n").find("net.yaml:1:1: a model without layers; allowed:") == 0);
  CHECK(refusal("layers: [linear]\nlayer: 3\n").find("net.yaml:2:1: unknown key of model 'layer'; did you mean 'layers'?") == 0);
  CHECK(refusal("blocks: {conv: [relu]}\nlayers: [linear]\n")
            .find("net.yaml:1:10: a block with the name of a type of layer") == 0);
  CHECK(refusal("blocks: {a: [b: {}], b: [a: {}]}\nlayers: [a]\n")
            .find("blocks inside blocks, more than 8 deep") != std::string::npos);
  CHECK(refusal("blocks: {a: [relu]}\nlayers:\n- a: {repeat: 0}\n") ==
        "net.yaml:3:15: repeat = '0'; allowed: a whole number from 1 to 1000");
  CHECK(refusal("layers:\n- linear: {name: a b}\n") ==
        "net.yaml:2:18: name = 'a b'; allowed: up to 60 bytes without blanks and $");
  CHECK(refusal("name: a/b\nlayers: [linear]\n") == "net.yaml:1:7: name = 'a/b'; allowed: up to 60 bytes without blanks and /");
  CHECK(refusal("layers:\n- linear: {out: [3, 4]}\n") == "net.yaml:2:17: out; allowed: one value");
  CHECK(refusal("layers:\n- [relu]\n").find("net.yaml:2:3: a layer; allowed: TYPE") == 0);
}

TEST_CASE("A loss with weights for its classes: a list, its text, and the same again", "[config]") {
  const Net net = read("layers:\n- linear\n- cross_entropy: {smoothing: 0.1, weights: [1, 0.5, 2e1], ignore: 255}\n");
  REQUIRE(net);
  CHECK(lines(net.get()) == "linear linear1\ncross_entropy cross_entropy1 smoothing=0.10000000000000001 weights=1+0.5+2e1 "
                            "ignore=255\n");
  const Net text = read("layers:\n- linear\n- cross_entropy: {smoothing: 0.1, weights: 1+0.5+2e1, ignore: 255}\n");
  REQUIRE(text);
  CHECK(fl_net_same(net.get(), text.get()));
  CHECK(refusal("layers:\n- linear\n- cross_entropy: {weights: [1, x]}\n")
            .find("weights = 'x'; allowed: a number from 0 to 1000000") != std::string::npos);
  CHECK(refusal("layers:\n- linear\n- cross_entropy: {weights: []}\n").find("weights; allowed: one number or more") !=
        std::string::npos);
}
