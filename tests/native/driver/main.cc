// Runs the kernels without ONNX Runtime, so that sanitizers and emulators can watch them.
//
//   edgevision_driver math STEP   exp and softplus at every STEP-th float32, against the C library in double
//   edgevision_driver fuzz RUNS   random nodes of every kind against plain loops in double, and that nothing allocates
//   edgevision_driver refuse      shapes that must be refused, too large ones among them
//
// EDGEVISION_SIMD picks the instruction set. Prints what it did; exits with 1 at the first failure.
#include <cstdio>
#include <cstdlib>

#include "check.h"

namespace edgevision::driver {

void fuzz(long runs) {
  Random random;
  for (long run = 0; run < runs; ++run) {
    fuzz_scan(random);
    fuzz_projected_scan(random);
    fuzz_channel_norm(random);
    fuzz_wavelet(random, false);
    fuzz_wavelet(random, true);
    fuzz_wavelet_conv(random);
    fuzz_depthwise_conv(random);
    fuzz_response_norm(random);
    fuzz_shift_linear(random);
    fuzz_shift_conv(random);
    fuzz_lookup(random);
    fuzz_integer_norm(random);
    fuzz_integer_response_norm(random);
  }
  std::printf("%s: %ld runs of each operator agree and allocate nothing\n", kernels()->name, runs);
}

}  // namespace edgevision::driver

int main(int count, char** arguments) {
  using namespace edgevision;
  const std::string command = count > 1 ? arguments[1] : "";
  const long number = count > 2 ? std::strtol(arguments[2], nullptr, 10) : 0;
  if (!kernels()) driver::fail(why_no_kernels());
  if (command == "math" && number > 0)
    driver::math(static_cast<uint64_t>(number));
  else if (command == "fuzz" && number > 0)
    driver::fuzz(number);
  else if (command == "refuse")
    driver::refuse();
  else
    driver::fail("usage: edgevision_driver math STEP | fuzz RUNS | refuse");
}
