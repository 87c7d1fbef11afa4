// Global response normalization, with the GELU before it.
//
//   g = gelu(x) or x;  n[c] = ||g[c]||;  y[c] = (gamma[c] n[c] / (mean n + epsilon) + 1) g[c]
//
// Two walks over the map, a channel a work item: the first leaves g in y and the norm in `factors`, the second scales.
// Between them `factor` turns the norms of one image into factors.
#pragma once

#include <cmath>

#include "kernels.h"
#include "vector_math.h"

namespace edgevision {

template <class V>
class ResponseNormKernel {
 public:
  static void measure(const ResponseNorm& n, int64_t channel) {
    const float* x = n.x + channel * n.pixels;
    float* y = n.y + channel * n.pixels;
    n.factors[channel] = n.gelu ? measure<true>(x, y, n.pixels) : measure<false>(x, y, n.pixels);
  }

  static void factor(const ResponseNorm& n, int64_t image) {
    float* factors = n.factors + image * n.channels;
    double sum = 0;
    for (int64_t c = 0; c < n.channels; ++c) sum += static_cast<double>(factors[c]);
    const float mean = static_cast<float>(sum / static_cast<double>(n.channels));
    for (int64_t c = 0; c < n.channels; ++c) factors[c] = n.gamma[c] * (factors[c] / (mean + n.epsilon)) + 1.0f;
  }

  static void scale(const ResponseNorm& n, int64_t channel) {
    const F by = V::set(n.factors[channel]);
    float* y = n.y + channel * n.pixels;
    int64_t i = 0;
    for (; i + W <= n.pixels; i += W) V::store(y + i, by * V::load(y + i));
    if (i < n.pixels) V::store(y + i, by * V::load(y + i, n.pixels - i), n.pixels - i);
  }

 private:
  using F = typename V::F;
  static constexpr int W = V::kLanes, kSums = 4;

  // Several sums at once: each is a chain of dependent multiply-adds, and each loses fewer digits than one would.
  template <bool Gelu>
  static float measure(const float* x, float* y, int64_t pixels) {
    F sums[kSums];
    for (F& sum : sums) sum = V::set(0.0f);
    int64_t i = 0;
    for (; i + kSums * W <= pixels; i += kSums * W)
      for (int k = 0; k < kSums; ++k) {
        const F g = activation<Gelu>(V::load(x + i + k * W));
        V::store(y + i + k * W, g);
        sums[k] = V::fma(g, g, sums[k]);
      }
    for (; i < pixels; i += W) {
      const F g = activation<Gelu>(V::load(x + i, pixels - i));
      V::store(y + i, g, pixels - i);
      sums[0] = V::fma(g, g, sums[0]);
    }
    alignas(64) float lanes[W];
    V::store(lanes, (sums[0] + sums[1]) + (sums[2] + sums[3]));
    float total = 0;
    for (float lane : lanes) total += lane;
    return std::sqrt(total);
  }

  template <bool Gelu>
  static F activation(F x) {
    return Gelu ? Math<V>::gelu(x) : x;
  }
};

}  // namespace edgevision
