// Random bytes through a layer norm and a response norm, against plain loops in double: the same integer, but where that
// lies at a tie.
#include "check.h"

namespace edgevision::driver {
namespace {

template <class Norm>
double value(const Norm& n, uint8_t byte) {
  return n.is_signed ? static_cast<int8_t>(byte) : byte;
}

template <class Norm>
void expect_rounded(const Norm& n, double exact, uint8_t got, const std::string& what) {
  const double bounded = std::min(n.is_signed ? 127.0 : 255.0, std::max(n.is_signed ? -128.0 : 0.0, exact));
  if (!(std::fabs(value(n, got) - bounded) <= 0.501))
    fail(what + ": " + std::to_string(value(n, got)) + " for " + std::to_string(exact));
}

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
      expect_rounded(n, exact, n.y[row * channels + c], what);
    }
  }
}

void fuzz_integer_response_norm(Random& random) {
  const int64_t batch = random.pick(0, 2), height = random.pick(0, 12), width = random.pick(1, 12),
                channels = random.pick(0, 150);
  IntegerResponseNorm n =
      plan_integer_response_norm({batch, height, width, channels}, {256}, {channels}, random.flip());
  n.epsilon = 1e-6f, n.scale = 0.05f, n.zero = n.is_signed ? 3.0f : 120.0f;
  std::vector<uint8_t> x(static_cast<size_t>(batch * n.pixels * channels)), y(x.size());
  for (uint8_t& byte : x) byte = static_cast<uint8_t>(random.pick(0, 255));
  const Buffer table({256}, random), gamma({channels}, random), factors({batch, channels}, random);
  n.x = x.data(), n.y = y.data(), n.table = table.data, n.gamma = gamma.data, n.factors = factors.data;

  const std::string what = describe("integer response norm of batch x height x width x channels", {batch, height, width, channels});
  run_counting(batch * n.blocks(), [&](int64_t block) { kernels()->integer_response_measure(n, block); }, what);
  run_counting(batch, [&](int64_t image) { kernels()->integer_response_factor(n, image); }, what);
  run_counting(batch * n.strips(), [&](int64_t strip) { kernels()->integer_response_scale(n, strip); }, what);
  for (int64_t b = 0; b < batch; ++b) {
    const uint8_t* given = n.x + b * n.pixels * channels;
    std::vector<double> norms(static_cast<size_t>(channels));
    double mean = 0;
    for (int64_t c = 0; c < channels; ++c) {
      double& norm = norms[static_cast<size_t>(c)];
      for (int64_t p = 0; p < n.pixels; ++p) norm += std::pow(static_cast<double>(table[given[p * channels + c]]), 2);
      norm = std::sqrt(norm);
      mean += norm / static_cast<double>(channels);
    }
    for (int64_t i = 0; i < n.pixels * channels; ++i) {
      const int64_t c = i % channels;
      const double share = gamma[c] * norms[static_cast<size_t>(c)] / (mean + n.epsilon);
      expect_rounded(n, (share + 1) * table[given[i]] / n.scale + n.zero, n.y[b * n.pixels * channels + i], what);
    }
  }
}

}  // namespace edgevision::driver
