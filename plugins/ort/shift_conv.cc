// EvShiftConv(x, packed, scale?, bias?) -> y; attributes form, bits, activations, and the geometry of ONNX's Conv.
#include <algorithm>

#include "shift_op.h"

namespace edgevision {
namespace {

struct ShiftConvOp : ShiftOp {
  static constexpr const char* kName = "EvShiftConv";

  explicit ShiftConvOp(const OrtKernelInfo* info)
      : ShiftOp(kName, info),
        geometry_{ints_attribute(info, "kernel_shape", {1, 1}), ints_attribute(info, "strides", {1, 1}),
                  ints_attribute(info, "pads", {0, 0, 0, 0}), ints_attribute(info, "dilations", {1, 1}),
                  int_attribute(info, "group", 1)} {}

  OrtStatusPtr ComputeV2(OrtKernelContext* context) {
    return guarded([&] { compute(context); });
  }

 private:
  void compute(OrtKernelContext* context) const {
    const Inputs in = read(context);
    Shape out;
    ShiftConv conv = plan_shift_conv(in.shapes(), geometry_, width(), out);
    ShiftLinear& layer = conv.layer;
    bind(layer, in, make_output(context, out));
    conv.x = in.x.data;
    if (conv.images == 0 || conv.plane == 0 || layer.outputs == 0) return;
    const Scratch scratch(context, memory(), conv.operands() + conv.some_groups * layer.rows);
    layer.operands = reinterpret_cast<int32_t*>(scratch.data());
    layer.special = layer.operands + conv.operands();
    const int64_t rows = layer.rows, groups = conv.some_groups;
    for (conv.image = 0; conv.image < conv.images; ++conv.image)
      for (conv.first_group = 0; conv.first_group < conv.groups; conv.first_group += groups)
        for (conv.first_row = 0; conv.first_row < conv.plane; conv.first_row += rows) {
          conv.some_groups = std::min(groups, conv.groups - conv.first_group);
          layer.rows = std::min(rows, conv.plane - conv.first_row);
          const double operands = static_cast<double>(conv.operands());
          each(context, conv.some_groups * layer.rows, operands, conv, kernels()->shift_conv_prepare);
          each(context, kernels()->shift_conv_items(conv), operands * static_cast<double>(layer.outputs) * 0.06, conv,
               kernels()->shift_conv);
        }
  }

  ConvGeometry geometry_;
};

}  // namespace

const OrtCustomOp* shift_conv_op() {
  static const CustomOp<ShiftConvOp, FloatsAndBytes<1>> op;
  return &op;
}

}  // namespace edgevision
