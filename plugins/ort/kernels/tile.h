// Blocks of rows turned into steps and back, of any size.
#pragma once

#include <cstdint>

namespace edgevision {

// dst[c * dst_stride + r] = src[r * src_stride + c] for a block of kLanes x kLanes. (The pragmas unroll early enough
// for the arrays to become registers.)
template <class V>
void transpose_block(const float* src, int64_t src_stride, float* dst, int64_t dst_stride) {
  constexpr int kQuad = V::kQuad, kQuads = V::kLanes / kQuad;
  typename V::F turned[kQuads][kQuad];
#pragma GCC unroll 4
  for (int i = 0; i < kQuad; ++i) {
    typename V::F rows[kQuads];
#pragma GCC unroll 4
    for (int q = 0; q < kQuads; ++q) rows[q] = V::load(src + (i + q * kQuad) * src_stride);
    V::exchange_quads(rows);
#pragma GCC unroll 4
    for (int q = 0; q < kQuads; ++q) turned[q][i] = rows[q];
  }
#pragma GCC unroll 4
  for (int q = 0; q < kQuads; ++q) {
    V::transpose_quads(turned[q]);
#pragma GCC unroll 4
    for (int i = 0; i < kQuad; ++i) V::store(dst + (q * kQuad + i) * dst_stride, turned[q][i]);
  }
}

// dst[c * dst_stride + r] = src[r * src_stride + c] for r < rows, c < columns, a block of kLanes x kLanes at a time.
// There are kRows rows in `dst`, a multiple of kLanes: those beyond `rows` become 0. Whole blocks are written, so `dst`
// has room for a multiple of kLanes columns.
template <class V, int kRows>
void transpose_in(const float* src, int64_t src_stride, int64_t rows, int64_t columns, float* dst, int64_t dst_stride) {
  constexpr int W = V::kLanes;
  for (int64_t top = 0; top < kRows; top += W) {
    const int64_t height = rows - top;
    for (int64_t c = 0; c < columns; c += W) {
      const float* from = src + top * src_stride + c;
      float* to = dst + c * dst_stride + top;
      const int64_t width = columns - c;
      if (height >= W && width >= W) {
        transpose_block<V>(from, src_stride, to, dst_stride);
      } else {
        alignas(64) float whole[W * W];
        for (int64_t r = 0; r < W; ++r)
          V::store(whole + r * W, r < height ? V::load(from + r * src_stride, width) : V::set(0.0f));
        transpose_block<V>(whole, W, to, dst_stride);
      }
    }
  }
}

// The way back, from steps of kRows lanes: dst[r * dst_stride + c] = src[c * kRows + r]. Whole blocks are read.
template <class V, int kRows>
void transpose_out(const float* src, int64_t rows, int64_t columns, float* dst, int64_t dst_stride) {
  constexpr int W = V::kLanes;
  for (int64_t top = 0; top < kRows; top += W) {
    const int64_t height = rows - top < W ? rows - top : W;
    for (int64_t c = 0; c < columns; c += W) {
      const float* from = src + c * kRows + top;
      float* to = dst + top * dst_stride + c;
      const int64_t width = columns - c;
      if (height == W && width >= W) {
        transpose_block<V>(from, kRows, to, dst_stride);
      } else {
        alignas(64) float whole[W * W];
        transpose_block<V>(from, kRows, whole, W);
        for (int64_t r = 0; r < height; ++r) V::store(to + r * dst_stride, V::load(whole + r * W), width);
      }
    }
  }
}

// Asks for a tile ahead of its use: more rows are walked at once than the hardware's prefetchers follow.
inline void prefetch_tile(const float* src, int64_t src_stride, int64_t rows, int64_t columns) {
  constexpr int64_t kLine = 16;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; c += kLine) __builtin_prefetch(src + r * src_stride + c, 0, 2);
}

}  // namespace edgevision
