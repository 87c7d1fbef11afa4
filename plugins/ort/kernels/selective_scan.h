// The selective scan, with channels on the lanes of a vector.
//
// The recurrence is serial in time and independent over channels, so one work item carries `kLanes` channels of one
// group through time. Memory is channel-major: tiles of kTile steps are transposed on their way in and out, and
// everything between happens in the transposed tile, where no lane is wasted however short the sequence. B and C, shared
// by the channels of a group, are read as scalars. Reversed groups walk the same tiles from the end. More than kStates
// states are carried in several passes over the sequence that add up in y: so every buffer has a fixed size and lies on
// the stack.
//
// A tile goes through four loops (step sizes, recurrence, gate, and the transposes) rather than one: their exponentials
// are independent over time, and short loops over them four vectors at a time keep the arithmetic units full.
#pragma once

#include "kernels.h"
#include "simd_four.h"
#include "tile.h"
#include "vector_math.h"

namespace edgevision {

template <class V>
class ScanKernel {
 public:
  static void run(const Scan& s, int64_t index) {
    const int64_t blocks = (s.channels + W - 1) / W;
    const int64_t block = index % blocks, group = index / blocks % s.groups, b = index / blocks / s.groups;
    const int64_t channel = block * W, parameter = group * s.channels + channel;
    const int64_t row = b * s.groups * s.channels + parameter;
    const int64_t u_row = s.shared_u ? b * s.channels + channel : row;
    Item item{};
    item.rows = s.channels - channel < W ? s.channels - channel : W;
    item.length = s.length;
    item.u = s.u + u_row * s.length;
    item.delta = s.delta + row * s.length;
    item.z = s.z ? s.z + row * s.length : nullptr;
    item.y = s.y + row * s.length;
    item.bias = s.delta_bias ? V::load(s.delta_bias + parameter, item.rows) : V::set(0.0f);
    item.softplus = s.softplus;
    item.reverse = s.reverse >> group & 1;
    item.state_stride = s.states;
    for (int64_t n = 0; n == 0 || n < s.states; n += kStates) {
      item.states = s.states - n < kStates ? s.states - n : kStates;
      item.A = s.A + parameter * s.states + n;
      item.B = s.B + ((b * s.groups + group) * s.states + n) * s.length;
      item.C = s.C + ((b * s.groups + group) * s.states + n) * s.length;
      item.first = n == 0;
      item.skips = s.D || !item.first;  // later passes add to what the earlier ones left in y
      item.skip = item.first && s.D ? V::load(s.D + parameter, item.rows) : V::set(1.0f);
      item.last = n + item.states == s.states;
      s.states == 1 ? Pass<true>::run(item) : Pass<false>::run(item);
    }
  }

 private:
  using F = typename V::F;
  using V4 = Four<V>;
  static constexpr int W = V::kLanes;
  static constexpr int kTile = 64;
  static constexpr int kStates = 64;
  static_assert(kTile % (4 * W) == 0 && kStates % W == 0);

  // One pass of a work item: its rows, and the states it carries.
  struct Item {
    const float *u, *delta, *z, *A, *B, *C;
    float* y;
    int64_t rows, length, states, state_stride;
    F skip, bias;
    bool skips, softplus, reverse, first, last;
  };

  // `Single`: one state, which then lives in a register while the decays are computed ahead.
  template <bool Single>
  struct Pass {
    alignas(64) float delta[kTile * W], u[kTile * W], drive[kTile * W], decay[Single ? kTile * W : 1];
    alignas(64) float A[Single ? W : kStates * W], state[Single ? W : kStates * W];
    alignas(64) float B[Single ? 1 : kTile * kStates], C[Single ? 1 : kTile * kStates];

    static void run(const Item& item) {
      Pass pass;
      pass.begin(item);
      const int64_t tiles = (item.length + kTile - 1) / kTile;
      for (int64_t i = 0; i < tiles; ++i) {
        const int64_t start = (item.reverse ? tiles - 1 - i : i) * kTile;
        const int64_t steps = item.length - start < kTile ? item.length - start : kTile;
        transpose_in<V>(item.delta + start, item.length, item.rows, steps, pass.delta, W);
        transpose_in<V>(item.u + start, item.length, item.rows, steps, pass.u, W);
        if (i + 1 < tiles) prefetch(item, (item.reverse ? tiles - 2 - i : i + 1) * kTile);
        pass.step_sizes(item, steps);
        if (!item.first) transpose_in<V>(item.y + start, item.length, item.rows, steps, pass.u, W);
        item.skips ? pass.template advance<true>(item, start, steps) : pass.template advance<false>(item, start, steps);
        if (item.z && item.last) pass.gate(item, start, steps);
        transpose_out<V>(pass.u, item.rows, steps, item.y + start, item.length);
      }
    }

