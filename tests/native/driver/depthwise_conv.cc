// The depthwise convolution against its definition.
#include "check.h"

namespace edgevision::driver {
namespace {

std::vector<double> plain_depthwise_conv(const DepthwiseConv& d) {
  std::vector<double> y;
  const int64_t plane = d.height * d.width, taps = d.kernel[0] * d.kernel[1];
  for (int64_t p = 0; p < d.batch * d.channels; ++p)
    for (int64_t i = 0; i < d.rows; ++i)
      for (int64_t j = 0; j < d.columns; ++j) {
        const int64_t channel = p % d.channels;
        double sum = d.bias ? d.bias[channel] : 0.0;
        for (int64_t tap = 0; tap < taps; ++tap) {
          const int64_t r = i * d.strides[0] + tap / d.kernel[1] * d.dilations[0] - d.before[0],
                        c = j * d.strides[1] + tap % d.kernel[1] * d.dilations[1] - d.before[1];
          if (r >= 0 && r < d.height && c >= 0 && c < d.width)
            sum += double{d.weight[channel * taps + tap]} * d.x[p * plane + r * d.width + c];
        }
        y.push_back(sum);
      }
  return y;
}

}  // namespace

void fuzz_depthwise_conv(Random& random) {
  const int64_t batch = random.pick(0, 2), channels = random.pick(0, 20), height = random.pick(0, 20),
                width = random.pick(1, random.pick(0, 3) ? 20 : 90), rows = random.pick(1, 9),
                columns = random.pick(1, random.pick(0, 3) ? 13 : 40);
  ConvGeometry g{{}, {random.pick(1, 3), random.pick(1, 3)}, {}, {random.pick(1, 3), random.pick(1, 3)}, 1};
  for (int side = 0; side < 4; ++side) g.pads.push_back(random.pick(0, 12));
  const Shape x_shape{batch, channels, height, width}, w_shape{channels, 1, rows, columns};
  const Shape b_shape = random.flip() ? Shape{channels} : Shape{};
  Shape out;
  if (height + g.pads[0] + g.pads[2] <= g.dilations[0] * (rows - 1) || width + g.pads[1] + g.pads[3] <= g.dilations[1] * (columns - 1))
    return expect_refused("smaller than the kernel", [&] { plan_depthwise_conv(x_shape, w_shape, b_shape, g, out); });
  DepthwiseConv d = plan_depthwise_conv(x_shape, w_shape, b_shape, g, out);

  const Buffer x(x_shape, random), weight(w_shape, random), bias(b_shape, random), y(out, random, 1, 1e3f);
  d.x = x.data, d.weight = weight.data, d.bias = bias.data, d.y = y.data;
  const std::string what = describe(
      "depthwise convolution of batch x channels x height x width, kernel, strides, dilations, pads at the top and left",
      {batch, channels, height, width, rows, columns, g.strides[0], g.strides[1], g.dilations[0], g.dilations[1], g.pads[0], g.pads[1]});
  run_counting(kernels()->depthwise_conv_items(d), [&](int64_t item) { kernels()->depthwise_conv(d, item); }, what);
  expect_close(plain_depthwise_conv(d), y.data, 1e-5, what);
}

}  // namespace edgevision::driver
