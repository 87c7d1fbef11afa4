// EvShiftLinear(x, packed, scale?, bias?) -> y; attributes form, bits, activations.
#include "shift_op.h"

namespace edgevision {
namespace {

struct ShiftLinearOp : ShiftOp {
  static constexpr const char* kName = "EvShiftLinear";

  explicit ShiftLinearOp(const OrtKernelInfo* info) : ShiftOp(kName, info) {}

  OrtStatusPtr ComputeV2(OrtKernelContext* context) {
    return guarded([&] { compute(context); });
  }

 private:
  void compute(OrtKernelContext* context) const {
    const Inputs in = read(context);
    Shape out;
    ShiftLinear layer = plan_shift_linear(in.shapes(), width(), out);
    bind(layer, in, make_output(context, out));
    layer.x = in.x.data;
    if (layer.rows == 0 || layer.outputs == 0) return;
    const int64_t operands = layer.rows * ShiftLinear::padded(layer.inputs);
    const Scratch scratch(context, memory(), operands + layer.rows);
    layer.operands = reinterpret_cast<int32_t*>(scratch.data());
    layer.special = layer.operands + operands;
    const double inputs = static_cast<double>(operands), outputs = static_cast<double>(layer.outputs);
    each(context, layer.rows, inputs * 0.5, layer, kernels()->shift_linear_prepare);
    each(context, kernels()->shift_linear_items(layer), inputs * outputs * 0.06, layer, kernels()->shift_linear);
  }
};

}  // namespace

const OrtCustomOp* shift_linear_op() {
  static const CustomOp<ShiftLinearOp, FloatsAndBytes<1>> op;
  return &op;
}

}  // namespace edgevision
