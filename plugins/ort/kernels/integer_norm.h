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
    for (int64_t row = first; row < end; ++row) {
      const uint8_t* x = n.x + row * n.channels;
      uint8_t* y = n.y + row * n.channels;
      n.is_signed ? norm_row<true>(n, x, y) : norm_row<false>(n, x, y);
    }
  }

 private:
  using F = typename V::F;
  static constexpr int W = V::kLanes;

  template <bool kSigned>
  static void norm_row(const IntegerNorm& n, const uint8_t* x, uint8_t* y) {
    const int64_t whole = n.channels / W * W, rest = n.channels - whole;
    F sum = V::set(0.0f), squares = V::set(0.0f);
    for (int64_t c = 0; c < whole; c += W) sum = sum + V::template bytes<kSigned>(x + c);
    if (rest) sum = sum + V::template bytes<kSigned>(x + whole, rest);
    const F share = V::set(1.0f / static_cast<float>(n.channels)), mean = total(sum) * share;
    const F least = V::set(kSigned ? -128.0f : 0.0f), most = V::set(kSigned ? 127.0f : 255.0f);
    for (int64_t c = 0; c < whole; c += W) {
      const F apart = V::template bytes<kSigned>(x + c) - mean;
      squares = V::fma(apart, apart, squares);
    }
    if (rest) {
      F apart = V::template bytes<kSigned>(x + whole, rest) - mean;
      apart = V::leading(apart, rest);
      squares = V::fma(apart, apart, squares);
    }
    const F scale = V::set(1.0f) / V::sqrt(V::fma(total(squares), share, V::set(n.epsilon)));
    for (int64_t c = 0; c < n.channels; c += W) {
      const int64_t left = n.channels - c;
      const F apart = (V::template bytes<kSigned>(x + c, left) - mean) * scale;
      const F result = V::fma(apart, V::load(n.weight + c, left), V::load(n.bias + c, left));
      V::store_bytes(y + c, V::min(most, V::max(least, result)), left);
    }
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
