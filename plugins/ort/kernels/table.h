// Fills a Kernels table with one vector type's instances of the templates. Included once by each isa_*.cc.
#pragma once

#include "channel_norm.h"
#include "depthwise_conv.h"
#include "integer_norm.h"
#include "integer_response_norm.h"
#include "lookup.h"
#include "projected_scan.h"
#include "response_norm.h"
#include "selective_scan.h"
#include "shift_conv.h"
#include "shift_linear.h"
#include "wavelet_block.h"
#include "wavelet_conv.h"

namespace edgevision {

template <class V>
struct Table {
  static int64_t wavelet_items(const Wavelet& w) {
    return WaveletBlock<V, 0>::fits(w) ? WaveletBlock<V, 0>::items(w) : w.planes;
  }
  static void wavelet(const Wavelet& w, int64_t item) { w.taps == 2 ? wavelet<2>(w, item) : wavelet<0>(w, item); }
  template <int K>
  static void wavelet(const Wavelet& w, int64_t item) {
    if (WaveletBlock<V, K>::fits(w))
      w.out_is_image ? WaveletBlock<V, K>::inverse(w, item) : WaveletBlock<V, K>::forward(w, item);
    else
      w.out_is_image ? WaveletKernel<V, K>::inverse(w, item) : WaveletKernel<V, K>::forward(w, item);
  }
  static void exp(const float* x, float* y, int64_t count) {
    for (int64_t i = 0; i < count; i += V::kLanes) V::store(y + i, Math<V>::exp(V::load(x + i, count - i)), count - i);
  }
  static void softplus(const float* x, float* y, int64_t count) {
    for (int64_t i = 0; i < count; i += V::kLanes)
      V::store(y + i, Math<V>::softplus(V::load(x + i, count - i)), count - i);
  }
  static void gelu(const float* x, float* y, int64_t count) {
    for (int64_t i = 0; i < count; i += V::kLanes) V::store(y + i, Math<V>::gelu(V::load(x + i, count - i)), count - i);
  }
  using Response = ResponseNormKernel<V>;
  using IntegerResponse = IntegerResponseNormKernel<V>;
  using Projected = ProjectedScanKernel<V>;
  static constexpr Kernels make(const char* name) {
    return {name,
            &ScanKernel<V>::items,
            &ScanKernel<V>::run,
            &wavelet_items,
            &wavelet,
            &ChannelNormKernel<V>::items,
            &ChannelNormKernel<V>::run,
            &Projected::project_items,
            &Projected::project,
            &Projected::scan_items,
            &Projected::scan,
            &Projected::sum_size,
            &WaveletConvKernel<V>::items,
            &WaveletConvKernel<V>::run,
            &DepthwiseConvKernel<V>::items,
            &DepthwiseConvKernel<V>::run,
            &Response::measure,
            &Response::factor,
            &Response::scale,
            &ShiftLinearKernel<V>::prepare,
            &ShiftLinearKernel<V>::items,
            &ShiftLinearKernel<V>::run,
            &ShiftConvKernel<V>::prepare,
            &ShiftConvKernel<V>::items,
            &ShiftConvKernel<V>::run,
            &IntegerNormKernel<V>::run,
            &IntegerResponse::measure,
            &IntegerResponse::factor,
            &IntegerResponse::scale,
            &LookupKernel<typename V::Bytes>::run,
            &exp,
            &softplus,
            &gelu};
  }
};

}  // namespace edgevision
