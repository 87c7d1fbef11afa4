// The scan with one state a channel: time on the lanes where steps are independent, channels where they are not.
//
// Step sizes, decays, the gate and all products are elementwise, so time, memory's own order, lies on the lanes; only
// h = decay h + drive walks through time, with channels on the lanes. So a block of kLanes channels and as many steps is
// turned three times (decay and drive in, h out), in two halves each (simd_scalar.h): one where the arithmetic has the
// vectors in registers anyway, one around the recurrence.
#pragma once

#include "always_inline.h"
#include "kernels.h"
#include "simd_several.h"
#include "vector_math.h"

namespace edgevision {

// The rows and steps of a block that are worked on at once, and how they are read and written.
template <class V>
struct ScanBlock {
  using F = typename V::F;
  static constexpr int W = V::kLanes, kQuad = V::kQuad, kQuads = W / kQuad;
  static constexpr int kGroups = V::kChains / kQuads;  // group i of rows: i, i + kQuad, i + 2 kQuad …
  using Rows = Several<V, V::kChains>;                 // groups i to i + kGroups, one row a vector
  using Vectors = typename Rows::F;

  // The row of vector j.
  static constexpr int row(int i, int j) { return i + j / kQuads + j % kQuads * kQuad; }

  struct Whole {
    bool has(int) const { return true; }
    int64_t existing(int row) const { return row; }
    F load(const float* p) const { return V::load(p); }
    F load(const float* p, int) const { return V::load(p); }
    void store(float* p, int, F x) const { V::store(p, x); }
  };
  // The last steps of all rows, and those of some.
  struct Tail {
    int64_t steps;
    bool has(int step) const { return step < steps; }
    int64_t existing(int row) const { return row; }
    F load(const float* p) const { return V::load(p, steps); }
    F load(const float* p, int) const { return V::load(p, steps); }
    void store(float* p, int, F x) const { V::store(p, x, steps); }
  };
  struct Part {
    int64_t rows, steps;
    bool has(int step) const { return step < steps; }
    int64_t existing(int row) const { return row < rows ? row : rows - 1; }
    F load(const float* p) const { return V::load(p, steps); }
    F load(const float* p, int row) const { return row < rows ? V::load(p, steps) : V::set(0.0f); }
    void store(float* p, int row, F x) const {
      if (row < rows) V::store(p, x, steps);
    }
  };

  // Rows of `p`, which are `length` apart, from step `start` on.
  template <class Access>
  EDGEVISION_INLINE static Vectors load(const float* p, int64_t length, int64_t start, int i, Access at) {
    return Rows::each([&](int j) { return at.load(p + row(i, j) * length + start, row(i, j)); });
  }
  // One number a row.
  EDGEVISION_INLINE static Vectors each_row(const float* p, int i) {
    return Rows::each([&](int j) { return V::set(p[row(i, j)]); });
  }
};

// At most kLanes channels of one group of one batch entry, whose rows lie `length` apart. Null: z, D, bias; `before`,
// what y is added to. y may be u.
struct SingleStateItem {
  const float *u, *z, *A, *B, *C, *D, *bias, *before;
  float* y;
  int64_t rows, length;
  bool softplus, reverse;
};

// `Steps` says what is added to the bias before the softplus: add(bias, start, i, access) for rows of a ScanBlock.
template <class V, class Steps>
class SingleStateScan {
 public:
  static void run(const SingleStateItem& item, const Steps& steps) {
    SingleStateScan scan(item, steps);
    item.reverse ? scan.template walk<true>() : scan.template walk<false>();
  }

 private:
  using Block = ScanBlock<V>;
  using F = typename V::F;
  using Rows = typename Block::Rows;
  using Vectors = typename Block::Vectors;
  static constexpr int W = V::kLanes, kQuad = V::kQuad, kQuads = Block::kQuads, kGroups = Block::kGroups;

  const SingleStateItem item;
  const Steps& steps;
  F h = V::set(0.0f);
  float A[W], D[W], bias[W];                                  // 0 beyond the last row
  alignas(64) float step[W * W], decay[W * W], drive[W * W];  // step becomes what y starts from, drive h

  SingleStateScan(const SingleStateItem& given, const Steps& how) : item(given), steps(how) {
    V::store(A, V::load(item.A, item.rows) * V::set(1.44269504088896341f));  // exp(x) = 2^(x / ln 2)
    V::store(D, item.D ? V::load(item.D, item.rows) : V::set(0.0f));
    V::store(bias, item.bias ? V::load(item.bias, item.rows) : V::set(0.0f));
  }

