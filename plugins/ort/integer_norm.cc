// EvIntegerNorm(x, weight, bias) -> y, x and y uint8 or int8; attribute epsilon. ONNX Runtime takes one operator a type.
#include "custom_op.h"
#include "plan.h"

namespace edgevision {
namespace {

template <bool kSigned>
struct IntegerNormOp {
  static constexpr const char* kName = "EvIntegerNorm";
  static constexpr size_t kInputs = 3, kRequired = 3;

  explicit IntegerNormOp(const OrtKernelInfo* info) : epsilon_(float_attribute(info, "epsilon", 1e-5f)) {}

  OrtStatusPtr ComputeV2(OrtKernelContext* context) {
    return guarded([&] {
      const Input x = read_input(context, 0, kName, "x"), weight = read_input(context, 1, kName, "weight"),
                  bias = read_input(context, 2, kName, "bias");
      IntegerNorm norm = plan_integer_norm(x.shape, weight.shape, bias.shape, kSigned);
      norm.epsilon = epsilon_;
      norm.x = x.bytes();
      norm.weight = weight.data;
      norm.bias = bias.data;
      norm.y = reinterpret_cast<uint8_t*>(make_output(context, x.shape));
      const double elements = static_cast<double>(norm.rows) * static_cast<double>(norm.channels);
      each(context, norm.items(), elements * 0.6, norm, kernels()->integer_norm);
    });
  }

 private:
  float epsilon_;
};

}  // namespace

const OrtCustomOp* integer_norm_op() {
  static const CustomOp<IntegerNormOp<false>, BytesToBytes<ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8>> op;
  return &op;
}

const OrtCustomOp* signed_integer_norm_op() {
  static const CustomOp<IntegerNormOp<true>, BytesToBytes<ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8>> op;
  return &op;
}

}  // namespace edgevision
