// A convolution whose weights are packed powers of two, by the linear layer's loops over what lies under the kernel.
#pragma once

#include "shift_linear.h"

namespace edgevision {

template <class V>
class ShiftConvKernel {
 public:
  static int64_t items(const ShiftConv& s) { return s.some_groups * Linear::items(s.layer); }

  // Gathers the taps of one position, in the order of a row of codes: channel, row and column of the kernel.
  static void prepare(const ShiftConv& s, int64_t item) {
    const int64_t group = item / s.layer.rows, row = item % s.layer.rows, position = s.first_row + row;
    const int64_t top = position / s.columns * s.strides[0] - s.before[0];
    const int64_t left = position % s.columns * s.strides[1] - s.before[1];
    const int64_t map = (s.image * s.groups + s.first_group + group) * s.channels;
    int64_t channel = 0, i = 0, j = 0;
    Linear::prepare(of_group(s, group), row, [&] {
      const int64_t y = top + i * s.dilations[0], x = left + j * s.dilations[1];
      const bool inside = y >= 0 && y < s.height && x >= 0 && x < s.width;
      const float value = inside ? s.x[((map + channel) * s.height + y) * s.width + x] : 0.0f;
      if (++j == s.kernel[1]) j = 0, ++i;
      if (i == s.kernel[0]) i = 0, ++channel;
      return value;
    });
  }

  static void run(const ShiftConv& s, int64_t item) {
    const int64_t items = Linear::items(s.layer);
    Linear::run(of_group(s, item / items), item % items);
  }

 private:
  using Linear = ShiftLinearKernel<V>;

  static ShiftLinear of_group(const ShiftConv& s, int64_t group) {
    ShiftLinear layer = s.layer;
    const int64_t first = (s.first_group + group) * layer.outputs;
    layer.operands += group * layer.rows * ShiftLinear::padded(layer.inputs);
    layer.special += group * layer.rows;
    layer.packed += first * layer.bytes;
    if (layer.scale) layer.scale += first;
    if (layer.bias) layer.bias += first;
    layer.y += (s.image * s.groups * layer.outputs + first) * s.plane + s.first_row;
    return layer;
  }
};

}  // namespace edgevision
