// What EvShiftLinear and EvShiftConv share: the attributes form, bits, activations, and the inputs x, packed, scale?,
// bias?.
#pragma once

#include "custom_op.h"
#include "plan.h"

namespace edgevision {

class ShiftOp {
 public:
  static constexpr size_t kInputs = 4, kRequired = 2;

 protected:
  struct Inputs {
    Input x, packed, scale, bias;
    ShiftLinearShapes shapes() const { return {x.shape, packed.shape, scale.shape, bias.shape}; }
  };

  ShiftOp(const char* name, const OrtKernelInfo* info)
      : name_(name),
        codes_(plan_shift_codes(name, string_attribute(info, "form", "ps"), int_attribute(info, "bits", 5))),
        activations_(parse_activations(name, string_attribute(info, "activations", "float"))) {}

  Inputs read(const OrtKernelContext* context) const {
    return {read_input(context, 0, name_, "x"), read_input(context, 1, name_, "packed"),
            read_input(context, 2, name_, "scale"), read_input(context, 3, name_, "bias")};
  }

  // All that a planned layer points to but x and the scratch.
  void bind(ShiftLinear& layer, const Inputs& in, float* y) const {
    layer.activations = activations_;
    layer.codes = &codes_;
    layer.packed = in.packed.bytes();
    layer.scale = in.scale.data;
    layer.bias = in.bias.data;
    layer.y = y;
  }

  int width() const { return codes_.width; }
  const OrtMemoryInfo* memory() const { return memory_.get(); }

 private:
  const char* name_;
  ShiftCodes codes_;
  ShiftLinear::Activations activations_;
  ArenaInfo memory_;
};

}  // namespace edgevision
