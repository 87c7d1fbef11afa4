// One level of the two-dimensional wavelet transform and its inverse, with neighbouring columns on the lanes.
//
// Forward, in phase with PyWavelets (taps in cross-correlation order):
//   y[f, i, j] = sum_{m, n} w[f, m, n] x[2i - offset + m, 2j - offset + n]
// where offset = k - 2 in mode zero and k/2 - 1 in mode periodization, whose x is first made even by repeating its last
// sample and then wraps around. The inverse is the adjoint with the same offset:
//   x[p, q] = sum_{f, i, j} w[f, p + offset - 2i, q + offset - 2j] y[f, i, j].
// Taps of one parity meet inputs of one parity, so the loops run over pairs of taps: forward reads the even and the odd
// columns of a window apart, the inverse computes even and odd outputs apart and interleaves them. Small images are
// done by wavelet_block.h.
#pragma once

#include "kernels.h"

namespace edgevision {

// Which samples and coefficients meet, the same along rows and columns.
struct WaveletPhase {
  // Inverse outputs come in pairs that meet the same coefficients, the first with even taps and the second with odd
  // ones; an odd offset makes the first pair begin before the image. Pair i meets coefficients i + shift and before.
  int64_t offset, shift, begin;

  explicit WaveletPhase(const Wavelet& w)
      : offset(w.mode == Mode::kZero ? w.taps - 2 : w.taps / 2 - 1), shift(offset / 2), begin(-(offset & 1)) {}

  static inline int64_t modulo(int64_t i, int64_t period) {
    i %= period;
    return i < 0 ? i + period : i;
  }
  // Index of sample i of a signal that goes on as its mode says, or -1 for the zero outside.
  static inline int64_t sample(const Wavelet& w, int64_t i, int64_t size) {
    if (i >= 0 && i < size) return i;
    if (w.mode == Mode::kZero) return -1;
    i = modulo(i, size + (size & 1));
    return i < size ? i : size - 1;
  }
  // Index of coefficient i, or -1 for one that only outputs cropped away would need.
  static inline int64_t coefficient(const Wavelet& w, int64_t i, int64_t size) {
    if (i >= 0 && i < size) return i;
    return w.mode == Mode::kZero ? -1 : modulo(i, size);
  }
};

template <class V, int K>
struct WaveletKernel {
  using F = typename V::F;
  static constexpr int W = V::kLanes;

  static void forward(const Wavelet& w, int64_t plane) {
    const int64_t k = K ? K : w.taps;
    const float* x = w.in + plane * w.height * w.width;
    const float* taps = w.filters + (w.shared_filters ? 0 : plane % w.channels * 4 * k * k);
    float* y = w.out + plane * 4 * w.rows * w.columns;
    const int64_t offset = WaveletPhase(w).offset;
    for (int64_t i = 0; i < w.rows; ++i) {
      for (int64_t j = 0; j < w.columns; j += W) {
        F sum[4] = {V::set(0.0f), V::set(0.0f), V::set(0.0f), V::set(0.0f)};
        for (int64_t m = 0; m < k; ++m) {
          const int64_t row = WaveletPhase::sample(w, 2 * i - offset + m, w.height);
          if (row < 0) continue;
          for (int64_t n = 0; n < k; n += 2) {
            F even, odd;
            window(w, x + row * w.width, 2 * j - offset + n, even, odd);
            for (int f = 0; f < 4; ++f) {
              const float* tap = taps + (f * k + m) * k + n;
              sum[f] = V::fma(even, V::set(tap[0]), sum[f]);
              sum[f] = V::fma(odd, V::set(tap[1]), sum[f]);
            }
          }
        }
        for (int f = 0; f < 4; ++f) V::store(y + (f * w.rows + i) * w.columns + j, sum[f], w.columns - j);
      }
    }
  }

