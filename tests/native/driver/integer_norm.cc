// Random rows of bytes through a norm, against a plain loop in double: the same integer, but where that lies at a tie.
#include "check.h"

namespace edgevision::driver {
namespace {

double value(const IntegerNorm& n, uint8_t byte) { return n.is_signed ? static_cast<int8_t>(byte) : byte; }

}  // namespace

void fuzz_integer_norm(Random& random) {
  const int64_t rows = random.pick(0, 3) ? random.pick(0, 9) : random.pick(60, 150), channels = random.pick(0, 100);
  const Shape vector{channels};
  IntegerNorm n = plan_integer_norm({rows, channels}, vector, vector, random.flip());
  n.epsilon = 0.01f;
  std::vector<uint8_t> x(static_cast<size_t>(rows * channels)), y(x.size());
  const int64_t spread = random.pick(1, 255);
  for (uint8_t& byte : x) byte = static_cast<uint8_t>(random.pick(0, spread));
  const Buffer weight(vector, random, 40), bias(vector, random, 20, n.is_signed ? 0.0f : 128.0f);
  n.x = x.data(), n.y = y.data(), n.weight = weight.data, n.bias = bias.data;

  const std::string what = describe("integer norm of rows x channels", {rows, channels});
  run_counting(n.items(), [&](int64_t item) { kernels()->integer_norm(n, item); }, what);
  for (int64_t row = 0; row < rows; ++row) {
    const uint8_t* given = n.x + row * channels;
    double mean = 0, variance = 0;
    for (int64_t c = 0; c < channels; ++c) mean += value(n, given[c]) / static_cast<double>(channels);
    for (int64_t c = 0; c < channels; ++c)
      variance += std::pow(value(n, given[c]) - mean, 2) / static_cast<double>(channels);
    for (int64_t c = 0; c < channels; ++c) {
      const double exact = (value(n, given[c]) - mean) / std::sqrt(variance + n.epsilon) * n.weight[c] + n.bias[c];
      const double bounded = std::min(n.is_signed ? 127.0 : 255.0, std::max(n.is_signed ? -128.0 : 0.0, exact));
      const double got = value(n, n.y[row * channels + c]);
      if (!(std::fabs(got - bounded) <= 0.5001)) fail(what + ": " + std::to_string(got) + " for " + std::to_string(exact));
    }
  }
}

}  // namespace edgevision::driver
