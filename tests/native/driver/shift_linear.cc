// Random layers of packed power-of-two weights, against products in double and, for integers, shifts in 64 bits.
#include "check.h"

namespace edgevision::driver {

int64_t shifted(const ShiftCodes& codes, int code, int64_t x) {
  int64_t sum = 0;
  for (const auto& shift : codes.shift)
    if (shift[code] != ShiftCodes::kNone) sum += (codes.negative[code] ? -1 : 1) * (x >> std::min<int>(shift[code], 63));
  return sum;
}

namespace {

std::vector<double> plain_shift_linear(const ShiftLinear& s) {
  const bool integer = s.activations == ShiftLinear::Activations::kInteger;
  const bool fixed = s.activations == ShiftLinear::Activations::kFixed;
  std::vector<double> y;
  for (int64_t row = 0; row < s.rows; ++row)
    for (int64_t o = 0; o < s.outputs; ++o) {
      double sum = 0;
      int64_t whole = s.bias && !s.scale && integer ? ShiftLinear::units(s.bias[o]) : 0;
      for (int64_t k = 0; k < s.inputs; ++k) {
        const int code = ShiftLinear::code_at(s.packed + o * s.bytes, s.bytes, s.codes->width, k);
        const float x = s.x[row * s.inputs + k];
        whole += integer ? shifted(*s.codes, code, ShiftLinear::units(x)) : 0;
        sum += static_cast<double>(s.codes->value[code]) * (fixed ? ShiftLinear::floored(x) : x);
      }
      if (integer) sum = static_cast<double>(static_cast<int32_t>(static_cast<uint32_t>(whole))) / ShiftLinear::kOne;
      const double bias = !s.bias || (integer && !s.scale) ? 0 : integer || fixed ? ShiftLinear::floored(s.bias[o]) : s.bias[o];
      y.push_back(sum * (s.scale ? s.scale[o] : 1.0) + bias);
    }
  return y;
}

}  // namespace

void fuzz_shift_linear(Random& random) {
  const char* const forms[] = {"ps", "q", "q_nonzero", "apot"};
  const ShiftCodes codes = plan_shift_codes("driver", forms[random.pick(0, 3)], random.pick(2, 8));
  const int64_t rows = random.pick(0, 5), inputs = random.pick(0, 3) ? random.pick(0, 40) : random.pick(500, 1100),
                outputs = random.pick(0, 4) ? random.pick(2, 9) : 0;
  const Shape x_shape{rows, inputs}, vector{outputs}, none;
  const bool scaled = random.flip(), biased = random.flip();
  const Shape packed_shape{outputs, (inputs + 7) / 8 * codes.width};
  Shape out;
  ShiftLinear s =
      plan_shift_linear({x_shape, packed_shape, scaled ? vector : none, biased ? vector : none}, codes.width, out);
  s.activations = static_cast<ShiftLinear::Activations>(random.pick(0, 2));
  s.codes = &codes;

  const Buffer x(x_shape, random, 4), scale(scaled ? vector : none, random), bias(biased ? vector : none, random);
  const Buffer y(out, random, 1, 1e3f);
  std::vector<uint8_t> packed(static_cast<size_t>(outputs * s.bytes));
  for (uint8_t& byte : packed) byte = static_cast<uint8_t>(random.pick(0, 255));
  std::vector<int32_t> operands(static_cast<size_t>(rows * ShiftLinear::padded(inputs))), special(static_cast<size_t>(rows));
  s.x = x.data, s.scale = scale.data, s.bias = bias.data, s.y = y.data;
  s.packed = packed.data(), s.operands = operands.data(), s.special = special.data();

  const std::string what = describe("shift linear of rows x inputs x outputs", {rows, inputs, outputs});
  run_counting(rows, [&](int64_t row) { kernels()->shift_linear_prepare(s, row); }, what);
  run_counting(kernels()->shift_linear_items(s), [&](int64_t item) { kernels()->shift_linear(s, item); }, what);
  expect_close(plain_shift_linear(s), y.data, 2e-5, what);
}

}  // namespace edgevision::driver
