// EvShiftConv(x, packed, scale?, bias?) -> y; attributes form, bits, activations, and the geometry of ONNX's Conv.
#include <algorithm>

#include "custom_op.h"
#include "plan.h"

namespace edgevision {
namespace {

struct ShiftConvOp {
  static constexpr const char* kName = "EvShiftConv";
  static constexpr size_t kInputs = 4, kRequired = 2;

  explicit ShiftConvOp(const OrtKernelInfo* info)
      : codes_(plan_shift_codes(kName, string_attribute(info, "form", "ps"), int_attribute(info, "bits", 5))),
        activations_(parse_activations(kName, string_attribute(info, "activations", "float"))),
        geometry_{ints_attribute(info, "kernel_shape", {1, 1}), ints_attribute(info, "strides", {1, 1}),
                  ints_attribute(info, "pads", {0, 0, 0, 0}), ints_attribute(info, "dilations", {1, 1}),
                  int_attribute(info, "group", 1)} {}

  OrtStatusPtr ComputeV2(OrtKernelContext* context) {
    return guarded([&] { compute(context); });
  }

 private:
  void compute(OrtKernelContext* context) const {
    constexpr const char* kNames[kInputs] = {"x", "packed", "scale", "bias"};
    Input in[kInputs];
    for (size_t i = 0; i < kInputs; ++i) in[i] = read_input(context, i, kName, kNames[i]);
    Shape out;
    ShiftConv conv =
        plan_shift_conv({in[0].shape, in[1].shape, in[2].shape, in[3].shape}, geometry_, codes_.width, out);
    ShiftLinear& layer = conv.layer;
    layer.activations = activations_;
    layer.codes = &codes_;
    conv.x = in[0].data;
    layer.packed = in[1].bytes();
    layer.scale = in[2].data;
    layer.bias = in[3].data;
    layer.y = make_output(context, out);
    if (conv.images == 0 || conv.plane == 0 || layer.outputs == 0) return;
    const Scratch scratch(context, memory_.get(), conv.operands() + conv.some_groups * layer.rows);
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

  ShiftCodes codes_;
  ShiftLinear::Activations activations_;
  ConvGeometry geometry_;
  ArenaInfo memory_;
};

}  // namespace

const OrtCustomOp* shift_conv_op() {
  static const CustomOp<ShiftConvOp, FloatsAndBytes<1>> op;
  return &op;
}

}  // namespace edgevision
