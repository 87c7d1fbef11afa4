// Blocks of rows turned into steps and back, of any size.
#pragma once

#include <cstdint>

namespace edgevision {

// dst[c * dst_stride + r] = src[r * src_stride + c] for r < rows <= kLanes, c < columns; lanes beyond `rows` become 0.
// `dst` holds whole vectors and must have room for a multiple of kLanes columns.
template <class V>
void transpose_in(const float* src, int64_t src_stride, int64_t rows, int64_t columns, float* dst, int64_t dst_stride) {
  constexpr int W = V::kLanes;
  for (int64_t c = 0; c < columns; c += W) {
    const int64_t width = columns - c;
    if (rows == W && width >= W) {
      V::transpose(src + c, src_stride, dst + c * dst_stride, dst_stride);
    } else {
      alignas(64) float whole[W * W];
      for (int64_t r = 0; r < W; ++r)
        V::store(whole + r * W, r < rows ? V::load(src + r * src_stride + c, width) : V::set(0.0f));
      V::transpose(whole, W, dst + c * dst_stride, dst_stride);
    }
  }
}

// The way back, from rows of kLanes: dst[r * dst_stride + c] = src[c * kLanes + r]. Reads whole blocks of `src`.
template <class V>
void transpose_out(const float* src, int64_t rows, int64_t columns, float* dst, int64_t dst_stride) {
  constexpr int W = V::kLanes;
  for (int64_t c = 0; c < columns; c += W) {
    const int64_t width = columns - c;
    if (rows == W && width >= W) {
      V::transpose(src + c * W, W, dst + c, dst_stride);
    } else {
      alignas(64) float whole[W * W];
      V::transpose(src + c * W, W, whole, W);
      for (int64_t r = 0; r < rows; ++r) V::store(dst + r * dst_stride + c, V::load(whole + r * W), width);
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
