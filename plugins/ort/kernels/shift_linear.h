// A linear layer whose weights are packed powers of two: no product is ever formed.
//
//   float    x 2^-s: s taken from the exponent of x, the sign bit flipped for a negative weight, in one integer addition;
//            0 where the exponent runs out below (denormal numbers count as 0)
//   integer  x >> s, rounded down, negated for a negative weight; sums wrap around in 32 bits
//
// `prepare` makes rows of 32-bit operands, filled up to whole vectors. A work item of `run` is a few outputs: it unpacks
// a chunk of their codes into a tile and takes all rows past it, inputs on the lanes.
#pragma once

#include <cmath>
#include <cstring>

#include "kernels.h"

namespace edgevision {

template <class V>
class ShiftLinearKernel {
 public:
  static int64_t items(const ShiftLinear& s) { return (s.outputs + kOutputs - 1) / kOutputs; }

  static void prepare(const ShiftLinear& s, int64_t row) {
    const float* x = s.x + row * s.inputs;
    prepare(s, row, [&x] { return *x++; });
  }

  // `next` gives one input of the row after the other.
  template <class Next>
  static void prepare(const ShiftLinear& s, int64_t row, Next&& next) {
    int32_t* operand = s.operands + row * ShiftLinear::padded(s.inputs);
    bool special = false;
    for (int64_t k = 0; k < s.inputs; ++k) {
      const float x = next();
      if (s.activations == ShiftLinear::Activations::kInteger) {
        operand[k] = ShiftLinear::units(x);
        continue;
      }
      const float value = s.activations == ShiftLinear::Activations::kFixed ? ShiftLinear::floored(x) : x;
      std::memcpy(operand + k, &value, sizeof value);
      special |= !std::isfinite(value);
    }
    for (int64_t k = s.inputs; k < ShiftLinear::padded(s.inputs); ++k) operand[k] = 0;
    s.special[row] = special;
  }

  static void run(const ShiftLinear& s, int64_t item) {
    if (s.activations == ShiftLinear::Activations::kInteger)
      s.codes->two_terms ? outputs<Integer, 2>(s, item) : outputs<Integer, 1>(s, item);
    else
      s.codes->two_terms ? outputs<Float, 2>(s, item) : outputs<Float, 1>(s, item);
  }

 private:
  static constexpr int W = V::kLanes;
  static constexpr int64_t kOutputs = 4, kChunk = 512, kRows = 2;
  typedef int32_t I __attribute__((vector_size(W * sizeof(int32_t))));
  typedef uint32_t U __attribute__((vector_size(W * sizeof(int32_t))));
  typedef float F __attribute__((vector_size(W * sizeof(int32_t))));

  template <class T>
  static T load(const void* p) {
    T v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }

  // One term of a weight for each input of a chunk, ready to meet the operands of a row.
  struct Float {
    using Sum = F;
    using Total = float;
    int32_t addend[kChunk];  // what turns x into sign x 2^-s
    int32_t least[kChunk];   // the least |x| whose exponent stands that, as bits

    void set(int64_t k, int shift, bool negative) {
      addend[k] = static_cast<int32_t>((negative ? 0x80000000u : 0u) - (static_cast<uint32_t>(shift) << 23));
      least[k] = (shift + 1) << 23;
    }
    void clear(int64_t k) { addend[k] = 0, least[k] = INT32_MAX; }
    Sum add(Sum sum, I x, int64_t k) const {
      const I fits = (x & 0x7fffffff) >= load<I>(least + k);
      return sum + reinterpret_cast<F>(reinterpret_cast<I>(reinterpret_cast<U>(x) + load<U>(addend + k)) & fits);
    }
  };

  struct Integer {
    using Sum = U;
    using Total = uint32_t;
    int32_t shift[kChunk], sign[kChunk], kept[kChunk];  // sign, kept: 0 or all bits

    void set(int64_t k, int by, bool negative) {
      shift[k] = by < 31 ? by : 31;
      sign[k] = negative ? -1 : 0;
      kept[k] = -1;
    }
    void clear(int64_t k) { shift[k] = sign[k] = kept[k] = 0; }
    Sum add(Sum sum, I x, int64_t k) const {
      const U sign_k = load<U>(sign + k), shifted = reinterpret_cast<U>(x >> load<I>(shift + k));
      return sum + (((shifted ^ sign_k) - sign_k) & load<U>(kept + k));
    }
  };

