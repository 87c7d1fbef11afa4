// EvIntegerResponseNorm(x, table, gamma) -> y, x and y uint8 or int8; attributes epsilon, scale, zero_point.
#include "custom_op.h"
#include "plan.h"

namespace edgevision {
namespace {

template <bool kSigned>
struct IntegerResponseNormOp {
  static constexpr const char* kName = "EvIntegerResponseNorm";
  static constexpr size_t kInputs = 3, kRequired = 3;

  explicit IntegerResponseNormOp(const OrtKernelInfo* info)
      : epsilon_(float_attribute(info, "epsilon", 1e-6f)),
        scale_(float_attribute(info, "scale", 1.0f)),
        zero_(static_cast<float>(int_attribute(info, "zero_point", 0))) {}

  OrtStatusPtr ComputeV2(OrtKernelContext* context) {
    return guarded([&] { compute(context); });
  }

 private:
  void compute(OrtKernelContext* context) const {
    const Input x = read_input(context, 0, kName, "x"), table = read_input(context, 1, kName, "table"),
                gamma = read_input(context, 2, kName, "gamma");
    IntegerResponseNorm norm = plan_integer_response_norm(x.shape, table.shape, gamma.shape, kSigned);
    norm.epsilon = epsilon_;
    norm.scale = scale_;
    norm.zero = zero_;
    norm.x = x.bytes();
    norm.table = table.data;
    norm.gamma = gamma.data;
    norm.y = reinterpret_cast<uint8_t*>(make_output(context, x.shape));
    const int64_t rows = norm.batch * norm.channels;
    if (rows == 0 || norm.pixels == 0) return;
    const Scratch scratch(context, memory_.get(), rows);
    norm.factors = scratch.data();
    const double elements = static_cast<double>(rows) * static_cast<double>(norm.pixels);
    each(context, norm.batch * norm.blocks(), elements * 0.5, norm, kernels()->integer_response_measure);
    for (int64_t image = 0; image < norm.batch; ++image) kernels()->integer_response_factor(norm, image);
    each(context, norm.batch * norm.strips(), elements * 0.5, norm, kernels()->integer_response_scale);
  }

  float epsilon_, scale_, zero_;
  ArenaInfo memory_;
};

}  // namespace

const OrtCustomOp* integer_response_norm_op() {
  static const CustomOp<IntegerResponseNormOp<false>, BytesToBytes<ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8>> op;
  return &op;
}

const OrtCustomOp* signed_integer_response_norm_op() {
  static const CustomOp<IntegerResponseNormOp<true>, BytesToBytes<ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8>> op;
  return &op;
}

}  // namespace edgevision
