// Random convolutions with packed power-of-two weights, against the definition: one output and one tap after the other.
#include "check.h"

namespace edgevision::driver {
namespace {

// The input under a tap; 0 in the pads.
float under(const ShiftConv& s, int64_t image, int64_t channel, int64_t y, int64_t x) {
  if (y < 0 || y >= s.height || x < 0 || x >= s.width) return 0;
  return s.x[((image * s.groups * s.channels + channel) * s.height + y) * s.width + x];
}

double plain_output(const ShiftConv& s, int64_t image, int64_t output, int64_t row, int64_t column) {
  const ShiftLinear& l = s.layer;
  const bool integer = l.activations == ShiftLinear::Activations::kInteger;
  const bool fixed = l.activations == ShiftLinear::Activations::kFixed;
  double sum = 0;
  int64_t whole = l.bias && !l.scale && integer ? ShiftLinear::units(l.bias[output]) : 0, k = 0;
  for (int64_t c = 0; c < s.channels; ++c)
    for (int64_t i = 0; i < s.kernel[0]; ++i)
      for (int64_t j = 0; j < s.kernel[1]; ++j, ++k) {
        const int code = ShiftLinear::code_at(l.packed + output * l.bytes, l.bytes, l.codes->width, k);
        const float x = under(s, image, output / l.outputs * s.channels + c,
                              row * s.strides[0] + i * s.dilations[0] - s.before[0],
                              column * s.strides[1] + j * s.dilations[1] - s.before[1]);
        whole += integer ? shifted(*l.codes, code, ShiftLinear::units(x)) : 0;
        sum += static_cast<double>(l.codes->value[code]) * (fixed ? ShiftLinear::floored(x) : x);
      }
  if (integer) sum = static_cast<double>(static_cast<int32_t>(static_cast<uint32_t>(whole))) / ShiftLinear::kOne;
  const float bias = !l.bias || (integer && !l.scale) ? 0 : l.bias[output];
  return sum * (l.scale ? l.scale[output] : 1.0) + (integer || fixed ? ShiftLinear::floored(bias) : bias);
}

}  // namespace

void fuzz_shift_conv(Random& random) {
  const char* const forms[] = {"ps", "q", "q_nonzero", "apot"};
  const ShiftCodes codes = plan_shift_codes("driver", forms[random.pick(0, 3)], random.pick(2, 8));
  const int64_t group = random.pick(1, 3), channels = random.pick(1, 4), outputs = group * random.pick(1, 5);
  const auto few = [&](int64_t low, int64_t high) { return std::vector<int64_t>{random.pick(low, high), random.pick(low, high)}; };
  ConvGeometry g{few(1, 3), few(1, 3), few(0, 2), few(1, 2), group};
  for (size_t i = 0; i < 2; ++i) g.pads.push_back(random.pick(0, 2));
  const Shape x_shape{random.pick(0, 2), group * channels, random.pick(5, 9), random.pick(5, 20)}, vector{outputs}, none;
  const bool scaled = random.flip(), biased = random.flip();
  const Shape packed_shape{outputs, (channels * g.kernel[0] * g.kernel[1] + 7) / 8 * codes.width};
  Shape out;
  ShiftConv s = plan_shift_conv({x_shape, packed_shape, scaled ? vector : none, biased ? vector : none}, g, codes.width, out);
  ShiftLinear& layer = s.layer;
  layer.activations = static_cast<ShiftLinear::Activations>(random.pick(0, 2));
  layer.codes = &codes;
  // As a large map is: in several parts, of rows or of groups.
  const int64_t rows = random.flip() ? layer.rows : std::max<int64_t>(1, layer.rows / 3);
  const int64_t groups = rows < s.plane ? 1 : random.pick(1, s.some_groups);
  layer.rows = rows, s.some_groups = groups;

  const Buffer x(x_shape, random, 4), scale(scaled ? vector : none, random), bias(biased ? vector : none, random);
  const Buffer y(out, random, 1, 1e3f);
  std::vector<uint8_t> packed(static_cast<size_t>(outputs * layer.bytes));
  for (uint8_t& byte : packed) byte = static_cast<uint8_t>(random.pick(0, 255));
  std::vector<int32_t> operands(static_cast<size_t>(s.operands())), special(static_cast<size_t>(groups * rows));
  s.x = x.data, layer.scale = scale.data, layer.bias = bias.data, layer.y = y.data;
  layer.packed = packed.data(), layer.operands = operands.data(), layer.special = special.data();

  const std::string what = describe("shift conv of images x channels x height x width", {x_shape[0], x_shape[1], x_shape[2], x_shape[3]});
  for (s.image = 0; s.image < s.images; ++s.image)
    for (s.first_group = 0; s.first_group < s.groups; s.first_group += groups)
      for (s.first_row = 0; s.first_row < s.plane; s.first_row += rows) {
        s.some_groups = std::min(groups, s.groups - s.first_group);
        layer.rows = std::min(rows, s.plane - s.first_row);
        run_counting(s.some_groups * layer.rows, [&](int64_t row) { kernels()->shift_conv_prepare(s, row); }, what);
        run_counting(kernels()->shift_conv_items(s), [&](int64_t item) { kernels()->shift_conv(s, item); }, what);
      }
  std::vector<double> wanted;
  for (int64_t image = 0; image < s.images; ++image)
    for (int64_t output = 0; output < outputs; ++output)
      for (int64_t position = 0; position < s.plane; ++position)
        wanted.push_back(plain_output(s, image, output, position / s.columns, position % s.columns));
  expect_close(wanted, y.data, 2e-5, what);
}

}  // namespace edgevision::driver
