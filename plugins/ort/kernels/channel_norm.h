// Layer norm over the channels of [batch, groups * channels, pixels], with neighbouring pixels on the lanes.
//
//   v = sum_g x[g];  y[c] = ((v[c] - mean v) / sqrt(var v + epsilon) * weight[c] + bias[c]) * silu(z[c])
//
// A work item is a strip of pixels through all channels, a few cache lines wide: channels lie far apart, often by a power
// of two, and a strip of one line would meet the same cache set at every one. Strips are as equal as vectors allow, and
// two where there are enough pixels, for two threads. Three walks (sum, variance, scale) over what the first leaves in y:
// the variance of differences from the mean keeps its digits where the mean is large.
// Lone pixels are rows of channels side by side, which is how maps look channels last: there channels are on the lanes.
#pragma once

#include "kernels.h"
#include "vector_math.h"

namespace edgevision {

template <class V>
class ChannelNormKernel {
 public:
  static int64_t items(const ChannelNorm& n) {
    return in_rows(n) ? (n.batch + kRows - 1) / kRows : n.batch * strips(n);
  }

  static void run(const ChannelNorm& n, int64_t index) {
    if (in_rows(n)) {
      for (int64_t row = index * kRows; row < (index + 1) * kRows && row < n.batch; ++row)
        norm_row(n, n.x + row * n.channels, n.y + row * n.channels);
      return;
    }
    const int64_t b = index / strips(n), start = index % strips(n) * width(n);
    Strip s;
    s.x = n.x + b * n.groups * n.channels * n.pixels + start;
    s.z = n.z ? n.z + b * n.channels * n.pixels + start : nullptr;
    s.y = n.y + b * n.channels * n.pixels + start;
    const int64_t left = n.pixels - start < width(n) ? n.pixels - start : width(n);
    if (left == kPixels)
      walk(n, s, Whole<kVectors>{});
    else if (left == kPixels * 3 / 4)
      walk(n, s, Whole<kVectors * 3 / 4>{});
    else if (left == kPixels / 2)
      walk(n, s, Whole<kVectors / 2>{});
    else
      walk(n, s, Part{left});
  }

 private:
  using F = typename V::F;
  static constexpr int W = V::kLanes;
  static constexpr int kPixels = 64, kVectors = kPixels / W, kRows = 64;

  struct Strip {
    const float *x, *z;
    float* y;
  };

  // How the vectors of a strip are read and written: whole ones, whose number the compiler knows (a third of the time),
  // or as many pixels as are left.
  template <int kCount>
  struct Whole {
    F load(const float* p, int v) const { return V::load(p + v * W); }
    void store(float* p, int v, F x) const { V::store(p + v * W, x); }
    int vectors() const { return kCount; }
  };
  struct Part {
    int64_t left;
    F load(const float* p, int v) const { return V::load(p + v * W, left - v * W); }
    void store(float* p, int v, F x) const { V::store(p + v * W, x, left - v * W); }
    int vectors() const { return static_cast<int>((left + W - 1) / W); }
  };

  static int64_t width(const ChannelNorm& n) {
    const int64_t whole = (n.pixels + kPixels - 1) / kPixels, count = whole == 1 && n.pixels > kPixels / 2 ? 2 : whole;
    const int64_t even = count ? (n.pixels + count - 1) / count : 1;
    return (even + W - 1) / W * W;
  }
  static int64_t strips(const ChannelNorm& n) { return (n.pixels + width(n) - 1) / width(n); }

  static bool in_rows(const ChannelNorm& n) { return n.pixels == 1 && n.groups == 1 && !n.z; }

  static void norm_row(const ChannelNorm& n, const float* x, float* y) {
    F sum = V::set(0.0f), squares = V::set(0.0f);
    for (int64_t c = 0; c < n.channels; c += W) sum = sum + V::load(x + c, n.channels - c);
    const F share = V::set(1.0f / static_cast<float>(n.channels)), mean = total(sum) * share;
    for (int64_t c = 0; c < n.channels; c += W) {
      V::store(y + c, V::load(x + c, n.channels - c) - mean, n.channels - c);
      const F apart = V::load(y + c, n.channels - c);  // read back: zero in the lanes behind the last channel
      squares = V::fma(apart, apart, squares);
    }
    const F scale = V::set(1.0f) / V::sqrt(V::fma(total(squares), share, V::set(n.epsilon)));
    for (int64_t c = 0; c < n.channels; c += W) {
      const int64_t left = n.channels - c;
      V::store(y + c, V::fma(V::load(y + c, left) * scale, V::load(n.weight + c, left), V::load(n.bias + c, left)), left);
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

  template <class Access>
  static void walk(const ChannelNorm& n, const Strip& s, Access at) {
    const int vectors = at.vectors();
    F mean[kVectors], scale[kVectors];
    for (int v = 0; v < vectors; ++v) mean[v] = scale[v] = V::set(0.0f);
    for (int64_t c = 0; c < n.channels; ++c) {
      for (int v = 0; v < vectors; ++v) {
        F value = at.load(s.x + c * n.pixels, v);
        for (int64_t g = 1; g < n.groups; ++g) value = value + at.load(s.x + (g * n.channels + c) * n.pixels, v);
        at.store(s.y + c * n.pixels, v, value);
        mean[v] = mean[v] + value;
      }
    }
    const F share = V::set(1.0f / static_cast<float>(n.channels));
    for (int v = 0; v < vectors; ++v) mean[v] = mean[v] * share;
    for (int64_t c = 0; c < n.channels; ++c) {
      for (int v = 0; v < vectors; ++v) {
        const F apart = at.load(s.y + c * n.pixels, v) - mean[v];
        scale[v] = V::fma(apart, apart, scale[v]);
      }
    }
    for (int v = 0; v < vectors; ++v)
      scale[v] = V::set(1.0f) / V::sqrt(V::fma(scale[v], share, V::set(n.epsilon)));
    for (int64_t c = 0; c < n.channels; ++c) {
      const F weight = V::set(n.weight[c]), bias = V::set(n.bias[c]);
      for (int v = 0; v < vectors; ++v) {
        F result = V::fma((at.load(s.y + c * n.pixels, v) - mean[v]) * scale[v], weight, bias);
        if (s.z) result = result * Math<V>::silu(at.load(s.z + c * n.pixels, v));
        at.store(s.y + c * n.pixels, v, result);
      }
    }
  }
};

}  // namespace edgevision