    static void prefetch(const Item& item, int64_t start) {
      const int64_t steps = item.length - start < kTile ? item.length - start : kTile;
      prefetch_tile(item.delta + start, item.length, item.rows, steps);
      prefetch_tile(item.u + start, item.length, item.rows, steps);
      prefetch_tile(item.y + start, item.length, item.rows, steps);
      if (item.z && item.last) prefetch_tile(item.z + start, item.length, item.rows, steps);
    }

    void begin(const Item& item) {
      if constexpr (Single)
        V::store(A, V::load(item.A, item.rows));
      else
        transpose_in<V>(item.A, item.state_stride, item.rows, item.states, A, W);
      for (int64_t n = 0; n < item.states; ++n) {
        V::store(A + n * W, V::load(A + n * W) * V::set(1.44269504088896341f));  // exp(x) = 2^(x / ln 2)
        V::store(state + n * W, V::set(0.0f));
      }
    }

    // delta becomes the step size dt, drive = dt u, and decay = exp(dt A) where there is one A a channel.
    void step_sizes(const Item& item, int64_t steps) {
      const typename V4::F bias = V4::all(item.bias), A4 = V4::all(V::load(A));
      for (int64_t i = 0; i < steps * W; i += 4 * W) {
        typename V4::F dt = V4::load(delta + i) + bias;
        if (item.softplus) dt = Math<V4>::softplus(dt);
        V4::store(drive + i, dt * V4::load(u + i));
        if constexpr (Single)
          V4::store(decay + i, Math<V4>::exp2(A4 * dt));
        else
          V4::store(delta + i, dt);
      }
    }

    // u becomes y: what was there times the skip weight (or nothing of it) plus what the states say.
    template <bool Skips>
    void advance(const Item& item, int64_t start, int64_t steps) {
      if constexpr (!Single) load_coefficients(item, start, steps);
      const int64_t step = item.reverse ? -1 : 1;
      const float *b = item.B + start, *c = item.C + start;
      F h = V::load(state);
      for (int64_t j = 0, t = item.reverse ? steps - 1 : 0; j < steps; ++j, t += step) {
        const F dt_u = V::load(drive + t * W);
        F sum = V::set(0.0f);
        if constexpr (Skips) sum = item.skip * V::load(u + t * W);
        if constexpr (Single) {
          h = V::fma(V::load(decay + t * W), h, dt_u * V::set(b[t]));
          sum = V::fma(h, V::set(c[t]), sum);
        } else {
          sum = advance_states(item.states, V::load(delta + t * W), dt_u, B + t * kStates, C + t * kStates, sum);
        }
        V::store(u + t * W, sum);
      }
      if constexpr (Single) V::store(state, h);
    }

    void load_coefficients(const Item& item, int64_t start, int64_t steps) {
      for (int64_t n = 0; n < item.states; n += W) {
        const int64_t rows = item.states - n < W ? item.states - n : W, row = n * item.length + start;
        transpose_in<V>(item.B + row, item.length, rows, steps, B + n, kStates);
        transpose_in<V>(item.C + row, item.length, rows, steps, C + n, kStates);
      }
    }

    F advance_states(int64_t states, F dt, F dt_u, const float* b, const float* c, F sum) {
      for (int64_t n = 0; n < states; ++n) {
        const F a = Math<V>::exp2(V::load(A + n * W) * dt);
        const F h = V::fma(a, V::load(state + n * W), dt_u * V::set(b[n]));
        V::store(state + n * W, h);
        sum = V::fma(h, V::set(c[n]), sum);
      }
      return sum;
    }

    void gate(const Item& item, int64_t start, int64_t steps) {
      transpose_in<V>(item.z + start, item.length, item.rows, steps, drive, W);
      for (int64_t i = 0; i < steps * W; i += 4 * W)
        V4::store(u + i, V4::load(u + i) * Math<V4>::silu(V4::load(drive + i)));
    }
  };
};

}  // namespace edgevision