  template <class Arithmetic, int Terms>
  static void outputs(const ShiftLinear& s, int64_t item) {
    const int64_t first = item * kOutputs, count = s.outputs - first < kOutputs ? s.outputs - first : kOutputs;
    Arithmetic tile[kOutputs][Terms];
    for (int64_t start = 0; start == 0 || start < s.inputs; start += kChunk) {
      const int64_t filled = s.inputs - start < kChunk ? s.inputs - start : kChunk;
      for (int64_t o = 0; o < kOutputs; ++o) unpack<Arithmetic, Terms>(s, first + (o < count ? o : 0), start, filled, tile[o]);
      int64_t row = 0;
      for (; row + kRows <= s.rows; row += kRows) accumulate<Arithmetic, Terms, kRows>(s, tile, row, first, count, start, filled);
      for (; row < s.rows; ++row) accumulate<Arithmetic, Terms, 1>(s, tile, row, first, count, start, filled);
    }
    for (int64_t row = 0; row < s.rows; ++row)
      for (int64_t o = first; o < first + count; ++o) finish(s, row, o, static_cast<typename Arithmetic::Total*>(nullptr));
  }

  // Codes [start, start + filled) of one output; a code may begin in one byte and end in the next.
  template <class Arithmetic, int Terms>
  static void unpack(const ShiftLinear& s, int64_t output, int64_t start, int64_t filled, Arithmetic* terms) {
    const uint8_t* packed = s.packed + output * s.bytes;
    for (int64_t k = 0; k < ShiftLinear::padded(filled); ++k) {
      if (k >= filled) {
        for (int t = 0; t < Terms; ++t) terms[t].clear(k);
        continue;
      }
      const int code = ShiftLinear::code_at(packed, s.bytes, s.codes->width, start + k);
      for (int t = 0; t < Terms; ++t) {
        const int shift = s.codes->shift[t][code];
        shift == ShiftCodes::kNone ? terms[t].clear(k) : terms[t].set(k, shift, s.codes->negative[code]);
      }
    }
  }

  template <class Arithmetic, int Terms, int64_t Rows>
  static void accumulate(const ShiftLinear& s, const Arithmetic (&tile)[kOutputs][Terms], int64_t row, int64_t first,
                         int64_t count, int64_t start, int64_t filled) {
    using Sum = typename Arithmetic::Sum;
    using Total = typename Arithmetic::Total;
    const int64_t stride = ShiftLinear::padded(s.inputs);
    const int32_t* x = s.operands + row * stride + start;
    Sum sums[Rows][kOutputs] = {};
    for (int64_t k = 0; k < filled; k += W) {
      I operands[Rows];
      for (int64_t r = 0; r < Rows; ++r) operands[r] = load<I>(x + r * stride + k);
      for (int64_t o = 0; o < kOutputs; ++o)  // a weight is loaded once for all rows
        for (int t = 0; t < Terms; ++t)
          for (int64_t r = 0; r < Rows; ++r) sums[r][o] = tile[o][t].add(sums[r][o], operands[r], k);
    }
    for (int64_t r = 0; r < Rows; ++r)
      for (int64_t o = 0; o < count; ++o) {
        float* y = at(s, row + r, first + o);
        Total lanes[W], before = 0;
        std::memcpy(lanes, &sums[r][o], sizeof lanes);
        for (int half = W / 2; half > 0; half /= 2)
          for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
        if (start > 0) std::memcpy(&before, y, sizeof before);
        lanes[0] += before;
        std::memcpy(y, lanes, sizeof *y);
      }
  }

  static void finish(const ShiftLinear& s, int64_t row, int64_t output, float*) {
    float* y = at(s, row, output);
    if (s.special[row]) *y = multiplied(s, row, output);
    if (s.scale) *y *= s.scale[output];
    if (s.bias) *y += s.activations == ShiftLinear::Activations::kFixed ? ShiftLinear::floored(s.bias[output]) : s.bias[output];
  }

  static void finish(const ShiftLinear& s, int64_t row, int64_t output, uint32_t*) {
    float* y = at(s, row, output);
    uint32_t total;
    std::memcpy(&total, y, sizeof total);
    if (s.bias && !s.scale) total += static_cast<uint32_t>(ShiftLinear::units(s.bias[output]));
    *y = static_cast<float>(static_cast<int32_t>(total)) / ShiftLinear::kOne;
    if (s.scale) *y = *y * s.scale[output] + (s.bias ? ShiftLinear::floored(s.bias[output]) : 0.0f);
  }

  static float* at(const ShiftLinear& s, int64_t row, int64_t output) {
    return s.y + row * s.row_stride + output * s.output_stride;
  }

  // Infinities and NaN have no exponent to take from: their rows are multiplied out.
  static float multiplied(const ShiftLinear& s, int64_t row, int64_t output) {
    const int32_t* operand = s.operands + row * ShiftLinear::padded(s.inputs);
    float sum = 0;
    for (int64_t k = 0; k < s.inputs; ++k) {
      const int code = ShiftLinear::code_at(s.packed + output * s.bytes, s.bytes, s.codes->width, k);
      float value;
      std::memcpy(&value, operand + k, sizeof value);
      sum += s.codes->value[code] * value;
    }
    return sum;
  }
};

}  // namespace edgevision
