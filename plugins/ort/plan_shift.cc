// Sizes and code tables of the layers with packed power-of-two weights.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "plan.h"

namespace edgevision {
namespace {

// The shifts of the two terms of a magnitude's index, as edgevision/ops/shift_code.py defines them.
void apot_shifts(int bits, int index, int16_t& first, int16_t& second) {
  constexpr int kMost = 22;
  const int fine = (bits - 1) / 2, a = index >> fine, b = index & ((1 << fine) - 1);
  first = static_cast<int16_t>(a == 0 ? ShiftCodes::kNone : std::min(2 * (a - 1), kMost));
  second = static_cast<int16_t>(b == 0 ? ShiftCodes::kNone : 2 * (b - 1) + 1);
}

float power(int shift) { return shift == ShiftCodes::kNone ? 0.0f : std::ldexp(1.0f, -shift); }

}  // namespace

ShiftCodes plan_shift_codes(const char* op, const std::string& form, int64_t bits) {
  const Checker check(op);
  const bool apot = form == "apot", has_zero = form != "q_nonzero";
  if (!apot && form != "ps" && form != "q" && has_zero)
    check.fail("form", "is '" + form + "'; it must be ps, q, q_nonzero or apot");
  if (bits < 2 || bits > 8) check.fail("bits", "is " + std::to_string(bits) + "; it must be 2 to 8");
  const int greatest = std::min(126, (1 << (bits - 1)) - (form == "ps" ? 2 : 1));  // the greatest shift of ps and q
  ShiftCodes codes{};
  codes.two_terms = apot;
  codes.width = static_cast<int>(bits);
  if (!apot)
    for (codes.width = 1; (greatest + has_zero) >> (codes.width - 1); ++codes.width) {
    }
  for (int code = 0; code < 1 << codes.width; ++code) {
    const int index = code & ((1 << (codes.width - 1)) - 1), shift = index - has_zero;
    int16_t &first = codes.shift[0][code], &second = codes.shift[1][code];
    first = static_cast<int16_t>(shift < 0 || shift > greatest ? ShiftCodes::kNone : shift);
    second = ShiftCodes::kNone;
    if (apot) apot_shifts(codes.width, index, first, second);
    codes.negative[code] = code >> (codes.width - 1);
    codes.value[code] = (codes.negative[code] ? -1.0f : 1.0f) * (power(first) + power(second));
  }
  return codes;
}

ShiftLinear::Activations parse_activations(const char* op, const std::string& activations) {
  if (activations == "float") return ShiftLinear::Activations::kFloat;
  if (activations == "fixed") return ShiftLinear::Activations::kFixed;
  if (activations != "int32") Checker(op).fail("activations", "is '" + activations + "'; it must be float, fixed or int32");
  return ShiftLinear::Activations::kInteger;
}

ShiftLinear plan_shift_linear(const ShiftLinearShapes& s, int width, Shape& out) {
  const Checker check("EvShiftLinear");
  check.size("x", s.x);
  if (s.x.rank < 1) check.fail("x", "is a scalar; it must be [..., inputs]");
  check.rank("packed", s.packed, 2, "[outputs, bytes]");
  ShiftLinear layer{};
  layer.rows = 1;
  for (size_t i = 0; i + 1 < s.x.rank; ++i) layer.rows *= s.x[i];
  layer.inputs = s.x[s.x.rank - 1];
  layer.outputs = s.packed[0];
  layer.row_stride = layer.outputs;
  layer.output_stride = 1;
  layer.bytes = (layer.inputs + 7) / 8 * width;
  check.dims("packed", s.packed, {layer.outputs, layer.bytes}, "[outputs, ceil(inputs / 8) * bits of a code]");
  if (s.scale.present) check.dims("scale", s.scale, {layer.outputs}, "[outputs]");
  if (s.bias.present) check.dims("bias", s.bias, {layer.outputs}, "[outputs]");
  out = s.x;
  out.dims[out.rank - 1] = layer.outputs;
  check.size("y", out);
  if (layer.rows > 0) check.size("operands", {layer.rows, ShiftLinear::padded(layer.inputs) + 1});
  return layer;
}

ShiftConv plan_shift_conv(const ShiftLinearShapes& s, const ConvGeometry& g, int width, Shape& out) {
  const Checker check("EvShiftConv");
  check_geometry(check, g);
  check.rank("x", s.x, 4, "[batch, channels, height, width]");
  check.rank("packed", s.packed, 2, "[outputs, bytes]");
  const int64_t outputs = s.packed[0];
  if (s.x[1] % g.group || outputs % g.group)
    check.fail("group", "is " + std::to_string(g.group) + ", which does not divide the " + std::to_string(s.x[1]) +
                            " channels and " + std::to_string(outputs) + " outputs");
  ShiftConv conv{};
  conv.images = s.x[0], conv.groups = g.group, conv.channels = s.x[1] / g.group;
  conv.height = s.x[2], conv.width = s.x[3];
  out = s.x;
  out.dims[1] = outputs;
  const Shape size = convolved_size(check, s.x, g);
  for (size_t i = 0; i < 2; ++i) {
    conv.kernel[i] = g.kernel[i], conv.strides[i] = g.strides[i], conv.dilations[i] = g.dilations[i];
    conv.before[i] = g.pads[i];
    out.dims[2 + i] = size[i];
  }
  check.size("y", out);
  const Shape taps{conv.channels, g.kernel[0], g.kernel[1]};
  check.size("kernel", taps);
  conv.plane = out[2] * out[3], conv.columns = out[3];
  ShiftLinear& layer = conv.layer;
  layer.inputs = taps[0] * taps[1] * taps[2];
  layer.outputs = outputs / g.group;
  layer.bytes = (layer.inputs + 7) / 8 * width;
  layer.row_stride = 1;
  layer.output_stride = conv.plane;
  check.dims("packed", s.packed, {outputs, layer.bytes}, "[outputs, ceil(channels / group * kernel / 8) * bits of a code]");
  if (s.scale.present) check.dims("scale", s.scale, {outputs}, "[outputs]");
  if (s.bias.present) check.dims("bias", s.bias, {outputs}, "[outputs]");
  const int64_t row = ShiftLinear::padded(layer.inputs) + 1;
  layer.rows = std::min(conv.plane, std::max<int64_t>(1, ShiftConv::kMostOperands / row));
  conv.some_groups = layer.rows < conv.plane || conv.plane == 0
                         ? 1
                         : std::min(conv.groups, std::max<int64_t>(1, ShiftConv::kMostOperands / (layer.rows * row)));
  return conv;
}

}  // namespace edgevision
