// The arithmetic of the operators, apart from ONNX Runtime: plain pointers and sizes in, plain loops inside.
//
// Each instruction set compiles the same templates into one table of functions (isa_*.cc); `kernels()` picks the table
// once, at the first call. Nothing here allocates, throws or knows about threads: a caller runs independent work items
// in any order on any thread.
#pragma once

#include <cmath>
#include <cstdint>

namespace edgevision {

// y[b, k, d, t] = sum_n C[b,k,n,t] h[b,k,d,n,t] + D[k,d] u ;  h_t = exp(dt A) h_{t-1} + dt B_t u_t ;  dt = delta +
// bias.
struct Scan {
  const float* u;           // [batch, groups * channels, length], or [batch, channels, length] when shared_u
  const float* delta;       // [batch, groups * channels, length]
  const float* A;           // [groups * channels, states]
  const float* B;           // [batch, groups, states, length]
  const float* C;           // [batch, groups, states, length]
  const float* D;           // [groups * channels] or null
  const float* delta_bias;  // [groups * channels] or null
  const float* z;           // [batch, groups * channels, length] or null: y *= z * sigmoid(z)
  float* y;                 // [batch, groups * channels, length]
  int64_t batch, groups, channels, states, length;
  uint64_t reverse;  // bit k: group k scans from the end (groups <= 64)
  bool shared_u, softplus;
};

enum class Mode : uint8_t { kZero, kPeriodization };

// One level of the wavelet transform of `planes` images, or its inverse. Taps are read in cross-correlation order.
struct Wavelet {
  const float* in;       // DWT: [planes, height, width];      IDWT: [planes, 4, rows, columns]
  const float* filters;  // [4 * channels, taps, taps], or [4, taps, taps] when shared_filters
  float* out;            // DWT: [planes, 4, rows, columns];   IDWT: [planes, height, width]
  int64_t planes, channels, height, width, rows, columns, taps;
  Mode mode;
  bool shared_filters, out_is_image;  // out_is_image: the inverse
};

// Layer norm over channels of the sum over groups, gated.
struct ChannelNorm {
  const float* x;       // [batch, groups * channels, pixels]
  const float* weight;  // [channels]
  const float* bias;    // [channels]
  const float* z;       // [batch, channels, pixels] or null: y *= z * sigmoid(z)
  float* y;             // [batch, channels, pixels]
  int64_t batch, groups, channels, pixels;
  float epsilon;
};

// The scan of a vision block, one state a channel, from its input to the sum over groups:
//   u = silu(x);  (dt_k, B_k, C_k) = projection u;  delta_k = steps_k dt_k;  y = sum_k scan_k(u, delta_k, A_k, B_k, C_k, D_k)
struct ProjectedScan {
  static constexpr int64_t kMostRank = 128;
  const float* x;           // [batch, channels, length]
  const float* projection;  // [groups * (rank + 2), channels]: dt of every group, then B of every group, then C
  const float* steps;       // [groups * channels, rank]
  const float* A;           // [groups * channels]
  const float* D;           // [groups * channels]
  const float* delta_bias;  // [groups * channels]
  float* coefficients;      // [batch, groups * (rank + 2), length], scratch
  float* sum;               // scratch, as many floats as `projected_scan_sum` says
  float* y;                 // [batch, channels, length]
  int64_t batch, groups, channels, rank, length;
  uint64_t reverse;
  bool silu;
  int64_t rows() const { return groups * (rank + 2); }
};

// A depthwise convolution (odd taps, zeros outside) between a wavelet transform of two taps and its inverse:
//   y = relu?(residual + IDWT(bias + weight * DWT(x))), odd sizes padded right and bottom and cropped again.
struct WaveletConv {
  static constexpr int64_t kMostPixels = 2048, kMostTaps = 49, kWidest = 64;
  const float* x;         // [batch, channels, height, width]
  const float* forward;   // [4 * channels, 2, 2]
  const float* inverse;   // [4 * channels, 2, 2]
  const float* weight;    // [4 * channels, taps, taps]
  const float* bias;      // [4 * channels] or null
  const float* residual;  // [batch, channels, height, width] or null
  float* y;               // [batch, channels, height, width]
  int64_t batch, channels, height, width, rows, columns, taps;  // rows, columns: of a band
  bool relu;
  // Pixels from one row of a band to the next: half a filter on both sides, and room to compute four at a time.
  static constexpr int64_t stride(int64_t columns, int64_t taps) { return (columns + 3) / 4 * 4 + taps - 1; }
};

// Global response normalization: g = gelu(x) or x;  n = ||g|| of each channel;  y = (gamma n / (mean n + epsilon) + 1) g.
struct ResponseNorm {
  const float* x;      // [batch, channels, pixels]
  const float* gamma;  // [channels]
  float* factors;      // [batch, channels], scratch
  float* y;            // [batch, channels, pixels]
  int64_t batch, channels, pixels;
  float epsilon;
  bool gelu;
};

// A convolution in which every channel has a filter of its own.
struct DepthwiseConv {
  static constexpr int64_t kMostTaps = 1024, kMostPixels = 2048, kMostColumns = 64;
  static constexpr int64_t kAtOnce = 7;  // columns that are summed at the same time
  const float* x;       // [batch, channels, height, width]
  const float* weight;  // [channels, kernel[0], kernel[1]]
  const float* bias;    // [channels] or null
  float* y;             // [batch, channels, rows, columns]
  int64_t batch, channels, height, width, rows, columns;
  int64_t kernel[2], strides[2], before[2], dilations[2];  // before: pads at the top and left
  int64_t tile_rows, tile_columns;                         // of the result, computed from one copy of what they look at
  int64_t pitch;                                           // pixels from one row of the copy to the next
  int64_t rows_under(int64_t some) const { return (some - 1) * strides[0] + (kernel[0] - 1) * dilations[0] + 1; }
  // As many columns as are summed at once are read, wanted or not.
  int64_t columns_under(int64_t some) const {
    const int64_t parts = (some + kAtOnce - 1) / kAtOnce, whole = (some + parts - 1) / parts * parts;
    return (whole - 1) * strides[1] + (kernel[1] - 1) * dilations[1] + 1;
  }
  // The largest tile that fits, not so flat that most of it is read for the next one too; false where not one pixel fits.
  bool choose_tile() {
    const int64_t most = kMostColumns - kAtOnce - 1;
    for (tile_columns = columns < most ? columns : most; tile_columns > 0; tile_columns /= 2) {
      pitch = columns_under(tile_columns);
      const int64_t fit = kMostPixels / pitch, reach = rows_under(1);
      tile_rows = fit < reach ? 0 : (fit - reach) / strides[0] + 1;
      if (tile_rows > (tile_columns > 8 ? 3 : 0)) return true;
    }
    return false;
  }
};

// What the codes of packed power-of-two weights mean: sign (2^-shift[0] + 2^-shift[1]), a term left out at `kNone`.
struct ShiftCodes {
  static constexpr int kNone = -1, kMost = 256;
  int width;  // bits of a code
  bool two_terms;
  int16_t shift[2][kMost];
  bool negative[kMost];
  float value[kMost];
};

// y = scale (W x) + bias over rows of x; see edgevision/ops/shift_linear for what the activations mean.
struct ShiftLinear {
  enum class Activations : uint8_t { kFloat, kFixed, kInteger };
  static constexpr float kOne = 65536.0f;  // 1.0 in fixed point
  const float* x;         // [rows, inputs]
  const uint8_t* packed;  // [outputs, bytes]: codes side by side, least significant bit first
  const float* scale;     // [outputs] or null
  const float* bias;      // [outputs] or null
  int32_t* operands;      // [rows, padded(inputs)], scratch
  int32_t* special;       // [rows], scratch: whether a row holds an infinity or NaN
  float* y;               // [rows, outputs], with these strides
  const ShiftCodes* codes;
  int64_t rows, inputs, outputs, bytes, row_stride, output_stride;
  Activations activations;

