// The selective scan, with channels on the lanes of a vector.
//
// The recurrence is serial in time and independent over channels, so one work item carries `kLanes` channels of one
// group through time. Memory is channel-major: tiles of kTile steps are transposed on their way in and out, and
// everything between happens in the transposed tile, where no lane is wasted however short the sequence. B and C,
// shared by the channels of a group, are read as scalars. Reversed groups walk the same tiles from the end. More than
// kStates states are carried in several passes over the sequence that add up in y: so every buffer has a fixed size and
// lies on the stack.
//
// A tile goes through four loops (step sizes, recurrence, gate, and the transposes) rather than one: their exponentials
// are independent over time, and short loops over them several vectors at a time keep the arithmetic units full.
//
// One state a channel leaves so little to do in a step that the turning would be half of it: single_state_scan.h.
#pragma once

#include "kernels.h"
#include "simd_several.h"
#include "single_state_scan.h"
#include "tile.h"
#include "vector_math.h"

namespace edgevision {

template <class V>
class ScanKernel {
 public:
  static int64_t items(const Scan& s) { return s.batch * s.groups * blocks(s); }

  static void run(const Scan& s, int64_t index) {
    const int64_t block = index % blocks(s), group = index / blocks(s) % s.groups, b = index / blocks(s) / s.groups;
    const int64_t channel = block * width(s), parameter = group * s.channels + channel;
    const int64_t row = b * s.groups * s.channels + parameter;
    const int64_t u_row = s.shared_u ? b * s.channels + channel : row;
    Item item{};
    item.rows = s.channels - channel < width(s) ? s.channels - channel : width(s);
    item.length = s.length;
    item.u = s.u + u_row * s.length;
    item.delta = s.delta + row * s.length;
    item.z = s.z ? s.z + row * s.length : nullptr;
    item.y = s.y + row * s.length;
    item.bias = s.delta_bias ? s.delta_bias + parameter : nullptr;
    item.softplus = s.softplus;
    item.reverse = s.reverse >> group & 1;
    item.state_stride = s.states;
    if (s.states == 1) {
      const int64_t coefficients = (b * s.groups + group) * s.length;
      const float* D = s.D ? s.D + parameter : nullptr;
      return SingleStateScan<V, GivenSteps>::run(
          {item.u, item.z, s.A + parameter, s.B + coefficients, s.C + coefficients, D, item.bias, nullptr, item.y,
           item.rows, item.length, item.softplus, item.reverse},
          {item.delta, item.length});
    }
    for (int64_t n = 0; n == 0 || n < s.states; n += kStates) {
      item.states = s.states - n < kStates ? s.states - n : kStates;
      item.A = s.A + parameter * s.states + n;
      item.B = s.B + ((b * s.groups + group) * s.states + n) * s.length;
      item.C = s.C + ((b * s.groups + group) * s.states + n) * s.length;
      item.first = n == 0;
      item.skips = s.D || !item.first;
      item.D = s.D && item.first ? s.D + parameter : nullptr;
      item.last = n + item.states == s.states;
      item.rows > V::kLanes ? Pass<Several<V, 2>>::run(item) : Pass<V>::run(item);
    }
  }

 private:
  static constexpr int kTile = 64;
  static constexpr int kStates = 64;
  static_assert(kTile % V::kLanes == 0 && kStates % V::kLanes == 0);

  // Channels of a work item. With several states, two vectors of channels share the broadcasts of B and C.
  static int64_t width(const Scan& s) { return s.states == 1 ? V::kLanes : 2 * V::kLanes; }
  static int64_t blocks(const Scan& s) { return (s.channels + width(s) - 1) / width(s); }

  // Steps that lie in memory.
  struct GivenSteps {
    const float* delta;
    int64_t length;

    template <class Vectors, class Access>
    EDGEVISION_INLINE Vectors add(Vectors bias, int64_t start, int i, Access at) const {
      return bias + ScanBlock<V>::load(delta, length, start, i, at);
    }
    // The next block: more rows are walked at once than the hardware's prefetchers follow.
    void prefetch(const SingleStateItem& item, int64_t start) const {
      const float* const arrays[] = {delta, item.u, item.z, item.y};
      for (const float* p : arrays)
        if (p) prefetch_tile(p + start, length, item.rows, 1);
    }
  };

  // One pass of a work item: its rows, and the states it carries.
  struct Item {
    const float *u, *delta, *z, *A, *B, *C, *D, *bias;
    float* y;
    int64_t rows, length, states, state_stride;
    bool skips, softplus, reverse, first, last;
  };

  // Carries the channels on the lanes of U, which is V or two of V.
  template <class U>
  struct Pass {
    using F = typename U::F;
    static constexpr int W = U::kLanes, kVectors = W / V::kLanes;
    static constexpr int kAtOnce = V::kChains < kVectors ? 1 : V::kChains / kVectors;  // states, or steps
    using Wide = Several<V, kAtOnce * kVectors>;

    alignas(64) float delta[kTile * W], u[kTile * W], drive[kTile * W], A[kStates * W], state[kStates * W];
    alignas(64) float B[kTile * kStates], C[kTile * kStates];
    F skip, bias;
    int64_t next;  // where the next tile starts, or -1

