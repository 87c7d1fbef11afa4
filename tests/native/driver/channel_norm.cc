// Random layer norms over channels against plain loops in double.
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

}  // namespace

void fuzz_channel_norm(Random& random) {
  const int64_t batch = random.pick(0, 2), groups = random.pick(1, 3), channels = random.pick(2, 40),
                height = random.pick(0, 3) ? random.pick(0, 12) : 1, width = random.pick(1, 12);
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

}  // namespace edgevision::driver
