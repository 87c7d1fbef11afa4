// The wavelet transforms of small images, with channels on the lanes of a vector.
//
// A map of 12 by 12 leaves most of a vector empty when columns lie on its lanes, and MobileMamba's maps are smaller
// still. Here a block of `kLanes` channels is transposed, so that every pixel is a full vector, and the sums of
// wavelet.h run over pixels with no partial vector anywhere. Only what fits the stack is done this way.
#pragma once

#include "tile.h"
#include "wavelet.h"

namespace edgevision {

template <class V, int K>
class WaveletBlock {
 public:
  static bool fits(const Wavelet& w) {
    return w.height * w.width <= kPixels && 4 * w.rows * w.columns <= kPixels && w.taps <= kTaps;
  }
  static int64_t items(const Wavelet& w) { return w.channels ? w.planes / w.channels * blocks(w) : 0; }

  static void forward(const Wavelet& w, int64_t item) {
    WaveletBlock block(w, item);
    const int64_t k = K ? K : w.taps, offset = WaveletPhase(w).offset;
    for (int64_t i = 0; i < w.rows; ++i) {
      for (int64_t j = 0; j < w.columns; ++j) {
        F sum[4] = {V::set(0.0f), V::set(0.0f), V::set(0.0f), V::set(0.0f)};
        for (int64_t m = 0; m < k; ++m) {
          const int64_t row = WaveletPhase::sample(w, 2 * i - offset + m, w.height);
          if (row < 0) continue;
          for (int64_t n = 0; n < k; ++n) {
            const int64_t column = WaveletPhase::sample(w, 2 * j - offset + n, w.width);
            if (column < 0) continue;
            const F x = V::load(block.in + (row * w.width + column) * W);
            for (int f = 0; f < 4; ++f) sum[f] = V::fma(x, V::load(block.taps + ((f * k + m) * k + n) * W), sum[f]);
          }
        }
        for (int f = 0; f < 4; ++f) V::store(block.out + ((f * w.rows + i) * w.columns + j) * W, sum[f]);
      }
    }
    block.finish(w, 4 * w.rows * w.columns);
  }

  static void inverse(const Wavelet& w, int64_t item) {
    WaveletBlock block(w, item);
    const int64_t k = K ? K : w.taps;
    const WaveletPhase phase(w);
    for (int64_t i = 0; 2 * i + phase.begin < w.height; ++i)
      for (int64_t j = 0; 2 * j + phase.begin < w.width; ++j) {
        F sum[2][2] = {{V::set(0.0f), V::set(0.0f)}, {V::set(0.0f), V::set(0.0f)}};
        for (int64_t s = 0; s < k / 2; ++s) {
          const int64_t row = WaveletPhase::coefficient(w, i + phase.shift - s, w.rows);
          if (row < 0) continue;
          for (int64_t r = 0; r < k / 2; ++r) {
            const int64_t column = WaveletPhase::coefficient(w, j + phase.shift - r, w.columns);
            if (column < 0) continue;
            for (int f = 0; f < 4; ++f) {
              const F band = V::load(block.in + ((f * w.rows + row) * w.columns + column) * W);
              const float* tap = block.taps + ((f * k + 2 * s) * k + 2 * r) * W;
              for (int odd = 0; odd < 2; ++odd) {
                sum[odd][0] = V::fma(band, V::load(tap + odd * k * W), sum[odd][0]);
                sum[odd][1] = V::fma(band, V::load(tap + (odd * k + 1) * W), sum[odd][1]);
              }
            }
          }
        }
        block.put(w, 2 * i + phase.begin, 2 * j + phase.begin, sum);
      }
    block.finish(w, w.height * w.width);
  }

 private:
  using F = typename V::F;
  static constexpr int W = V::kLanes;
  static constexpr int kPixels = 448, kTaps = 8;
  static_assert(kPixels % W == 0);

  alignas(64) float in[kPixels * W], out[kPixels * W], taps[4 * kTaps * kTaps * W];
  int64_t channels, plane;

  static int64_t blocks(const Wavelet& w) { return (w.channels + W - 1) / W; }

  // Brings the block's planes and taps onto the lanes.
  WaveletBlock(const Wavelet& w, int64_t item) {
    const int64_t channel = item % blocks(w) * W, tap_count = 4 * w.taps * w.taps;
    const int64_t size = w.out_is_image ? 4 * w.rows * w.columns : w.height * w.width;
    channels = w.channels - channel < W ? w.channels - channel : W;
    plane = item / blocks(w) * w.channels + channel;
    transpose_in<V, W>(w.in + plane * size, size, channels, size, in, W);
    if (w.shared_filters)
      for (int64_t t = 0; t < tap_count; ++t) V::store(taps + t * W, V::set(w.filters[t]));
    else
      transpose_in<V, W>(w.filters + channel * tap_count, tap_count, channels, tap_count, taps, W);
  }

  void put(const Wavelet& w, int64_t row, int64_t column, const F (&sum)[2][2]) {
    for (int a = 0; a < 2; ++a)
      for (int b = 0; b < 2; ++b) {
        const int64_t r = row + a, c = column + b;
        if (r >= 0 && r < w.height && c >= 0 && c < w.width) V::store(out + (r * w.width + c) * W, sum[a][b]);
      }
  }

  void finish(const Wavelet& w, int64_t size) { transpose_out<V, W>(out, channels, size, w.out + plane * size, size); }
};

}  // namespace edgevision
