// EvDepthwiseConv(x, weight, bias?) -> y; attributes strides, pads and dilations of ONNX's Conv.
#include "custom_op.h"
#include "plan.h"

namespace edgevision {
namespace {

struct DepthwiseConvOp {
  static constexpr const char* kName = "EvDepthwiseConv";
  static constexpr size_t kInputs = 3, kRequired = 2;

  explicit DepthwiseConvOp(const OrtKernelInfo* info)
      : geometry_{{}, ints_attribute(info, "strides", {1, 1}), ints_attribute(info, "pads", {0, 0, 0, 0}),
                  ints_attribute(info, "dilations", {1, 1}), 1} {}

  OrtStatusPtr ComputeV2(OrtKernelContext* context) {
    return guarded([&] { compute(context); });
  }

 private:
  void compute(OrtKernelContext* context) const {
    constexpr const char* kNames[kInputs] = {"x", "weight", "bias"};
    Input in[kInputs];
    for (size_t i = 0; i < kInputs; ++i) in[i] = read_input(context, i, kName, kNames[i]);
    Shape out;
    DepthwiseConv conv = plan_depthwise_conv(in[0].shape, in[1].shape, in[2].shape, geometry_, out);
    conv.x = in[0].data;
    conv.weight = in[1].data;
    conv.bias = in[2].data;
    conv.y = make_output(context, out);
    const double planes = static_cast<double>(conv.batch * conv.channels);
    const double taps = static_cast<double>(conv.kernel[0] * conv.kernel[1]);
    const double pixels = static_cast<double>(conv.height * conv.width), results = static_cast<double>(conv.rows * conv.columns);
    each(context, kernels()->depthwise_conv_items(conv), planes * (0.6 * pixels + results * (0.3 + 0.02 * taps) + taps), conv,
         kernels()->depthwise_conv);
  }

  ConvGeometry geometry_;
};

}  // namespace

const OrtCustomOp* depthwise_conv_op() {
  static const CustomOp<DepthwiseConvOp> op;
  return &op;
}

}  // namespace edgevision
