// Sizes of convolutions with a geometry of ONNX's, and of the depthwise one.
#include "plan.h"

namespace edgevision {

void check_geometry(const Checker& check, const ConvGeometry& g) {
  const struct {
    const char* name;
    const std::vector<int64_t>& values;
    size_t count;
    int64_t least;
  } all[] = {{"kernel_shape", g.kernel, 2, 1}, {"strides", g.strides, 2, 1}, {"pads", g.pads, 4, 0}, {"dilations", g.dilations, 2, 1}};
  for (const auto& one : all) {
    if (one.values.size() != one.count)
      check.fail(one.name, "has " + std::to_string(one.values.size()) + " values; it must have " + std::to_string(one.count));
    for (int64_t value : one.values)
      if (value < one.least || value > INT32_MAX)
        check.fail(one.name, "has " + std::to_string(value) + " in it; it must be from " + std::to_string(one.least) + " up");
  }
  if (g.group < 1 || g.group > INT32_MAX) check.fail("group", "is " + std::to_string(g.group) + "; it must be from 1 up");
}

Shape convolved_size(const Checker& check, const Shape& x, const ConvGeometry& g) {
  Shape size{0, 0};
  for (size_t i = 0; i < 2; ++i) {
    const int64_t room = x[2 + i] + g.pads[i] + g.pads[2 + i] - g.dilations[i] * (g.kernel[i] - 1) - 1;
    if (room < 0) check.fail("x", "has shape " + to_string(x) + ", which is smaller than the kernel with its pads");
    size.dims[i] = room / g.strides[i] + 1;
  }
  return size;
}

DepthwiseConv plan_depthwise_conv(const Shape& x, const Shape& weight, const Shape& bias, ConvGeometry g, Shape& out) {
  const Checker check("EvDepthwiseConv");
  check.rank("x", x, 4, "[batch, channels, height, width]");
  check.rank("weight", weight, 4, "[channels, 1, rows, columns]");
  g.kernel = {weight[2], weight[3]};
  check_geometry(check, g);
  check.dims("weight", weight, {x[1], 1, weight[2], weight[3]}, "[channels, 1, rows, columns]");
  if (bias.present) check.dims("bias", bias, {x[1]}, "[channels]");
  const Shape size = convolved_size(check, x, g);
  out = x;
  out.dims[2] = size[0], out.dims[3] = size[1];
  check.size("y", out);
  DepthwiseConv conv{};
  conv.batch = x[0], conv.channels = x[1], conv.height = x[2], conv.width = x[3];
  conv.rows = size[0], conv.columns = size[1];
  for (size_t i = 0; i < 2; ++i) {
    conv.kernel[i] = g.kernel[i], conv.strides[i] = g.strides[i], conv.dilations[i] = g.dilations[i];
    conv.before[i] = g.pads[i];
  }
  if (weight[2] * weight[3] > DepthwiseConv::kMostTaps || !conv.choose_tile())
    check.fail("weight", "has shape " + to_string(weight) + ", which is too large for this kernel with its dilations");
  return conv;
}

}  // namespace edgevision
