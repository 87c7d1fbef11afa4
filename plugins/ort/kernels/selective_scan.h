// The selective scan, with channels on the lanes of a vector.
//
// The recurrence is serial in time and independent over channels, so one work item carries `kLanes` channels of one
// group through time, all their states in registers or the first-level cache. Memory is channel-major: tiles of kTile
// steps are transposed on their way in and out, and everything between (softplus, skip, gate) happens in the transposed
// tile, where no lane is wasted however short the sequence. B and C, shared by the channels of a group, are read as
// scalars. Reversed groups walk the same tiles from the end. More than kStates states are carried in several passes over
// the sequence that add up in y, so that every buffer has a fixed size and lies on the stack.
#pragma once

#include "kernels.h"
#include "vector_math.h"

namespace edgevision {

// dst[c * dst_stride + r] = src[r * src_stride + c] for r < rows <= kLanes, c < columns; lanes beyond `rows` become 0.
template <class V>
inline void transpose_in(const float* src, int64_t src_stride, int64_t rows, int64_t columns, float* dst,
                         int64_t dst_stride) {
  constexpr int W = V::kLanes;
  for (int64_t c = 0; c < columns; c += W) {
    typename V::F block[W];
    const int64_t width = columns - c < W ? columns - c : W;
    if (rows == W && width == W) {
      for (int r = 0; r < W; ++r) block[r] = V::load(src + r * src_stride + c);
    } else {
      for (int r = 0; r < W; ++r) block[r] = r < rows ? V::load(src + r * src_stride + c, width) : V::set(0.0f);
    }
    V::transpose(block);
    for (int i = 0; i < width; ++i) V::store(dst + (c + i) * dst_stride, block[i]);
  }
}

// The way back: dst[r * dst_stride + c] = src[c * kLanes + r].
template <class V>
inline void transpose_out(const float* src, int64_t rows, int64_t columns, float* dst, int64_t dst_stride) {
  constexpr int W = V::kLanes;
  for (int64_t c = 0; c < columns; c += W) {
    typename V::F block[W];
    const int64_t width = columns - c < W ? columns - c : W;
    for (int i = 0; i < W; ++i) block[i] = i < width ? V::load(src + (c + i) * W) : V::set(0.0f);
    V::transpose(block);
    if (rows == W && width == W) {
      for (int r = 0; r < W; ++r) V::store(dst + r * dst_stride + c, block[r]);
    } else {
      for (int r = 0; r < rows; ++r) V::store(dst + r * dst_stride + c, block[r], width);
    }
  }
}

template <class V>
struct ScanKernel {
  using F = typename V::F;
  using M = Math<V>;
  static constexpr int W = V::kLanes;
  static constexpr int kTile = 32;
  static constexpr int kStates = 64;

  // What one work item is about: pointers to its rows, and the passes' place in the states.
  struct Item {
    const float *u, *delta, *z, *A, *B, *C;
    float* y;
    int64_t rows, length, states, state_stride;  // state_stride: states of A's row
    F skip, bias;
    bool reverse, first, last;
  };

  static void run(const Scan& s, int64_t index) {
    const int64_t blocks = (s.channels + W - 1) / W;
    const int64_t block = index % blocks, group = index / blocks % s.groups, b = index / blocks / s.groups;
    const int64_t channel = block * W, parameter = group * s.channels + channel;
    const int64_t row = b * s.groups * s.channels + parameter;
    const int64_t u_row = s.shared_u ? b * s.channels + channel : row;
    Item item;
    item.rows = s.channels - channel < W ? s.channels - channel : W;
    item.length = s.length;
    item.state_stride = s.states;
    item.u = s.u + u_row * s.length;
    item.delta = s.delta + row * s.length;
    item.z = s.z ? s.z + row * s.length : nullptr;
    item.y = s.y + row * s.length;
    item.skip = s.D ? V::load(s.D + parameter, item.rows) : V::set(0.0f);
    item.bias = s.delta_bias ? V::load(s.delta_bias + parameter, item.rows) : V::set(0.0f);
    item.reverse = s.reverse >> group & 1;
    for (int64_t n = 0; n < s.states; n += kStates) {
      item.states = s.states - n < kStates ? s.states - n : kStates;
      item.A = s.A + parameter * s.states + n;
      item.B = s.B + ((b * s.groups + group) * s.states + n) * s.length;
      item.C = s.C + ((b * s.groups + group) * s.states + n) * s.length;
      item.first = n == 0;
      item.last = n + item.states == s.states;
      if (s.states == 1)
        choose<true>(s, item);
      else
        choose<false>(s, item);
    }
  }

