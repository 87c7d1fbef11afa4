// EvWaveletConv(x, forward, inverse, weight, bias?, residual?) -> y; attribute relu.
#include "custom_op.h"
#include "plan.h"

namespace edgevision {
namespace {

struct WaveletConvOp {
  static constexpr const char* kName = "EvWaveletConv";
  static constexpr size_t kInputs = 6, kRequired = 4;

  explicit WaveletConvOp(const OrtKernelInfo* info) : relu_(int_attribute(info, "relu", 0) != 0) {}

  OrtStatusPtr ComputeV2(OrtKernelContext* context) {
    return guarded([&] { compute(context); });
  }

 private:
  void compute(OrtKernelContext* context) const {
    constexpr const char* kNames[kInputs] = {"x", "forward", "inverse", "weight", "bias", "residual"};
    Input in[kInputs];
    for (size_t i = 0; i < kInputs; ++i) in[i] = read_input(context, i, kName, kNames[i]);
    WaveletConv conv = plan_wavelet_conv(
        {in[0].shape, in[1].shape, in[2].shape, in[3].shape, in[4].shape, in[5].shape}, relu_);
    conv.x = in[0].data;
    conv.forward = in[1].data;
    conv.inverse = in[2].data;
    conv.weight = in[3].data;
    conv.bias = in[4].data;
    conv.residual = in[5].data;
    conv.y = make_output(context, in[0].shape);
    const double pixels = static_cast<double>(conv.batch * conv.channels * conv.height * conv.width);
    const double nanoseconds = pixels * (1.0 + 0.05 * static_cast<double>(conv.taps * conv.taps)) +
                               40.0 * static_cast<double>(conv.batch * conv.channels);  // turning the weights
    parallel_for(context, kernels()->wavelet_conv_items(conv), nanoseconds, &conv, [](void* user, size_t item) {
      kernels()->wavelet_conv(*static_cast<const WaveletConv*>(user), static_cast<int64_t>(item));
    });
  }

  bool relu_;
};

}  // namespace

const OrtCustomOp* wavelet_conv_op() {
  static const CustomOp<WaveletConvOp> op;
  return &op;
}

}  // namespace edgevision
