// A depthwise convolution in the domain of a two-tap wavelet, from image to image, with channels on the lanes.
//
//   y = relu?(residual + IDWT(bias + weight * DWT(x)))
//
// One work item is a vector of channels through all of it: rows of pixels are turned so that every pixel is a vector, two
// image rows become one row of each band, and when all are there each row of the bands is convolved and goes back into
// two image rows. Bands live on the stack, zeros to the left and right of each row standing for what lies outside.
#pragma once

#include "kernels.h"
#include "tile.h"

namespace edgevision {

template <class V>
class WaveletConvKernel {
 public:
  static int64_t items(const WaveletConv& w) { return w.batch * blocks(w); }

  static void run(const WaveletConv& w, int64_t index) {
    Item item(w, index);
    for (int64_t i = 0; i < w.rows; ++i) item.analyse(i);
    for (int64_t i = 0; i < w.rows; ++i) item.synthesise(i);
  }

 private:
  using F = typename V::F;
  static constexpr int W = V::kLanes;
  static constexpr int64_t kVectors = WaveletConv::kMostPixels, kRow = WaveletConv::kWidest;
  static constexpr int64_t kTaps = (WaveletConv::kMostTaps + 15) / 16 * 16;  // transpose_in writes whole blocks

  static int64_t blocks(const WaveletConv& w) { return (w.channels + W - 1) / W; }

  struct Item {
    const WaveletConv& w;
    int64_t lanes, pad, stride;  // stride: vectors of a band's row, zeros and room for a last block of four included
    const float *x, *residual;
    float* y;
    alignas(64) float bands[kVectors * W], rows[2 * kRow * W], more[2 * kRow * W];
    alignas(64) float weight[4 * kTaps * W], bias[4 * W], forward[16 * W], inverse[16 * W];

    Item(const WaveletConv& given, int64_t index) : w(given) {
      const int64_t b = index / blocks(w), channel = index % blocks(w) * W;
      lanes = w.channels - channel < W ? w.channels - channel : W;
      pad = w.taps / 2;
      stride = WaveletConv::stride(w.columns, w.taps);
      const int64_t start = (b * w.channels + channel) * w.height * w.width;
      x = w.x + start;
      y = w.y + start;
      residual = w.residual ? w.residual + start : nullptr;
      const int64_t taps = w.taps * w.taps;
      for (int f = 0; f < 4; ++f) {
        transpose_in<V, W>(w.weight + (channel * 4 + f) * taps, 4 * taps, lanes, taps, weight + f * kTaps * W, W);
        V::store(bias + f * W, V::set(0.0f));
        if (w.bias)
          for (int64_t c = 0; c < lanes; ++c) bias[f * W + c] = w.bias[(channel + c) * 4 + f];
      }
      transpose_in<V, W>(w.forward + channel * 16, 16, lanes, 16, forward, W);
      transpose_in<V, W>(w.inverse + channel * 16, 16, lanes, 16, inverse, W);
      for (int64_t i = 0; i < 4 * w.rows * stride; ++i) V::store(bands + i * W, V::set(0.0f));
    }

    float* band(int f, int64_t row) { return bands + (f * w.rows + row) * stride * W; }
    int64_t image_rows(int64_t i) const { return w.height - 2 * i < 2 ? w.height - 2 * i : 2; }

    // Band f at (i, j) = sum over the four pixels below it of filter times pixel.
    void analyse(int64_t i) {
      const int64_t high = image_rows(i);
      transpose_in<V, W>(x + 2 * i * w.width, w.height * w.width, lanes, high * w.width, rows, W);
      for (int f = 0; f < 4; ++f) {
        F tap[4];
        for (int t = 0; t < 4; ++t) tap[t] = V::load(forward + (f * 4 + t) * W);
        float* to = band(f, i) + pad * W;
        for (int64_t j = 0; j < w.columns; ++j) {
          F sum = V::set(0.0f);
          for (int64_t m = 0; m < high; ++m) {
            const float* at = rows + (m * w.width + 2 * j) * W;
            sum = V::fma(V::load(at), tap[2 * m], sum);
            if (2 * j + 1 < w.width) sum = V::fma(V::load(at + W), tap[2 * m + 1], sum);
          }
          V::store(to + j * W, sum);
        }
      }
    }

