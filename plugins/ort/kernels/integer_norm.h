// Layer norm over rows of bytes, channels on the lanes, in three walks (sum, variance, result) over the row in its 8 bits.
//
// A norm takes any shift and scale of its argument out again, so the integers serve as they are: there is no zero point and
// no scale, and what the result is quantized with lies in weight and bias.
#pragma once

#include "kernels.h"

namespace edgevision {

template <class V>
class IntegerNormKernel {
 public:
  static void run(const IntegerNorm& n, int64_t item) {
    const int64_t first = item * IntegerNorm::kRows, left = n.rows - first;
    const int64_t end = first + (left < IntegerNorm::kRows ? left : IntegerNorm::kRows);
    for (int64_t row = first; row < end; row += W) {
      const int rows = static_cast<int>(end - row < W ? end - row : W);
      n.is_signed ? norm_rows<true>(n, row, rows) : norm_rows<false>(n, row, rows);
    }
  }

 private:
  using F = typename V::F;
  static constexpr int W = V::kLanes;

  // As many rows as there are lanes: their square roots and divisions are made at once.
  template <bool kSigned>
  static void norm_rows(const IntegerNorm& n, int64_t first, int rows) {
    const F share = V::set(1.0f / static_cast<float>(n.channels));
    float means[W], scales[W];
    for (int r = 0; r < rows; ++r) {
      const uint8_t* x = n.x + (first + r) * n.channels;
      const F mean = total(sum<kSigned>(x, n.channels)) * share;
      V::store(means + r, mean, 1);
      V::store(scales + r, total(squares<kSigned>(x, n.channels, mean)) * share, 1);
    }
    V::store(scales, V::set(1.0f) / V::sqrt(V::load(scales, rows) + V::set(n.epsilon)), rows);
    for (int r = 0; r < rows; ++r)
      write<kSigned>(n, (first + r) * n.channels, V::set(means[r]), V::set(scales[r]));
  }

  template <bool kSigned>
  static F sum(const uint8_t* x, int64_t channels) {
    F result = V::set(0.0f);
    int64_t c = 0;
    for (; c + W <= channels; c += W) result = result + V::template bytes<kSigned>(x + c);
    return c < channels ? result + V::template bytes<kSigned>(x + c, channels - c) : result;
  }

  template <bool kSigned>
  static F squares(const uint8_t* x, int64_t channels, F mean) {
    F result = V::set(0.0f);
    int64_t c = 0;
    for (; c + W <= channels; c += W) {
      const F apart = V::template bytes<kSigned>(x + c) - mean;
      result = V::fma(apart, apart, result);
    }
    if (c == channels) return result;
    const F apart = V::leading(V::template bytes<kSigned>(x + c, channels - c) - mean, channels - c);
    return V::fma(apart, apart, result);
  }

  template <bool kSigned>
  static void write(const IntegerNorm& n, int64_t at, F mean, F scale) {
    const F least = V::set(kSigned ? -128.0f : 0.0f), most = V::set(kSigned ? 127.0f : 255.0f);
    const auto bounded = [&](F x, F weight, F bias) {
      return V::min(most, V::max(least, V::fma((x - mean) * scale, weight, bias)));
    };
    const uint8_t* x = n.x + at;
    uint8_t* y = n.y + at;
    int64_t c = 0;
    for (; c + W <= n.channels; c += W)
      V::store_bytes(y + c, bounded(V::template bytes<kSigned>(x + c), V::load(n.weight + c), V::load(n.bias + c)), W);
    const int64_t left = n.channels - c;
    if (left == 0) return;
    const F x_left = V::template bytes<kSigned>(x + c, left);
    V::store_bytes(y + c, bounded(x_left, V::load(n.weight + c, left), V::load(n.bias + c, left)), left);
  }

  // The sum of all lanes, in each of them.
  static F total(F x) {
    for (int lanes = W; lanes > 1; lanes /= 2) {
      F even, odd;
      V::deinterleave(x, x, even, odd);
      x = even + odd;
    }
    return x;
  }
};

}  // namespace edgevision
