// EvChannelNorm(x, weight, bias, z?) -> y; attribute epsilon.
#include "custom_op.h"
#include "plan.h"

namespace edgevision {
namespace {

struct ChannelNormOp {
  static constexpr const char* kName = "EvChannelNorm";
  static constexpr size_t kInputs = 4, kRequired = 3;

  explicit ChannelNormOp(const OrtKernelInfo* info) : epsilon_(float_attribute(info, "epsilon", 1e-5f)) {}

  OrtStatusPtr ComputeV2(OrtKernelContext* context) {
    return guarded([&] { compute(context); });
  }

 private:
  void compute(OrtKernelContext* context) const {
    constexpr const char* kNames[kInputs] = {"x", "weight", "bias", "z"};
    Input in[kInputs];
    for (size_t i = 0; i < kInputs; ++i) in[i] = read_input(context, i, kName, kNames[i]);
    Shape out;
    ChannelNorm norm = plan_channel_norm(in[0].shape, in[1].shape, in[2].shape, in[3].shape, out);
    norm.epsilon = epsilon_;
    norm.x = in[0].data;
    norm.weight = in[1].data;
    norm.bias = in[2].data;
    norm.z = in[3].data;
    norm.y = make_output(context, out);
    const int64_t items = kernels()->channel_norm_items(norm);
    if (items == 0) return;
    const double elements = static_cast<double>(norm.batch * norm.channels) * static_cast<double>(norm.pixels);
    parallel_for(context, items, elements, &norm, [](void* user, size_t item) {
      kernels()->channel_norm(*static_cast<const ChannelNorm*>(user), static_cast<int64_t>(item));
    });
  }

  float epsilon_;
};

}  // namespace

const OrtCustomOp* channel_norm_op() {
  static const CustomOp<ChannelNormOp> op;
  return &op;
}

}  // namespace edgevision