 private:
  template <bool Single>
  static void choose(const Scan& s, const Item& item) {
    if (s.softplus)
      s.D ? pass<Single, true, true>(item) : pass<Single, true, false>(item);
    else
      s.D ? pass<Single, false, true>(item) : pass<Single, false, false>(item);
  }

  template <bool Single, bool Softplus, bool Skip>
  static void pass(const Item& item) {
    constexpr int kPadded = (kStates + W - 1) / W * W;
    alignas(64) float decay[Single ? W : kStates * W], state[Single ? W : kStates * W];
    alignas(64) float B[Single ? 1 : kTile * kPadded], C[Single ? 1 : kTile * kPadded];
    alignas(64) float delta[kTile * W], u[kTile * W], z[kTile * W], y[kTile * W];
    const int64_t N = item.states, stride = (N + W - 1) / W * W;

    transpose_in<V>(item.A, item.state_stride, item.rows, N, decay, W);
    for (int64_t n = 0; n < N; ++n) {
      V::store(decay + n * W, V::load(decay + n * W) * V::set(1.44269504088896341f));
      V::store(state + n * W, V::set(0.0f));
    }
    const int64_t tiles = (item.length + kTile - 1) / kTile;
    for (int64_t i = 0; i < tiles; ++i) {
      const int64_t start = (item.reverse ? tiles - 1 - i : i) * kTile;
      const int64_t steps = item.length - start < kTile ? item.length - start : kTile;
      transpose_in<V>(item.delta + start, item.length, item.rows, steps, delta, W);
      transpose_in<V>(item.u + start, item.length, item.rows, steps, u, W);
      if (!item.first) transpose_in<V>(item.y + start, item.length, item.rows, steps, y, W);
      if constexpr (!Single) {
        for (int64_t n = 0; n < N; n += W) {
          const int64_t rows = N - n < W ? N - n : W;
          transpose_in<V>(item.B + n * item.length + start, item.length, rows, steps, B + n, stride);
          transpose_in<V>(item.C + n * item.length + start, item.length, rows, steps, C + n, stride);
        }
      }
      const int64_t step = item.reverse ? -1 : 1;
      for (int64_t j = 0, t = item.reverse ? steps - 1 : 0; j < steps; ++j, t += step) {
        F dt = V::load(delta + t * W) + item.bias;
        if constexpr (Softplus) dt = M::softplus(dt);
        const F input = V::load(u + t * W), drive = dt * input;
        F sum;
        if constexpr (Skip)
          sum = item.first ? item.skip * input : V::load(y + t * W);
        else
          sum = item.first ? V::set(0.0f) : V::load(y + t * W);
        if constexpr (Single) {
          const F h = V::fma(M::exp2(V::load(decay) * dt), V::load(state), drive * V::set(item.B[start + t]));
          V::store(state, h);
          sum = V::fma(h, V::set(item.C[start + t]), sum);
        } else {
          const float *b = B + t * stride, *c = C + t * stride;
          for (int64_t n = 0; n < N; ++n) {
            const F a = M::exp2(V::load(decay + n * W) * dt);
            const F h = V::fma(a, V::load(state + n * W), drive * V::set(b[n]));
            V::store(state + n * W, h);
            sum = V::fma(h, V::set(c[n]), sum);
          }
        }
        V::store(y + t * W, sum);
      }
      if (item.z && item.last) {
        transpose_in<V>(item.z + start, item.length, item.rows, steps, z, W);
        for (int64_t t = 0; t < steps; ++t) V::store(y + t * W, V::load(y + t * W) * M::silu(V::load(z + t * W)));
      }
      transpose_out<V>(y, item.rows, steps, item.y + start, item.length);
    }
  }
};

}  // namespace edgevision