  static void inverse(const Wavelet& w, int64_t plane) {
    const int64_t k = K ? K : w.taps;
    const float* y = w.in + plane * 4 * w.rows * w.columns;
    const float* taps = w.filters + (w.shared_filters ? 0 : plane % w.channels * 4 * k * k);
    float* x = w.out + plane * w.height * w.width;
    const WaveletPhase phase(w);
    for (int64_t i = 0; 2 * i + phase.begin < w.height; ++i) {
      for (int64_t j = 0; 2 * j + phase.begin < w.width; j += W) {
        F sum[2][2] = {{V::set(0.0f), V::set(0.0f)}, {V::set(0.0f), V::set(0.0f)}};
        for (int f = 0; f < 4; ++f) {
          for (int64_t s = 0; s < k / 2; ++s) {
            const int64_t row = WaveletPhase::coefficient(w, i + phase.shift - s, w.rows);
            if (row < 0) continue;
            for (int64_t r = 0; r < k / 2; ++r) {
              const F band = run(w, y + (f * w.rows + row) * w.columns, j + phase.shift - r);
              const float* tap = taps + (f * k + 2 * s) * k + 2 * r;
              for (int odd = 0; odd < 2; ++odd) {
                sum[odd][0] = V::fma(band, V::set(tap[odd * k]), sum[odd][0]);
                sum[odd][1] = V::fma(band, V::set(tap[odd * k + 1]), sum[odd][1]);
              }
            }
          }
        }
        for (int odd = 0; odd < 2; ++odd) {
          const int64_t row = 2 * i + phase.begin + odd;
          if (row >= 0 && row < w.height)
            put(x + row * w.width, w.width, 2 * j + phase.begin, sum[odd][0], sum[odd][1]);
        }
      }
    }
  }

 private:
  // Columns start, start + 2, ... and start + 1, start + 3, ... of a row that goes on as its mode says.
  static void window(const Wavelet& w, const float* row, int64_t start, F& even, F& odd) {
    const int64_t rest = w.width - start;
    if (start >= 0 && rest >= 2 * W) {
      V::deinterleave(V::load(row + start), V::load(row + start + W), even, odd);
    } else if (start >= 0 && rest > 0 && w.mode == Mode::kZero) {
      V::deinterleave(V::load(row + start, rest), rest > W ? V::load(row + start + W, rest - W) : V::set(0.0f), even,
                      odd);
    } else {
      alignas(64) float edge[2 * W];
      for (int64_t c = 0; c < 2 * W; ++c) {
        const int64_t i = WaveletPhase::sample(w, start + c, w.width);
        edge[c] = i < 0 ? 0.0f : row[i];
      }
      V::deinterleave(V::load(edge), V::load(edge + W), even, odd);
    }
  }

  // Columns start, start + 2, ... and start + 1, start + 3, ... into a row, those that lie in it.
  static void put(float* row, int64_t width, int64_t start, F even, F odd) {
    F a, b;
    V::interleave(even, odd, a, b);
    if (start < 0) {
      alignas(64) float edge[2 * W + 1];
      V::store(edge, a), V::store(edge + W, b);
      a = V::load(edge + 1), b = V::load(edge + 1 + W, W - 1);
      const int64_t some = 2 * W - 1 < width ? 2 * W - 1 : width;
      V::store(row, a, some);
      V::store(row + W, b, some - W);
    } else if (start + 2 * W <= width) {
      V::store(row + start, a);
      V::store(row + start + W, b);
    } else {
      V::store(row + start, a, width - start);
      if (width - start > W) V::store(row + start + W, b, width - start - W);
    }
  }

  // kLanes columns of a band from `start`; those that no output needs may be anything.
  static F run(const Wavelet& w, const float* band, int64_t start) {
    if (start >= 0 && start + W <= w.columns) return V::load(band + start);
    if (w.mode == Mode::kZero) return start < w.columns ? V::load(band + start, w.columns - start) : V::set(0.0f);
    alignas(64) float edge[W];
    for (int64_t c = 0; c < W; ++c) edge[c] = band[WaveletPhase::modulo(start + c, w.columns)];
    return V::load(edge);
  }
};

}  // namespace edgevision
