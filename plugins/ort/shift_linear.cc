// EvShiftLinear(x, packed, scale?, bias?) -> y; attributes form, bits, activations.
#include "custom_op.h"
#include "plan.h"

namespace edgevision {
namespace {

struct ShiftLinearOp {
  static constexpr const char* kName = "EvShiftLinear";
  static constexpr size_t kInputs = 4, kRequired = 2;

  explicit ShiftLinearOp(const OrtKernelInfo* info)
      : codes_(plan_shift_codes(kName, string_attribute(info, "form", "ps"), int_attribute(info, "bits", 5))),
        activations_(parse_activations(kName, string_attribute(info, "activations", "float"))) {}

  OrtStatusPtr ComputeV2(OrtKernelContext* context) {
    return guarded([&] { compute(context); });
  }

 private:
  void compute(OrtKernelContext* context) const {
    constexpr const char* kNames[kInputs] = {"x", "packed", "scale", "bias"};
    Input in[kInputs];
    for (size_t i = 0; i < kInputs; ++i) in[i] = read_input(context, i, kName, kNames[i]);
    Shape out;
    ShiftLinear layer = plan_shift_linear({in[0].shape, in[1].shape, in[2].shape, in[3].shape}, codes_.width, out);
    layer.activations = activations_;
    layer.codes = &codes_;
    layer.x = in[0].data;
    layer.packed = in[1].bytes();
    layer.scale = in[2].data;
    layer.bias = in[3].data;
    layer.y = make_output(context, out);
    if (layer.rows == 0 || layer.outputs == 0) return;
    const int64_t operands = layer.rows * ShiftLinear::padded(layer.inputs);
    const Scratch scratch(context, memory_.get(), operands + layer.rows);
    layer.operands = reinterpret_cast<int32_t*>(scratch.data());
    layer.special = layer.operands + operands;
    const double inputs = static_cast<double>(operands), outputs = static_cast<double>(layer.outputs);
    each(context, layer.rows, inputs * 0.5, layer, kernels()->shift_linear_prepare);
    each(context, kernels()->shift_linear_items(layer), inputs * outputs * 0.06, layer, kernels()->shift_linear);
  }

  ShiftCodes codes_;
  ShiftLinear::Activations activations_;
  ArenaInfo memory_;
};

}  // namespace

const OrtCustomOp* shift_linear_op() {
  static const CustomOp<ShiftLinearOp, FloatsAndBytes<1>> op;
  return &op;
}

}  // namespace edgevision