    void synthesise(int64_t i) {
      const int64_t high = image_rows(i), pixels = high * w.width;
      if (residual)
        transpose_in<V, W>(residual + 2 * i * w.width, w.height * w.width, lanes, pixels, rows, W);
      else
        for (int64_t p = 0; p < pixels; ++p) V::store(rows + p * W, V::set(0.0f));
      for (int f = 0; f < 4; f += 2) {
        convolve_rows(f, i);
        spread(f, more, high);
        spread(f + 1, more + kRow * W, high);
      }
      if (w.relu)
        for (int64_t p = 0; p < pixels; ++p)
          V::store(rows + p * W, V::max(V::set(0.0f), V::load(rows + p * W)));
      transpose_out<V, W>(rows, lanes, pixels, y + 2 * i * w.width, w.height * w.width);
    }

    // A row of bands f and f + 1, into the halves of `more`, in equal blocks of at most four columns.
    void convolve_rows(int f, int64_t i) {
      const int64_t blocks = (w.columns + 3) / 4, width = (w.columns + blocks - 1) / blocks;
      for (int64_t j = 0; j < w.columns; j += width) {
        switch (width) {
          case 1:
            convolve<1>(f, i, j);
            break;
          case 2:
            convolve<2>(f, i, j);
            break;
          case 3:
            convolve<3>(f, i, j);
            break;
          default:
            convolve<4>(f, i, j);
        }
      }
    }

    // Neighbouring columns at once, so that a weight is loaded once for all of them, and two bands at once, so that
    // enough sums are under way to hide how long an addition takes.
    template <int Columns>
    void convolve(int f, int64_t i, int64_t j) {
      F one[Columns], two[Columns];
      for (int c = 0; c < Columns; ++c) one[c] = V::load(bias + f * W), two[c] = V::load(bias + (f + 1) * W);
      const int64_t from = i < pad ? pad - i : 0, to = w.rows - i < w.taps - pad ? w.rows - i + pad : w.taps;
      for (int64_t m = from; m < to; ++m) {
        const float *first = band(f, i + m - pad) + j * W, *second = band(f + 1, i + m - pad) + j * W;
        const float* tap = weight + (f * kTaps + m * w.taps) * W;
        for (int64_t n = 0; n < w.taps; ++n) {
          const F factor = V::load(tap + n * W), other = V::load(tap + (kTaps + n) * W);
          for (int c = 0; c < Columns; ++c) {
            one[c] = V::fma(V::load(first + (n + c) * W), factor, one[c]);
            two[c] = V::fma(V::load(second + (n + c) * W), other, two[c]);
          }
        }
      }
      for (int c = 0; c < Columns; ++c) {
        V::store(more + (j + c) * W, one[c]);
        V::store(more + (kRow + j + c) * W, two[c]);
      }
    }

    // Adds what one row of a band means for its image rows.
    void spread(int f, const float* values, int64_t high) {
      for (int64_t m = 0; m < high; ++m) {
        const F even = V::load(inverse + (f * 4 + 2 * m) * W), odd = V::load(inverse + (f * 4 + 2 * m + 1) * W);
        for (int64_t j = 0; j < w.columns; ++j) {
          const F value = V::load(values + j * W);
          float* at = rows + (m * w.width + 2 * j) * W;
          V::store(at, V::fma(value, even, V::load(at)));
          if (2 * j + 1 < w.width) V::store(at + W, V::fma(value, odd, V::load(at + W)));
        }
      }
    }
  };
};

}  // namespace edgevision
