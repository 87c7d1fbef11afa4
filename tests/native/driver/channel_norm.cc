// Random layer norms over channels and response norms against plain loops in double.
#include "check.h"

namespace edgevision::driver {
namespace {

std::vector<double> plain_channel_norm(const ChannelNorm& n) {
  std::vector<double> y(static_cast<size_t>(n.batch * n.channels * n.pixels));
  std::vector<double> v(static_cast<size_t>(n.channels));
  for (int64_t b = 0; b < n.batch; ++b)
    for (int64_t p = 0; p < n.pixels; ++p) {
      double mean = 0, variance = 0;
      for (int64_t c = 0; c < n.channels; ++c) {
        double& value = v[static_cast<size_t>(c)] = 0;
        for (int64_t g = 0; g < n.groups; ++g) value += n.x[((b * n.groups + g) * n.channels + c) * n.pixels + p];
        mean += value / static_cast<double>(n.channels);
      }
      for (double value : v) variance += (value - mean) * (value - mean) / static_cast<double>(n.channels);
      for (int64_t c = 0; c < n.channels; ++c) {
        const int64_t at = (b * n.channels + c) * n.pixels + p;
        const double apart = (v[static_cast<size_t>(c)] - mean) / std::sqrt(variance + n.epsilon);
        y[static_cast<size_t>(at)] = (apart * n.weight[c] + n.bias[c]) * (n.z ? silu(n.z[at]) : 1.0);
      }
    }
  return y;
}

std::vector<double> plain_response_norm(const ResponseNorm& n) {
  std::vector<double> y;
  for (int64_t i = 0; i < n.batch * n.channels * n.pixels; ++i) y.push_back(n.gelu ? gelu(n.x[i]) : n.x[i]);
  for (int64_t b = 0; b < n.batch; ++b) {
    double* image = y.data() + b * n.channels * n.pixels;
    std::vector<double> norms;
    double mean = 0;
    for (int64_t c = 0; c < n.channels; ++c) {
      double square = 0;
      for (int64_t p = 0; p < n.pixels; ++p) square += image[c * n.pixels + p] * image[c * n.pixels + p];
      norms.push_back(std::sqrt(square));
      mean += norms.back() / static_cast<double>(n.channels);
    }
    for (int64_t i = 0; i < n.channels * n.pixels; ++i) {
      const int64_t c = i / n.pixels;
      image[i] *= n.gamma[c] * norms[static_cast<size_t>(c)] / (mean + n.epsilon) + 1;
    }
  }
  return y;
}

}  // namespace

void fuzz_channel_norm(Random& random) {
  const bool rows = random.flip();  // lone pixels, more of them than an item takes
  const int64_t batch = random.pick(0, rows ? 150 : 2), groups = random.pick(1, 3), channels = random.pick(2, 40),
                height = rows ? 1 : random.pick(0, 12), width = rows ? 1 : random.pick(1, 12);
  const Shape x_shape{batch, groups * channels, height * width}, vector{channels};
  Shape z_shape, out;
  if (random.flip()) z_shape = {batch, channels, height, width};
  ChannelNorm n = plan_channel_norm(x_shape, vector, vector, z_shape, out);
  n.epsilon = 1e-5f;

  const Buffer x(x_shape, random, 1, 2), weight(vector, random), bias(vector, random), z(z_shape, random);
  const Buffer y(out, random, 1, 1e3f);
  n.x = x.data, n.weight = weight.data, n.bias = bias.data, n.z = z.data, n.y = y.data;

  const std::string what =
      describe("channel norm of batch x groups x channels x height x width", {batch, groups, channels, height, width});
  run_counting(kernels()->channel_norm_items(n), [&](int64_t item) { kernels()->channel_norm(n, item); }, what);
  expect_close(plain_channel_norm(n), y.data, 1e-4, what);  // two channels that all but agree leave few digits
}

void fuzz_response_norm(Random& random) {
  const int64_t batch = random.pick(0, 2), channels = random.pick(0, 20), height = random.pick(0, 16),
                width = random.pick(1, 16);
  const Shape x_shape{batch, channels, height, width}, vector{channels};
  ResponseNorm n = plan_response_norm(x_shape, vector);
  n.epsilon = 1e-6f;
  n.gelu = random.flip();

  // Of a lone channel the result is x (1 + gamma): near -1 it would leave few digits.
  const Buffer x(x_shape, random, 2), gamma(vector, random, 0.25f), y(x_shape, random, 1, 1e3f);
  const Buffer factors({batch, channels}, random, 1, 1e3f);
  n.x = x.data, n.gamma = gamma.data, n.factors = factors.data, n.y = y.data;

  const std::string what = describe("response norm of batch x channels x height x width", {batch, channels, height, width});
  const int64_t rows = batch * channels;
  run_counting(rows, [&](int64_t row) { kernels()->response_norm_measure(n, row); }, what);
  run_counting(batch, [&](int64_t image) { kernels()->response_norm_factor(n, image); }, what);
  run_counting(rows, [&](int64_t row) { kernels()->response_norm_scale(n, row); }, what);
  expect_close(plain_response_norm(n), y.data, 1e-5, what);
}

}  // namespace edgevision::driver
