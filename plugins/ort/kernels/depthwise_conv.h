// A depthwise convolution of a large kernel, with channels on the lanes.
//
//   y[i, j] = bias + sum over (m, n) of weight[m, n] x[strides i + dilations m - before, strides j + dilations n - before]
//
// A work item is a vector of channels of an image. It goes through the map in tiles: the rows that a tile looks at are
// turned so that every pixel is a vector, with zeros to the left and right, and each row of the result is summed in
// registers, neighbouring columns at once, and turned back. Rows above and below the map are left out of the sums. (Most
// of a large kernel lies outside a small map; a blocked convolution that sums pixels at the edges one by one waits for
// each sum.)
#pragma once

#include "kernels.h"
#include "tile.h"

namespace edgevision {

template <class V>
class DepthwiseConvKernel {
 public:
  static int64_t items(const DepthwiseConv& d) { return d.batch * blocks(d); }

  static void run(const DepthwiseConv& d, int64_t index) {
    Item item(d, index);
    for (int64_t column = 0; column < d.columns; column += d.tile_columns)
      for (int64_t row = 0; row < d.rows; row += d.tile_rows) item.tile(row, column);
  }

 private:
  using F = typename V::F;
  static constexpr int W = V::kLanes, kAtOnce = DepthwiseConv::kAtOnce;

  static int64_t blocks(const DepthwiseConv& d) { return (d.channels + W - 1) / W; }

  struct Item {
    const DepthwiseConv& d;
    const float* x;
    float* y;
    int64_t lanes;
    alignas(64) float weight[DepthwiseConv::kMostTaps * W], bias[W];
    // Whole blocks are turned, so the last row of what is seen may need room for one more.
    alignas(64) float seen[(DepthwiseConv::kMostPixels + W) * W], sums[DepthwiseConv::kMostColumns * W];

    Item(const DepthwiseConv& given, int64_t index) : d(given) {
      const int64_t image = index / blocks(d), channel = index % blocks(d) * W, taps = d.kernel[0] * d.kernel[1];
      lanes = d.channels - channel < W ? d.channels - channel : W;
      x = d.x + (image * d.channels + channel) * d.height * d.width;
      y = d.y + (image * d.channels + channel) * d.rows * d.columns;
      transpose_in<V, W>(d.weight + channel * taps, taps, lanes, taps, weight, W);
      V::store(bias, d.bias ? V::load(d.bias + channel, lanes) : V::set(0.0f));
    }

    void tile(int64_t row, int64_t column) {
      const int64_t rows = least(d.tile_rows, d.rows - row), columns = least(d.tile_columns, d.columns - column);
      const int64_t top = row * d.strides[0] - d.before[0], bottom = top + d.rows_under(rows);
      const int64_t from = top < 0 ? 0 : top, to = least(bottom, d.height);
      for (int64_t r = from; r < to; ++r) read(r, column, seen + (r - from) * d.pitch * W);
      for (int64_t i = 0; i < rows; ++i) {
        // Row m of the kernel meets row `above` + dilation m of what was read.
        const int64_t above = top + i * d.strides[0] - from, count = to - from, apart = d.dilations[0];
        int64_t first = 0, last = d.kernel[0];
        while (first < last && above + first * apart < 0) ++first;
        while (last > first && above + (last - 1) * apart >= count) --last;
        convolve(above, first, last, columns);
        transpose_out<V, W>(sums, lanes, columns, y + (row + i) * d.columns + column, d.rows * d.columns);
      }
    }

    // Row r of the map as far as the tile at `column` sees it.
    void read(int64_t r, int64_t column, float* to) const {
      const int64_t left = column * d.strides[1] - d.before[1], end = least(left + d.pitch, d.width);
      const int64_t from = left < 0 ? 0 : left, count = from < end ? end - from : 0;
      const int64_t zeros = count > 0 ? from - left : d.pitch;
      if (count > 0) transpose_in<V, W>(x + r * d.width + from, d.height * d.width, lanes, count, to + zeros * W, W);
      for (int64_t k = 0; k < zeros; ++k) V::store(to + k * W, V::set(0.0f));
      for (int64_t k = zeros + count; k < d.pitch; ++k) V::store(to + k * W, V::set(0.0f));
    }

    void convolve(int64_t above, int64_t first, int64_t last, int64_t columns) {
      const int64_t parts = (columns + kAtOnce - 1) / kAtOnce, width = (columns + parts - 1) / parts;
      for (int64_t j = 0; j < columns; j += width) switch (width) {
          case 1:
            part<1>(above, first, last, j);
            break;
          case 2:
            part<2>(above, first, last, j);
            break;
          case 3:
            part<3>(above, first, last, j);
            break;
          case 4:
            part<4>(above, first, last, j);
            break;
          case 5:
            part<5>(above, first, last, j);
            break;
          case 6:
            part<6>(above, first, last, j);
            break;
          default:
            part<7>(above, first, last, j);
        }
    }

    template <int Columns>
    void part(int64_t above, int64_t first, int64_t last, int64_t j) {
      F sum[Columns];
#pragma GCC unroll 7
      for (F& one : sum) one = V::load(bias);
      const int64_t next = d.strides[1] * W, apart = d.dilations[1] * W;
      for (int64_t m = first; m < last; ++m) {
        const float* from = seen + (above + m * d.dilations[0]) * d.pitch * W + j * next;
        const float *factor = weight + m * d.kernel[1] * W, *end = factor + d.kernel[1] * W;
        for (; factor < end; factor += W, from += apart) {
          const F by = V::load(factor);
#pragma GCC unroll 7
          for (int c = 0; c < Columns; ++c) sum[c] = V::fma(V::load(from + c * next), by, sum[c]);
        }
      }
#pragma GCC unroll 7
      for (int c = 0; c < Columns; ++c) V::store(sums + (j + c) * W, sum[c]);
    }

    static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
  };
};

}  // namespace edgevision
