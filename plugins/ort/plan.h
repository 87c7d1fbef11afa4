// From the shapes and attributes of a node to the sizes its kernel runs with, or a ShapeError.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "shapes.h"

namespace edgevision {

struct ScanShapes {
  Shape u, delta, A, B, C, D, delta_bias, z;
};
// `reverse` has one flag per group, or a single 0 for all of them. Pointers are left null; y has the shape of delta.
Scan plan_scan(const ScanShapes& shapes, const int64_t* reverse, size_t reverse_count, bool softplus);

Mode parse_mode(const char* op, const std::string& mode);
// Pointers are left null; `out` is the shape of the result.
Wavelet plan_dwt(const Shape& x, const Shape& filters, Mode mode, Shape& out);
Wavelet plan_idwt(const Shape& x, const Shape& filters, Mode mode, int64_t crop_bottom, int64_t crop_right, Shape& out);

// Pointers and epsilon are left null; `out` is the shape of the result: that of z where it is given.
ChannelNorm plan_channel_norm(const Shape& x, const Shape& weight, const Shape& bias, const Shape& z, Shape& out);

struct ProjectedScanShapes {
  Shape x, projection, steps, A, D, delta_bias;
};
// Pointers are left null; y has the shape of x.
ProjectedScan plan_projected_scan(const ProjectedScanShapes& shapes, const int64_t* reverse, size_t reverse_count,
                                  bool silu);

struct WaveletConvShapes {
  Shape x, forward, inverse, weight, bias, residual;
};
// Pointers are left null; y has the shape of x.
WaveletConv plan_wavelet_conv(const WaveletConvShapes& shapes, bool relu);

// Pointers, epsilon and gelu are left null; y has the shape of x.
ResponseNorm plan_response_norm(const Shape& x, const Shape& gamma);

// Pointers and epsilon are left null; y has the shape of x, whose last dim counts channels.
IntegerNorm plan_integer_norm(const Shape& x, const Shape& weight, const Shape& bias, bool is_signed);

// Pointers, epsilon, scale and zero are left null; y has the shape of x.
IntegerResponseNorm plan_integer_response_norm(const Shape& x, const Shape& table, const Shape& gamma, bool is_signed);

// Pointers are left null; y has the shape of x.
Lookup plan_lookup(const Shape& x, const Shape& table);

// The codes of edgevision/ops/shift_code.py; `form` is ps, q, q_nonzero or apot, `bits` 2 to 8.
ShiftCodes plan_shift_codes(const char* op, const std::string& form, int64_t bits);
ShiftLinear::Activations parse_activations(const char* op, const std::string& activations);
struct ShiftLinearShapes {
  Shape x, packed, scale, bias;
};
// Pointers and activations are left null; `out` is the shape of the result.
ShiftLinear plan_shift_linear(const ShiftLinearShapes& shapes, int width, Shape& out);

// The attributes of ONNX's Conv in two dimensions; pads are top, left, bottom, right.
struct ConvGeometry {
  std::vector<int64_t> kernel, strides, pads, dilations;
  int64_t group;
};
// Refuses what is no geometry; of x [batch, channels, height, width] gives the height and width of the result.
void check_geometry(const Checker& check, const ConvGeometry& geometry);
Shape convolved_size(const Checker& check, const Shape& x, const ConvGeometry& geometry);

// The kernel's shape and the groups are the weight's; pointers are left null; `out` is the shape of the result.
DepthwiseConv plan_depthwise_conv(const Shape& x, const Shape& weight, const Shape& bias, ConvGeometry geometry, Shape& out);

// Pointers and activations are left null; `layer.rows` and `some_groups` are as many as are computed at a time.
ShiftConv plan_shift_conv(const ShiftLinearShapes& shapes, const ConvGeometry& geometry, int width, Shape& out);

}  // namespace edgevision