    static void run(const Item& item) {
      Pass pass;
      pass.begin(item);
      const int64_t tiles = (item.length + kTile - 1) / kTile;
      for (int64_t i = 0; i < tiles; ++i) {
        const int64_t start = (item.reverse ? tiles - 1 - i : i) * kTile;
        const int64_t steps = item.length - start < kTile ? item.length - start : kTile;
        transpose_in<V, W>(item.delta + start, item.length, item.rows, steps, pass.delta, W);
        transpose_in<V, W>(item.u + start, item.length, item.rows, steps, pass.u, W);
        pass.next = i + 1 == tiles ? -1 : start + (item.reverse ? -kTile : kTile);
        pass.step_sizes(item, steps);
        if (!item.first) transpose_in<V, W>(item.y + start, item.length, item.rows, steps, pass.u, W);
        item.skips ? pass.template advance<true>(item, start, steps) : pass.template advance<false>(item, start, steps);
        if (item.z && item.last) pass.gate(item, start, steps);
        transpose_out<V, W>(pass.u, item.rows, steps, item.y + start, item.length);
      }
    }

    // A row of the next tile, every few steps of this one: all rows at once would wait for each other.
    void prefetch(const Item& item, int64_t step) const {
      constexpr int64_t kEvery = kTile / W ? kTile / W : 1;
      const int64_t row = step / kEvery;
      if (next < 0 || step % kEvery || row >= item.rows) return;
      const float* const arrays[] = {item.delta, item.u, item.y, item.last ? item.z : nullptr};
      for (const float* p : arrays)
        if (p) prefetch_tile(p + row * item.length + next, item.length, 1, kTile);
    }

    void begin(const Item& item) {
      skip = item.D ? U::load(item.D, item.rows) : U::set(1.0f);  // 1: a later pass adds to y
      bias = item.bias ? U::load(item.bias, item.rows) : U::set(0.0f);
      transpose_in<V, W>(item.A, item.state_stride, item.rows, item.states, A, W);
      for (int64_t n = 0; n < item.states; ++n) {
        U::store(A + n * W, U::load(A + n * W) * U::set(1.44269504088896341f));  // exp(x) = 2^(x / ln 2)
        U::store(state + n * W, U::set(0.0f));
      }
    }

    // The same for every state or step that is worked on at once.
    EDGEVISION_INLINE static typename Wide::F repeat(F x) {
      if constexpr (kVectors == 1)
        return Wide::all(x);
      else
        return Wide::each([&](int i) { return x.v[i % kVectors]; });
    }

    // delta becomes the step size dt, drive = dt u.
    void step_sizes(const Item& item, int64_t steps) {
      const typename Wide::F wide_bias = repeat(bias);
      for (int64_t i = 0; i < steps * W; i += Wide::kLanes) {
        typename Wide::F dt = Wide::load(delta + i) + wide_bias;
        if (item.softplus) dt = Math<Wide>::softplus(dt);
        Wide::store(delta + i, dt);
        Wide::store(drive + i, dt * Wide::load(u + i));
      }
    }

    // u becomes y: what was there times the skip weight (or nothing of it) plus what the states say.
    template <bool Skips>
    void advance(const Item& item, int64_t start, int64_t steps) {
      load_coefficients(item, start, steps);
      const int64_t step = item.reverse ? -1 : 1;
      for (int64_t j = 0, t = item.reverse ? steps - 1 : 0; j < steps; ++j, t += step) {
        F sum = U::set(0.0f);
        if constexpr (Skips) sum = skip * U::load(u + t * W);
        sum = advance_states(item.states, U::load(delta + t * W), U::load(drive + t * W), B + t * kStates,
                             C + t * kStates, sum);
        U::store(u + t * W, sum);
        prefetch(item, j);
      }
    }

    void load_coefficients(const Item& item, int64_t start, int64_t steps) {
      for (int64_t n = 0; n < item.states; n += V::kLanes) {
        const int64_t row = n * item.length + start;
        transpose_in<V, V::kLanes>(item.B + row, item.length, item.states - n, steps, B + n, kStates);
        transpose_in<V, V::kLanes>(item.C + row, item.length, item.states - n, steps, C + n, kStates);
      }
    }

    F advance_states(int64_t states, F dt, F dt_u, const float* b, const float* c, F sum) {
      const typename Wide::F wide_dt = repeat(dt), wide_dt_u = repeat(dt_u);
      int64_t n = 0;
      for (; n + kAtOnce <= states; n += kAtOnce) {
        const typename Wide::F a = Math<Wide>::exp2(Wide::load(A + n * W) * wide_dt);
        const typename Wide::F drive = wide_dt_u * Wide::each([&](int i) { return V::set(b[n + i / kVectors]); });
        const typename Wide::F h = Wide::fma(a, Wide::load(state + n * W), drive);
        Wide::store(state + n * W, h);
        sum = add_states(h, c + n, sum);
      }
      for (; n < states; ++n) {
        const F a = Math<U>::exp2(U::load(A + n * W) * dt);
        const F h = U::fma(a, U::load(state + n * W), dt_u * U::set(b[n]));
        U::store(state + n * W, h);
        sum = U::fma(h, U::set(c[n]), sum);
      }
      return sum;
    }

    EDGEVISION_INLINE static F add_states(typename Wide::F h, const float* c, F sum) {
#pragma GCC unroll 8
      for (int i = 0; i < kAtOnce * kVectors; ++i) {
        if constexpr (kVectors == 1)
          sum = V::fma(h.v[i], V::set(c[i]), sum);
        else
          sum.v[i % kVectors] = V::fma(h.v[i], V::set(c[i / kVectors]), sum.v[i % kVectors]);
      }
      return sum;
    }

    void gate(const Item& item, int64_t start, int64_t steps) {
      transpose_in<V, W>(item.z + start, item.length, item.rows, steps, drive, W);
      for (int64_t i = 0; i < steps * W; i += Wide::kLanes)
        Wide::store(u + i, Wide::load(u + i) * Math<Wide>::silu(Wide::load(drive + i)));
    }
  };
};

}  // namespace edgevision
