// Global response normalization from bytes to bytes, channels last and on the lanes.
//
// What stands between the argument and the norm, its scale, its zero point and a GELU, is a table of 256 floats. Two walks:
// one adds up the squares of each channel, a block of channels at a time so that the sums stay in registers, one scales.
#pragma once

#include "kernels.h"

namespace edgevision {

template <class V>
class IntegerResponseNormKernel {
 public:
  static void measure(const IntegerResponseNorm& n, int64_t index) {
    const int64_t b = index / n.blocks(), first = index % n.blocks() * IntegerResponseNorm::kChannels;
    const int64_t left = n.channels - first, count = left < kChannels ? left : kChannels;
    const uint8_t* x = n.x + b * n.pixels * n.channels + first;
    const typename V::Floats table(n.table);
    F squares[kVectors];
    for (F& sum : squares) sum = V::set(0.0f);
    const auto add = [&](F g, F& sum) { sum = V::fma(g, g, sum); };
    for (int64_t p = 0; p < n.pixels; ++p, x += n.channels) {
      if (count == kChannels) {
        for (int v = 0; v < kVectors; ++v) add(table.of(x + v * W, W), squares[v]);
        continue;
      }
      for (int v = 0; v * W < count; ++v) add(table.of(x + v * W, count - v * W), squares[v]);
    }
    float* norms = n.factors + b * n.channels + first;
    for (int v = 0; v * W < count; ++v) V::store(norms + v * W, V::sqrt(squares[v]), count - v * W);
  }

  static void factor(const IntegerResponseNorm& n, int64_t b) {
    float* factors = n.factors + b * n.channels;
    float sum = 0;
    for (int64_t c = 0; c < n.channels; ++c) sum += factors[c];
    const float whole = sum / static_cast<float>(n.channels) + n.epsilon;
    for (int64_t c = 0; c < n.channels; ++c) factors[c] = (n.gamma[c] * factors[c] / whole + 1.0f) / n.scale;
  }

  static void scale(const IntegerResponseNorm& n, int64_t index) {
    const int64_t b = index / n.strips(), first = index % n.strips() * IntegerResponseNorm::kPixels;
    const int64_t left = n.pixels - first, count = left < IntegerResponseNorm::kPixels ? left : IntegerResponseNorm::kPixels;
    const uint8_t* x = n.x + (b * n.pixels + first) * n.channels;
    uint8_t* y = n.y + (b * n.pixels + first) * n.channels;
    const float* factors = n.factors + b * n.channels;
    const F zero = V::set(n.zero), least = V::set(n.is_signed ? -128.0f : 0.0f),
            most = V::set(n.is_signed ? 127.0f : 255.0f);
    const typename V::Floats table(n.table);
    const auto bounded = [&](F g, F factor) { return V::min(most, V::max(least, V::fma(g, factor, zero))); };
    for (int64_t p = 0; p < count; ++p, x += n.channels, y += n.channels) {
      int64_t c = 0;
      for (; c + W <= n.channels; c += W)
        V::store_bytes(y + c, bounded(table.of(x + c, W), V::load(factors + c)), W);
      const int64_t some = n.channels - c;
      if (some) V::store_bytes(y + c, bounded(table.of(x + c, some), V::load(factors + c, some)), some);
    }
  }

 private:
  using F = typename V::F;
  static constexpr int W = V::kLanes;
  static constexpr int64_t kChannels = IntegerResponseNorm::kChannels;
  static constexpr int kVectors = static_cast<int>(kChannels) / W;
};

}  // namespace edgevision
