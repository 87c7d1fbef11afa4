// EvLookup(x, table) -> y, all uint8 or all int8: ONNX Runtime takes one operator a type.
#include "custom_op.h"
#include "plan.h"

namespace edgevision {
namespace {

struct LookupOp {
  static constexpr const char* kName = "EvLookup";
  static constexpr size_t kInputs = 2, kRequired = 2;

  explicit LookupOp(const OrtKernelInfo*) {}

  OrtStatusPtr ComputeV2(OrtKernelContext* context) {
    return guarded([&] {
      const Input x = read_input(context, 0, kName, "x"), table = read_input(context, 1, kName, "table");
      Lookup lookup = plan_lookup(x.shape, table.shape);
      lookup.x = x.bytes();
      lookup.table = table.bytes();
      lookup.y = reinterpret_cast<uint8_t*>(make_output(context, x.shape));
      each(context, lookup.items(), static_cast<double>(lookup.count) * 0.1, lookup, kernels()->lookup);
    });
  }
};

template <ONNXTensorElementDataType Type>
using AllOf = Types<kEverywhere, Type, Type>;

}  // namespace

const OrtCustomOp* lookup_op() {
  static const CustomOp<LookupOp, AllOf<ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8>> op;
  return &op;
}

const OrtCustomOp* signed_lookup_op() {
  static const CustomOp<LookupOp, AllOf<ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8>> op;
  return &op;
}

}  // namespace edgevision