  // Whole vectors of any instruction set.
  static constexpr int64_t padded(int64_t inputs) { return (inputs + 15) / 16 * 16; }
  // floor(x 2^16) 2^-16 within 16 integer bits; NaN stays NaN.
  static float floored(float x) {
    const float whole = std::floor(x * kOne) / kOne;
    return whole < -32768.0f ? -32768.0f : whole > 32767.0f ? 32767.0f : whole;
  }
  // The same as an integer; NaN becomes the least.
  static int32_t units(float x) {
    const float whole = floored(x);
    return whole == whole ? static_cast<int32_t>(whole * kOne) : INT32_MIN;
  }
  static int code_at(const uint8_t* row, int64_t bytes, int width, int64_t index) {
    const int64_t bit = index * width, byte = bit / 8;
    const int word = row[byte] | (byte + 1 < bytes ? row[byte + 1] << 8 : 0);
    return word >> (bit % 8) & ((1 << width) - 1);
  }
};

// A 2-d convolution with such weights: every position of the result is a row of a linear layer, which meets what lies
// under the kernel there. `layer` is that of one group; of its rows, `layer.rows` from `first_row` on are computed at a
// time, for `some_groups` groups of one image from `first_group` on.
struct ShiftConv {
  static constexpr int64_t kMostOperands = int64_t{1} << 20;
  ShiftLinear layer;
  const float* x;  // [images, groups * channels, height, width]
  int64_t images, groups, channels, height, width, plane, columns;  // plane, columns: of the result
  int64_t kernel[2], strides[2], before[2], dilations[2];           // before: pads at the top and left
  int64_t image, first_group, some_groups, first_row;
  int64_t operands() const { return some_groups * layer.rows * ShiftLinear::padded(layer.inputs); }
};

// Layer norm over rows of bytes, which are numbers from 0 to 255 or, where they are signed, from -128 to 127:
//   y = saturated(rounded((x - mean x) / sqrt(var x + epsilon) weight + bias))
struct IntegerNorm {
  static constexpr int64_t kRows = 64;
  const uint8_t* x;     // [rows, channels]
  const float* weight;  // [channels]
  const float* bias;    // [channels]
  uint8_t* y;           // [rows, channels]
  int64_t rows, channels;
  float epsilon;
  bool is_signed;
  int64_t items() const { return (rows + kRows - 1) / kRows; }
};

// Global response normalization of maps of bytes, channels last: g = table[x];  n = ||g|| of each channel over the pixels;
//   y = saturated(rounded((gamma n / (mean n + epsilon) + 1) / scale g + zero))
struct IntegerResponseNorm {
  static constexpr int64_t kChannels = 64, kPixels = 64;
  const uint8_t* x;    // [batch, pixels, channels]
  const float* table;  // [256], by x's bits as an unsigned number
  const float* gamma;  // [channels]
  float* factors;      // [batch, channels], scratch
  uint8_t* y;          // [batch, pixels, channels]
  int64_t batch, pixels, channels;
  float epsilon, scale, zero;
  bool is_signed;
  int64_t blocks() const { return (channels + kChannels - 1) / kChannels; }
  int64_t strips() const { return (pixels + kPixels - 1) / kPixels; }
};

// y = table[x], byte by byte: any function of 8 bits.
struct Lookup {
  static constexpr int64_t kBytes = 256, kItem = 16384;
  const uint8_t* x;      // [count]
  const uint8_t* table;  // [kBytes], by x's bits as an unsigned number
  uint8_t* y;            // [count]
  int64_t count;
  int64_t items() const { return (count + kItem - 1) / kItem; }
};

struct Kernels {
  const char* name;
  // A work item is a few channels of one group of one batch entry.
  int64_t (*scan_items)(const Scan&);
  void (*scan)(const Scan&, int64_t item);
  // A work item is a plane, or a block of channels of one batch entry.
  int64_t (*wavelet_items)(const Wavelet&);
  void (*wavelet)(const Wavelet&, int64_t item);
  // A work item is some pixels of one batch entry.
  int64_t (*channel_norm_items)(const ChannelNorm&);
  void (*channel_norm)(const ChannelNorm&, int64_t item);
  // First `project` over some pixels each, then `projected_scan` over some channels each.
  int64_t (*projected_scan_columns)(const ProjectedScan&);
  void (*project)(const ProjectedScan&, int64_t column);
  int64_t (*projected_scan_items)(const ProjectedScan&);
  void (*projected_scan)(const ProjectedScan&, int64_t item);
  int64_t (*projected_scan_sum)(const ProjectedScan&);
  // A work item is some channels of one batch entry.
  int64_t (*wavelet_conv_items)(const WaveletConv&);
  void (*wavelet_conv)(const WaveletConv&, int64_t item);
  // A work item is some channels of one batch entry.
  int64_t (*depthwise_conv_items)(const DepthwiseConv&);
  void (*depthwise_conv)(const DepthwiseConv&, int64_t item);
  // `measure` for each channel of the batch, `factor` for each image, `scale` for each channel.
  void (*response_norm_measure)(const ResponseNorm&, int64_t channel);
  void (*response_norm_factor)(const ResponseNorm&, int64_t image);
  void (*response_norm_scale)(const ResponseNorm&, int64_t channel);
  // First `shift_linear_prepare` for each row, then `shift_linear` over some outputs each.
  void (*shift_linear_prepare)(const ShiftLinear&, int64_t row);
  int64_t (*shift_linear_items)(const ShiftLinear&);
  void (*shift_linear)(const ShiftLinear&, int64_t item);
  // The same for a convolution: `shift_conv_prepare` for each row of each group at hand.
  void (*shift_conv_prepare)(const ShiftConv&, int64_t row);
  int64_t (*shift_conv_items)(const ShiftConv&);
  void (*shift_conv)(const ShiftConv&, int64_t item);
  // A work item is `IntegerNorm::kRows` rows.
  void (*integer_norm)(const IntegerNorm&, int64_t item);
  // `measure` for each block of channels of the batch, `factor` for each image, `scale` for each strip of pixels.
  void (*integer_response_measure)(const IntegerResponseNorm&, int64_t block);
  void (*integer_response_factor)(const IntegerResponseNorm&, int64_t image);
  void (*integer_response_scale)(const IntegerResponseNorm&, int64_t strip);
  // A work item is `Lookup::kItem` bytes.
  void (*lookup)(const Lookup&, int64_t item);
  // Elementwise, for tests of the arithmetic itself.
  void (*exp)(const float* x, float* y, int64_t count);
  void (*softplus)(const float* x, float* y, int64_t count);
  void (*gelu)(const float* x, float* y, int64_t count);
};

// The widest table this machine runs, or the one EDGEVISION_SIMD names. Null when that one cannot run here.
const Kernels* kernels();

// What went wrong when kernels() is null: the value of EDGEVISION_SIMD and the choices this machine has.
const char* why_no_kernels();

}  // namespace edgevision
