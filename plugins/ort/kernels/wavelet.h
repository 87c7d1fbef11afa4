// One level of the two-dimensional wavelet transform and its inverse, with neighbouring columns on the lanes.
//
// Forward, in phase with PyWavelets (taps in cross-correlation order):
//   y[f, i, j] = sum_{m, n} w[f, m, n] x[2i - offset + m, 2j - offset + n]
// where offset = k - 2 in mode zero and k/2 - 1 in mode periodization, whose x is first made even by repeating its last
// sample and then wraps around. The inverse is the adjoint with the same offset:
//   x[p, q] = sum_{f, i, j} w[f, p + offset - 2i, q + offset - 2j] y[f, i, j].
// Taps of one parity meet inputs of one parity, so the loops run over pairs of taps: forward reads the even and the odd
// columns of a window apart, the inverse computes even and odd output columns apart and interleaves them.
#pragma once

#include "kernels.h"

namespace edgevision {

template <class V, int K>
struct WaveletKernel {
  using F = typename V::F;
  static constexpr int W = V::kLanes;

  static void forward(const Wavelet& w, int64_t plane) {
    const int64_t k = K ? K : w.taps;
    const float* x = w.in + plane * w.height * w.width;
    const float* taps = w.filters + (w.shared_filters ? 0 : plane % w.channels * 4 * k * k);
    float* y = w.out + plane * 4 * w.rows * w.columns;
    const bool wraps = w.mode == Mode::kPeriodization;
    const int64_t offset = wraps ? k / 2 - 1 : k - 2;
    for (int64_t i = 0; i < w.rows; ++i) {
      for (int64_t j = 0; j < w.columns; j += W) {
        F sum[4] = {V::set(0.0f), V::set(0.0f), V::set(0.0f), V::set(0.0f)};
        for (int64_t m = 0; m < k; ++m) {
          int64_t row = 2 * i - offset + m;
          if (wraps)
            row = wrapped(row, w.height);
          else if (row < 0 || row >= w.height)
            continue;
          for (int64_t n = 0; n < k; n += 2) {
            F even, odd;
            window(x + row * w.width, w.width, 2 * j - offset + n, wraps, even, odd);
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
    const bool wraps = w.mode == Mode::kPeriodization;
    const int64_t offset = wraps ? k / 2 - 1 : k - 2, shift = offset / 2;
    // Outputs come in pairs that meet the same inputs, the first with even taps and the second with odd ones. An odd
    // offset makes the first pair begin before the image.
    const int64_t begin = -(offset & 1);
    for (int64_t i = 0; 2 * i + begin < w.height; ++i) {
      for (int64_t j = 0; 2 * j + begin < w.width; j += W) {
        F sum[2][2] = {{V::set(0.0f), V::set(0.0f)}, {V::set(0.0f), V::set(0.0f)}};
        for (int f = 0; f < 4; ++f) {
          for (int64_t s = 0; s < k / 2; ++s) {
            const int64_t row = wraps ? modulo(i + shift - s, w.rows) : i + shift - s;
            if (row >= w.rows) continue;  // only outputs that are cropped away would need it
            for (int64_t r = 0; r < k / 2; ++r) {
              const F band = run(y + (f * w.rows + row) * w.columns, w.columns, j + shift - r, wraps);
              const float* tap = taps + (f * k + 2 * s) * k + 2 * r;
              for (int odd = 0; odd < 2; ++odd) {
                sum[odd][0] = V::fma(band, V::set(tap[odd * k]), sum[odd][0]);
                sum[odd][1] = V::fma(band, V::set(tap[odd * k + 1]), sum[odd][1]);
              }
            }
          }
        }
        for (int odd = 0; odd < 2; ++odd) {
          const int64_t row = 2 * i + begin + odd;
          if (row >= 0 && row < w.height) put(x + row * w.width, w.width, 2 * j + begin, sum[odd][0], sum[odd][1]);
        }
      }
    }
  }

 private:
  static int64_t modulo(int64_t i, int64_t period) {
    i %= period;
    return i < 0 ? i + period : i;
  }

  // Index into a signal made even by repeating its last sample, then periodic.
  static int64_t wrapped(int64_t i, int64_t size) {
    i = modulo(i, size + (size & 1));
    return i < size ? i : size - 1;
  }

  // Columns start, start + 2, ... and start + 1, start + 3, ... of a row that goes on as its mode says.
  static void window(const float* row, int64_t width, int64_t start, bool wraps, F& even, F& odd) {
    if (start >= 0 && start + 2 * W <= width) {
      V::deinterleave(V::load(row + start), V::load(row + start + W), even, odd);
    } else if (start >= 0 && start < width && !wraps) {
      const int64_t rest = width - start;
      V::deinterleave(V::load(row + start, rest), rest > W ? V::load(row + start + W, rest - W) : V::set(0.0f), even,
                      odd);
    } else {
      alignas(64) float edge[2 * W];
      for (int64_t c = 0; c < 2 * W; ++c) {
        const int64_t i = wraps ? wrapped(start + c, width) : start + c;
        edge[c] = i >= 0 && i < width ? row[i] : 0.0f;
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
  static F run(const float* band, int64_t columns, int64_t start, bool wraps) {
    if (start >= 0 && start + W <= columns) return V::load(band + start);
    if (!wraps) return start < columns ? V::load(band + start, columns - start) : V::set(0.0f);
    alignas(64) float edge[W];
    for (int64_t c = 0; c < W; ++c) edge[c] = band[modulo(start + c, columns)];
    return V::load(edge);
  }
};

}  // namespace edgevision
