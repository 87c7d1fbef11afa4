// EvResponseNorm(x, gamma) -> y; attributes epsilon, gelu.
#include "custom_op.h"
#include "plan.h"

namespace edgevision {
namespace {

struct ResponseNormOp {
  static constexpr const char* kName = "EvResponseNorm";
  static constexpr size_t kInputs = 2, kRequired = 2;

  explicit ResponseNormOp(const OrtKernelInfo* info)
      : epsilon_(float_attribute(info, "epsilon", 1e-6f)), gelu_(int_attribute(info, "gelu", 0) != 0) {}

  OrtStatusPtr ComputeV2(OrtKernelContext* context) {
    return guarded([&] { compute(context); });
  }

 private:
  void compute(OrtKernelContext* context) const {
    const Input x = read_input(context, 0, kName, "x"), gamma = read_input(context, 1, kName, "gamma");
    ResponseNorm norm = plan_response_norm(x.shape, gamma.shape);
    norm.epsilon = epsilon_;
    norm.gelu = gelu_;
    norm.x = x.data;
    norm.gamma = gamma.data;
    norm.y = make_output(context, x.shape);
    const int64_t rows = norm.batch * norm.channels;
    if (rows == 0 || norm.pixels == 0) return;
    const Scratch scratch(context, memory_.get(), rows);
    norm.factors = scratch.data();
    const double elements = static_cast<double>(rows) * static_cast<double>(norm.pixels);
    each(context, rows, elements * (gelu_ ? 0.5 : 0.1), norm, kernels()->response_norm_measure);
    for (int64_t image = 0; image < norm.batch; ++image) kernels()->response_norm_factor(norm, image);
    each(context, rows, elements * 0.1, norm, kernels()->response_norm_scale);
  }

  float epsilon_;
  bool gelu_;
  ArenaInfo memory_;
};

}  // namespace

const OrtCustomOp* response_norm_op() {
  static const CustomOp<ResponseNormOp> op;
  return &op;
}

}  // namespace edgevision
