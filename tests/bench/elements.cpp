// elements.cpp - every line of the registry. An element-wise kernel's call is made from its C type: pointers are arrays in the
// order of the arguments, numbers and structs take the values below. What has a shape is in shapes.cpp.
#include "shapes.h"
#include <benchmark/benchmark.h>
#include <cstring>
#include <type_traits>

namespace bench {
namespace {

// ---- arguments -----------------------------------------------------------------------------------------------------------
template <class T> struct Example {
  static_assert(sizeof(T) == 0, "a kernel takes a struct that the benchmarks do not know: give its values here");
};
#define FL_EXAMPLE(type, ...) template <> struct Example<type> { static constexpr type value = __VA_ARGS__; }
FL_EXAMPLE(fl_mix_args, { 0.9f, 0.1f, 0.2f, 0.3f });
FL_EXAMPLE(fl_momentum_args, { 0.9f, 1.0f, 1e-4f, 1.0f, 0 });
FL_EXAMPLE(fl_sophia_args, { 0.96f, 0.04f, 0.3f, 1e-3f, 0.01f, 0.999f, 0 });
FL_EXAMPLE(fl_adamw_args, { 0.9f, 0.1f, 0.999f, 0.001f, 1.0f, 1e-4f, 1e-8f });
FL_EXAMPLE(fl_rmsprop_args, { 0.99f, 0.01f, 0.9f, 1.0f, 1e-4f, 1e-8f, 1e-8f });
FL_EXAMPLE(fl_lion_args, { 0.9f, 0.1f, 0.99f, 0.01f, 1.0f, 1e-4f });
FL_EXAMPLE(fl_sign_args, { 0.9f, 0.1f, 1.0f, 1e-4f, 0.1f, 0.0f });
FL_EXAMPLE(fl_key, { 1, FL_PURPOSE_TEST, 2, 3, 4 });

template <class T> constexpr bool is_array = std::is_same_v<T, float> || std::is_same_v<T, uint32_t> || std::is_same_v<T,
    int32_t> ||
                                             std::is_same_v<T, uint8_t>;
template <class T> constexpr bool is_stream = std::is_pointer_v<T> && is_array<std::remove_cv_t<std::remove_pointer_t<T>>>;
template <class T> constexpr bool is_integers = std::is_pointer_v<T> && !std::is_const_v<std::remove_pointer_t<T>> &&
                                                !std::is_floating_point_v<std::remove_pointer_t<T>> && is_stream<T>;

struct Part {
  size_t n, begin;
  float *const *array;
  unsigned absent;
};

template <class T> T argument(const Part &part, size_t position, size_t stream) {
  if constexpr (std::is_same_v<T, size_t>) {
    return position == 0 ? part.n : 0; // a second count is the index of the first element
  } else if constexpr (is_stream<T>) {
    return part.absent >> stream & 1 ? nullptr : reinterpret_cast<T>(part.array[stream]) + part.begin;
  } else if constexpr (std::is_same_v<T, double *>) {
    static thread_local double second; // a second result
    return &second;
  } else if constexpr (std::is_pointer_v<T>) {
    return &Example<std::remove_cv_t<std::remove_pointer_t<T>>>::value;
  } else if constexpr (std::is_floating_point_v<T>) {
    return T(0.5);
  } else {
    static_assert(std::is_integral_v<T>);
    return T(1);
  }
}

template <class R, class... A, size_t... I>
void call(R (*kernel)(A...), const Part &part, std::index_sequence<I...>) {
  constexpr bool stream[] = { is_stream<A>... };
  size_t before[sizeof...(A)] = {};
  for (size_t i = 1; i < sizeof...(A); i++) { before[i] = before[i - 1] + stream[i - 1]; }
  if constexpr (std::is_void_v<R>) {
    kernel(argument<A>(part, I, before[I])...);
  } else {
    benchmark::DoNotOptimize(kernel(argument<A>(part, I, before[I])...));
  }
}

// Additions of doubles an element that a reduction cannot do without: its sums are of doubles, its maxima are not.
unsigned double_sums(const Op &op) {
  return !std::strcmp(op.family, "reduce") && (std::strstr(op.formula, "sum") || std::strstr(op.formula, "mean"));
}

// ---- an element-wise kernel at every place ---------------------------------------------------------------------------------
template <class R, class... A>
Line line_at(const Op &op, R (*kernel)(A...), const fl_kernels *k, const Place &at, Book &book) {
  constexpr size_t arrays = (size_t{0} + ... + is_stream<A>);
  constexpr bool wild = (false || ... || is_integers<A>); // read as floats by the next line, they would be anything
  Line line;
  line.kernel = op.name;
  line.isa = k->name;
  line.name = line.kernel + "/" + line.isa + "/" + op.variant + place_name(at, book.options.huge_pages);
  line.threads = at.threads;
  line.elements = static_cast<double>(at.n);
  line.bytes = line.elements * (op.traffic.reads + op.traffic.writes);
  if (!std::strcmp(op.family, "step")) {
    line.divisions = line.elements * fl_formula_count(op.formula, "/");
    line.roots = line.elements * fl_formula_count(op.formula, "sqrt(");
  }
  line.double_fmas = line.elements * double_sums(op);
  line.own_limit = !std::strcmp(op.family, "math") || !std::strcmp(op.family, "random");
  book.settle(line, at, arrays);
  const size_t present = arrays - static_cast<size_t>(__builtin_popcount(op.absent));
  // Near the core no stream binds what computes long.
  if (!line.own_limit || line.paired) { line.bandwidth = book.bandwidth(op.traffic.mix_of(present), at); }
  line.prepare = [=] { arena.refill(at, arrays, wild); };
  line.run = [=](int64_t calls, size_t skip) {
    return walk(at, arrays, calls, skip, [kernel, absent = op.absent](float *const *array, size_t begin, size_t end) {
      return [=] { call(kernel, Part{ end - begin, begin, array, absent }, std::index_sequence_for<A...>{}); };
    });
  };
  return line;
}

template <class Tag, class R, class... A>
void cases(Tag, Book &book, const Op &op, R (*fl_kernels::*member)(A...)) {
  constexpr size_t counts = (size_t{0} + ... + std::is_same_v<A, size_t>), arrays = (size_t{0} + ... + is_stream<A>);
  static_assert(counts == 1 || (counts == 2 && (false || ... || std::is_same_v<A, const fl_key *>)),
                "a kernel with a shape needs its own cases in shapes.cpp");
  static_assert(arrays <= STREAMS);
  for (size_t i = 0; i < book.options.isas.size(); i++) {
    for (const Place &at : book.places(i == 0, !std::strcmp(op.family, "step"))) {
      book.add(line_at(op, book.options.isas[i]->*member, book.options.isas[i], at, book), at.n, arrays);
    }
  }
}

} // namespace

void add_kernels(Book &book) {
#define FL_OP(family, name, ret, args, traffic, formula) \
  cases(tag_##name{}, book, Op{ #family, #name, formula, Traffic::parse(#traffic) }, &fl_kernels::name);
#include <fedlane/ops.def>
  // AdaGrad's and the plain form: neither mean nor momentum.
  const Op plain = { "step", "rmsprop", "g/(sqrt(v) + e)", Traffic::parse("12r8w"), "plain/", 1u << 2 | 1u << 3 };
  cases(tag_rmsprop{}, book, plain, &fl_kernels::rmsprop);
}

} // namespace bench
