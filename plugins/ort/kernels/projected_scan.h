// The selective scan of a vision block with everything that leads to it, one state a channel.
//
// Two phases, each over independent work items. `project` takes a few pixels through all channels: u = silu(x), kept
// where y will be, and the rows of the projection (low-rank step sizes, B and C of every group). `scan` takes a few
// channels through time as single_state_scan.h does, group after group into one sum. Step sizes as long as u for every
// group, which a graph would write and read again, are never in memory.
#pragma once

#include "kernels.h"
#include "single_state_scan.h"
#include "vector_math.h"

namespace edgevision {

template <class V>
class ProjectedScanKernel {
 public:
  static int64_t project_items(const ProjectedScan& s) { return s.batch * columns(s); }
  static int64_t scan_items(const ProjectedScan& s) { return s.batch * blocks(s); }
  // Floats of `sum`.
  static int64_t sum_size(const ProjectedScan& s) { return s.groups > 1 ? s.batch * s.channels * s.length : 0; }

  static void project(const ProjectedScan& s, int64_t index) {
    const int64_t b = index / columns(s), start = index % columns(s) * W, left = s.length - start;
    const float* x = s.x + b * s.channels * s.length + start;
    float* u = s.y + b * s.channels * s.length + start;
    float* out = s.coefficients + b * s.rows() * s.length + start;
    alignas(64) float part[kChannels * W];
    for (int64_t c = 0; c < s.channels; c += kChannels) {
      const int64_t count = s.channels - c < kChannels ? s.channels - c : kChannels;
      for (int64_t i = 0; i < count; ++i) {
        F value = V::load(x + (c + i) * s.length, left);
        if (s.silu) value = Math<V>::silu(value);
        V::store(part + i * W, value);
        V::store(u + (c + i) * s.length, value, left);
      }
      int64_t r = 0;
      for (; r + kRows <= s.rows(); r += kRows) add_rows<kRows>(s, part, r, c, count, out, left);
      for (; r < s.rows(); ++r) add_rows<1>(s, part, r, c, count, out, left);
    }
  }

  static void scan(const ProjectedScan& s, int64_t index) {
    const int64_t b = index / blocks(s), channel = index % blocks(s) * W, start = (b * s.channels + channel) * s.length;
    const float* coefficients = s.coefficients + b * s.rows() * s.length;
    float *y = s.y + start, *sum = s.groups > 1 ? s.sum + start : nullptr;
    SingleStateItem item{};
    item.u = y;
    item.rows = s.channels - channel < W ? s.channels - channel : W;
    item.length = s.length;
    item.softplus = true;
    float skip[W];
    V::store(skip, V::set(0.0f));
    for (int64_t g = 0; g < s.groups; ++g)
      V::store(skip, V::load(skip) + V::load(s.D + g * s.channels + channel, item.rows));
    for (int64_t g = 0; g < s.groups; ++g) {
      const int64_t parameter = g * s.channels + channel;
      item.A = s.A + parameter;
      item.bias = s.delta_bias + parameter;
      item.B = coefficients + (s.groups * s.rank + g) * s.length;
      item.C = item.B + s.groups * s.length;
      item.D = g ? nullptr : skip;
      item.before = g ? sum : nullptr;
      item.y = g + 1 == s.groups ? y : sum;
      item.reverse = s.reverse >> g & 1;
      SingleStateScan<V, LowRankSteps>::run(
          item, {s.steps + parameter * s.rank, coefficients + g * s.rank * s.length, s.rank, s.length});
    }
  }

 private:
  using F = typename V::F;
  static constexpr int W = V::kLanes;
  static constexpr int kChannels = 64, kRows = 8;

  static int64_t columns(const ProjectedScan& s) { return (s.length + W - 1) / W; }
  static int64_t blocks(const ProjectedScan& s) { return (s.channels + W - 1) / W; }

  // out[r...] += projection[r..., c...] part, or = for the first channels.
  template <int Rows>
  static void add_rows(const ProjectedScan& s, const float* part, int64_t r, int64_t c, int64_t count, float* out,
                       int64_t left) {
    F total[Rows];
    for (int i = 0; i < Rows; ++i) total[i] = c ? V::load(out + (r + i) * s.length, left) : V::set(0.0f);
    const float* weight = s.projection + r * s.channels + c;
    for (int64_t j = 0; j < count; ++j) {
      const F value = V::load(part + j * W);
      for (int i = 0; i < Rows; ++i) total[i] = V::fma(V::set(weight[i * s.channels + j]), value, total[i]);
    }
    for (int i = 0; i < Rows; ++i) V::store(out + (r + i) * s.length, total[i], left);
  }

  // weight x low: the step sizes of a row are a sum over the rows of `low`.
  struct LowRankSteps {
    const float *weight, *low;
    int64_t rank, length;

    template <class Vectors, class Access>
    EDGEVISION_INLINE Vectors add(Vectors sum, int64_t start, int i, Access at) const {
      using Block = ScanBlock<V>;
      for (int64_t r = 0; r < rank; ++r) {
        const F row = at.load(low + r * length + start);
        sum = Block::Rows::each([&](int j) {
          return V::fma(V::set(weight[at.existing(Block::row(i, j)) * rank + r]), row, sum.v[j]);
        });
      }
      return sum;
    }
    void prefetch(const SingleStateItem&, int64_t) const {}  // `project` has just been there
  };
};

}  // namespace edgevision
