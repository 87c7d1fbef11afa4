// Layer norm over the channels of [batch, groups * channels, pixels], with neighbouring pixels on the lanes.
//
//   v = sum_g x[g];  y[c] = ((v[c] - mean v) / sqrt(var v + epsilon) * weight[c] + bias[c]) * silu(z[c])
//
// A work item is a column of pixels through all channels. Its channels lie far apart in memory but its vectors are whole
// ones, so no layout is changed and back. Three walks (sum, variance, scale) over what the first one leaves in y: the
// variance of the differences from the mean keeps its digits where the mean is large.
#pragma once

#include "kernels.h"
#include "vector_math.h"

namespace edgevision {

template <class V>
class ChannelNormKernel {
 public:
  static int64_t items(const ChannelNorm& n) { return n.batch * columns(n); }

  static void run(const ChannelNorm& n, int64_t index) {
    const int64_t b = index / columns(n), start = index % columns(n) * W * kVectors;
    const float* x = n.x + b * n.groups * n.channels * n.pixels + start;
    const float* z = n.z ? n.z + b * n.channels * n.pixels + start : nullptr;
    float* y = n.y + b * n.channels * n.pixels + start;
    for (int64_t v = 0; v < kVectors && start + v * W < n.pixels; ++v) {
      const int64_t count = n.pixels - start - v * W;
      const float* gate = z ? z + v * W : nullptr;
      if (count >= W)
        column<true>(n, x + v * W, gate, y + v * W, W);
      else
        column<false>(n, x + v * W, gate, y + v * W, count);
    }
  }

 private:
  using F = typename V::F;
  static constexpr int W = V::kLanes;
  static constexpr int kVectors = W >= 16 ? 1 : 4;  // a cache line at a time

  static int64_t columns(const ChannelNorm& n) { return (n.pixels + W * kVectors - 1) / (W * kVectors); }

  template <bool Whole>
  static F load(const float* p, int64_t count) {
    if constexpr (Whole) return V::load(p);
    return V::load(p, count);
  }
  template <bool Whole>
  static void store(float* p, F x, int64_t count) {
    if constexpr (Whole)
      V::store(p, x);
    else
      V::store(p, x, count);
  }

  template <bool Whole>
  static void column(const ChannelNorm& n, const float* x, const float* z, float* y, int64_t count) {
    const F share = V::set(1.0f / static_cast<float>(n.channels));
    const F mean = total<Whole>(n, x, y, count) * share;
    F squares = V::set(0.0f);
    for (int64_t c = 0; c < n.channels; ++c) {
      const F apart = load<Whole>(y + c * n.pixels, count) - mean;
      squares = V::fma(apart, apart, squares);
    }
    const F scale = V::set(1.0f) / V::sqrt(V::fma(squares, share, V::set(n.epsilon)));
    for (int64_t c = 0; c < n.channels; ++c) {
      const F unit = (load<Whole>(y + c * n.pixels, count) - mean) * scale;
      F result = V::fma(unit, V::set(n.weight[c]), V::set(n.bias[c]));
      if (z) result = result * Math<V>::silu(load<Whole>(z + c * n.pixels, count));
      store<Whole>(y + c * n.pixels, result, count);
    }
  }

  // Leaves the sum over groups in y and returns its sum over channels.
  template <bool Whole>
  static F total(const ChannelNorm& n, const float* x, float* y, int64_t count) {
    F sum = V::set(0.0f);
    for (int64_t c = 0; c < n.channels; ++c) {
      F value = load<Whole>(x + c * n.pixels, count);
      for (int64_t g = 1; g < n.groups; ++g)
        value = value + load<Whole>(x + (g * n.channels + c) * n.pixels, count);
      store<Whole>(y + c * n.pixels, value, count);
      sum = sum + value;
    }
    return sum;
  }
};

}  // namespace edgevision
