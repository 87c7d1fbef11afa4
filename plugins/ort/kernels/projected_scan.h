// The selective scan of a vision block with everything that leads to it, one state a channel.
//
// Two phases, each over independent work items. `project` takes a few pixels through all channels: u = silu(x), kept
// where y will be, and the rows of the projection (low-rank step sizes, B and C of every group). `scan` takes the
// channels on the lanes through time: step sizes from the low rank, then the recurrence as in selective_scan.h, group
// after group into one sum. Step sizes as long as u for every group, which a graph would write and read again, are never
// in memory.
#pragma once

#include "kernels.h"
#include "simd_pair.h"
#include "tile.h"
#include "vector_math.h"

namespace edgevision {

template <class V>
class ProjectedScanKernel {
 public:
  static int64_t project_items(const ProjectedScan& s) { return s.batch * columns(s); }
  static int64_t scan_items(const ProjectedScan& s) { return s.batch * blocks(s); }
  // Floats of `sum`: whole blocks of channels.
  static int64_t sum_size(const ProjectedScan& s) { return s.batch * blocks(s) * W * s.length; }

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
    const int64_t b = index / blocks(s), channel = index % blocks(s) * W;
    Block block;
    block.rows = s.channels - channel < W ? s.channels - channel : W;
    block.u = s.y + (b * s.channels + channel) * s.length;
    block.sum = s.sum + index * W * s.length;
    block.coefficients = s.coefficients + b * s.rows() * s.length;
    block.run(s, channel);
  }

 private:
  using F = typename V::F;
  static constexpr int W = V::kLanes;
  static constexpr int kTile = 64, kChannels = 64, kRows = 8, kRank = ProjectedScan::kMostRank;

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

  // The channels of one work item of the second phase.
  struct Block {
    int64_t rows;
    float *u, *sum;
    const float* coefficients;
    alignas(64) float input[kTile * W], step[kTile * W], drive[kTile * W], weight[kRank * W];

    using Wide = Pair<Pair<V>>;

    void run(const ProjectedScan& s, int64_t channel) {
      F skip = V::set(0.0f);
      for (int64_t g = 0; g < s.groups; ++g) skip = skip + V::load(s.D + g * s.channels + channel, rows);
      const int64_t tiles = (s.length + kTile - 1) / kTile;
      for (int64_t g = 0; g < s.groups; ++g) {
        const int64_t parameter = g * s.channels + channel;
        const F decay = V::load(s.A + parameter, rows) * V::set(1.44269504088896341f);  // exp(x) = 2^(x / ln 2)
        const F bias = V::load(s.delta_bias + parameter, rows);
        transpose_in<V, W>(s.steps + parameter * s.rank, s.rank, rows, s.rank, weight, W);
        const bool reverse = s.reverse >> g & 1, first = g == 0, last = g + 1 == s.groups;
        F h = V::set(0.0f);
        for (int64_t i = 0; i < tiles; ++i) {
          const int64_t start = (reverse ? tiles - 1 - i : i) * kTile;
          const int64_t count = s.length - start < kTile ? s.length - start : kTile;
          transpose_in<V, W>(u + start, s.length, rows, count, input, W);
          step_sizes(coefficients + g * s.rank * s.length + start, s.length, s.rank, bias, count);
          decays(decay, count);
          const float* B = coefficients + (s.groups * s.rank + g) * s.length + start;
          const float* C = B + s.groups * s.length;
          h = advance(h, skip, B, C, sum + start * W, count, reverse, first, last);
          if (last) transpose_out<V, W>(input, rows, count, u + start, s.length);
        }
      }
    }

    // step = bias + weight x low rank. Four times at once: each is a chain of dependent multiply-adds.
    void step_sizes(const float* low, int64_t stride, int64_t rank, F bias, int64_t count) {
      for (int64_t t = 0; t < count; t += 4) {
        const int64_t t1 = t + 1 < count ? t + 1 : t, t2 = t + 2 < count ? t + 2 : t, t3 = t + 3 < count ? t + 3 : t;
        F a = bias, b = bias, c = bias, d = bias;
        for (int64_t r = 0; r < rank; ++r) {
          const F w = V::load(weight + r * W);
          const float* row = low + r * stride;
          a = V::fma(w, V::set(row[t]), a);
          b = V::fma(w, V::set(row[t1]), b);
          c = V::fma(w, V::set(row[t2]), c);
          d = V::fma(w, V::set(row[t3]), d);
        }
        V::store(step + t * W, a), V::store(step + (t + 1) * W, b);
        V::store(step + (t + 2) * W, c), V::store(step + (t + 3) * W, d);
      }
    }

    // drive = dt u, and step becomes exp(dt A), with dt = softplus(step).
    void decays(F decay, int64_t count) {
      const typename Wide::F scale = Wide::both(Pair<V>::both(decay));
      for (int64_t i = 0; i < count * W; i += 4 * W) {
        const typename Wide::F dt = Math<Wide>::softplus(Wide::load(step + i));
        Wide::store(drive + i, dt * Wide::load(input + i));
        Wide::store(step + i, Math<Wide>::exp2(scale * dt));
      }
    }

    // Into `sum`, or for the last group into `input`: what earlier groups left there plus what this one's state says.
    F advance(F h, F skip, const float* B, const float* C, float* so_far, int64_t count, bool reverse, bool first,
              bool last) {
      const int64_t way = reverse ? -1 : 1;
      for (int64_t j = 0, t = reverse ? count - 1 : 0; j < count; ++j, t += way) {
        h = V::fma(V::load(step + t * W), h, V::load(drive + t * W) * V::set(B[t]));
        const F before = first ? skip * V::load(input + t * W) : V::load(so_far + t * W);
        V::store(last ? input + t * W : so_far + t * W, V::fma(h, V::set(C[t]), before));
      }
      return h;
    }
  };
};

}  // namespace edgevision