  template <bool Reverse>
  void walk() {
    const int64_t blocks = (item.length + W - 1) / W;
    for (int64_t i = 0; i < blocks; ++i) {
      const int64_t start = (Reverse ? blocks - 1 - i : i) * W, left = item.length - start;
      if (i + 1 < blocks) steps.prefetch(item, start + (Reverse ? -W : W));
      if (item.rows < W)
        block<Reverse>(start, typename Block::Part{item.rows, left});
      else if (left < W)
        block<Reverse>(start, typename Block::Tail{left});
      else
        block<Reverse>(start, typename Block::Whole{});
    }
  }

  template <bool Reverse, class Access>
  void block(int64_t start, Access at) {
    for (int i = 0; i < kQuad; i += kGroups) step_sizes(start, i, at);
    for (int i = 0; i < kQuad; i += kGroups) prepare(start, i, at);
    for (int q = 0; q < kQuads; ++q) recur<Reverse>(Reverse ? kQuads - 1 - q : q, at);
    for (int i = 0; i < kQuad; i += kGroups) finish(start, i, at);
  }

  template <class Access>
  EDGEVISION_INLINE void step_sizes(int64_t start, int i, Access at) {
    Vectors dt = steps.add(Block::each_row(bias, i), start, i, at);
    if (item.softplus) dt = Math<Rows>::softplus(dt);
    Rows::store(step + i * W * kQuads, dt);
  }

  // A loop of its own: an out-of-order core does not look far enough ahead to overlap softplus and exp of one row.
  template <class Access>
  EDGEVISION_INLINE void prepare(int64_t start, int i, Access at) {
    const Vectors dt = Rows::load(step + i * W * kQuads), u = Block::load(item.u, item.length, start, i, at);
    turn_in(decay, i, Math<Rows>::exp2(Block::each_row(A, i) * dt));
    turn_in(drive, i, dt * u * Rows::all(at.load(item.B + start)));
    Rows::store(step + i * W * kQuads, item.D ? Block::each_row(D, i) * u : Rows::set(0.0f));
  }

  EDGEVISION_INLINE static void turn_in(float* to, int i, Vectors x) {
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      F quads[kQuads];
#pragma GCC unroll 4
      for (int q = 0; q < kQuads; ++q) quads[q] = x.v[g * kQuads + q];
      V::exchange_quads(quads);
#pragma GCC unroll 4
      for (int q = 0; q < kQuads; ++q) V::store(to + (q * kQuad + i + g) * W, quads[q]);
    }
  }

  template <bool Reverse, class Access>
  EDGEVISION_INLINE void recur(int q, Access at) {
    F a[kQuad], b[kQuad];
#pragma GCC unroll 4
    for (int i = 0; i < kQuad; ++i) {
      a[i] = V::load(decay + (q * kQuad + i) * W);
      b[i] = V::load(drive + (q * kQuad + i) * W);
    }
    V::transpose_quads(a);
    V::transpose_quads(b);
#pragma GCC unroll 4
    for (int i = 0; i < kQuad; ++i) {
      const int k = Reverse ? kQuad - 1 - i : i;
      if (!Reverse || at.has(q * kQuad + k)) h = V::fma(a[k], h, b[k]);  // what comes after the end matters to nobody
      b[k] = h;
    }
    V::transpose_quads(b);
#pragma GCC unroll 4
    for (int i = 0; i < kQuad; ++i) V::store(drive + (q * kQuad + i) * W, b[i]);
  }

  EDGEVISION_INLINE static Vectors turn_out(const float* from, int i) {
    Vectors x;
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      F quads[kQuads];
#pragma GCC unroll 4
      for (int q = 0; q < kQuads; ++q) quads[q] = V::load(from + (q * kQuad + i + g) * W);
      V::exchange_quads(quads);
#pragma GCC unroll 4
      for (int q = 0; q < kQuads; ++q) x.v[g * kQuads + q] = quads[q];
    }
    return x;
  }

  template <class Access>
  EDGEVISION_INLINE void finish(int64_t start, int i, Access at) {
    Vectors y = Rows::fma(turn_out(drive, i), Rows::all(at.load(item.C + start)), Rows::load(step + i * W * kQuads));
    if (item.before) y = y + Block::load(item.before, item.length, start, i, at);
    if (item.z) y = y * Math<Rows>::silu(Block::load(item.z, item.length, start, i, at));
#pragma GCC unroll 8
    for (int j = 0; j < V::kChains; ++j) {
      const int row = Block::row(i, j);
      at.store(item.y + row * item.length + start, row, y.v[j]);
    }
  }
};

}  // namespace edgevision
