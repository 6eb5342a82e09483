#include <catch2/catch.hpp>
#include <fedlane/kernels.h>
TEST_CASE("every ISA has a name") {
  for (int i = 0; i < FL_ISA_COUNT; i++) CHECK(fl_isa_name((fl_isa)i) != nullptr);
}
