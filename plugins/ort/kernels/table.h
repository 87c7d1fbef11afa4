// Fills a Kernels table with one vector type's instances of the templates. Included once by each isa_*.cc.
#pragma once

#include "channel_norm.h"
#include "projected_scan.h"
#include "selective_scan.h"
#include "wavelet.h"
#include "wavelet_conv.h"

namespace edgevision {

template <class V>
struct Table {
  static void dwt(const Wavelet& w, int64_t plane) {
    w.taps == 2 ? WaveletKernel<V, 2>::forward(w, plane) : WaveletKernel<V, 0>::forward(w, plane);
  }
  static void idwt(const Wavelet& w, int64_t plane) {
    w.taps == 2 ? WaveletKernel<V, 2>::inverse(w, plane) : WaveletKernel<V, 0>::inverse(w, plane);
  }
  static void exp(const float* x, float* y, int64_t count) {
    for (int64_t i = 0; i < count; i += V::kLanes) V::store(y + i, Math<V>::exp(V::load(x + i, count - i)), count - i);
  }
  static void softplus(const float* x, float* y, int64_t count) {
    for (int64_t i = 0; i < count; i += V::kLanes)
      V::store(y + i, Math<V>::softplus(V::load(x + i, count - i)), count - i);
  }
  using Projected = ProjectedScanKernel<V>;
  static constexpr Kernels make(const char* name) {
    return {name, &ScanKernel<V>::items, &ScanKernel<V>::run, &dwt, &idwt,
            &ChannelNormKernel<V>::items, &ChannelNormKernel<V>::run, &Projected::project_items, &Projected::project,
            &Projected::scan_items, &Projected::scan, &Projected::sum_size,
            &WaveletConvKernel<V>::items, &WaveletConvKernel<V>::run, &exp, &softplus};
  }
};

}  // namespace edgevision
