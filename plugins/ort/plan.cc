#include "plan.h"

namespace edgevision {

namespace {

// One flag per group, or a single 0 for all of them, as a bit each.
uint64_t reverse_bits(const Checker& check, const int64_t* reverse, size_t count, int64_t groups) {
  const bool is_default = count == 0 || (count == 1 && reverse[0] == 0);
  if (!is_default && static_cast<int64_t>(count) != groups)
    check.fail("reverse", "has " + std::to_string(count) + " flags for " + std::to_string(groups) +
                              " groups; give one per group");
  if (!is_default && groups > 64) check.fail("reverse", "is supported for at most 64 groups");
  uint64_t bits = 0;
  for (size_t k = 0; k < count; ++k) {
    if (reverse[k] != 0 && reverse[k] != 1) check.fail("reverse", "may only hold 0 and 1");
    if (reverse[k]) bits |= uint64_t{1} << k;
  }
  return bits;
}

}  // namespace

Scan plan_scan(const ScanShapes& s, const int64_t* reverse, size_t reverse_count, bool softplus) {
  const Checker check("EvSelectiveScan");
  check.rank("delta", s.delta, 3, "[batch, groups * channels, length]");
  check.rank("B", s.B, 4, "[batch, groups, states, length]");
  check.rank("A", s.A, 2, "[groups * channels, states]");
  Scan scan{};
  scan.batch = s.delta[0];
  scan.length = s.delta[2];
  scan.groups = s.B[1];
  scan.states = s.A[1];
  const int64_t rows = s.delta[1];
  if (scan.groups < 1 || rows % scan.groups != 0)
    check.fail("B", "has " + std::to_string(scan.groups) + " groups, which do not divide the " + std::to_string(rows) +
                        " rows of 'delta' " + to_string(s.delta));
  scan.channels = rows / scan.groups;
  check.dims("A", s.A, {rows, scan.states}, "[groups * channels, states]");
  const Shape coefficients{scan.batch, scan.groups, scan.states, scan.length};
  check.dims("B", s.B, coefficients, "[batch, groups, states, length]");
  check.dims("C", s.C, coefficients, "[batch, groups, states, length]");
  check.rank("u", s.u, 3, "[batch, groups * channels or channels, length]");
  scan.shared_u = s.u[1] != rows;
  check.dims("u", s.u, {scan.batch, scan.shared_u ? scan.channels : rows, scan.length},
             "[batch, groups * channels or channels, length]");
  if (s.D.present) check.dims("D", s.D, {rows}, "[groups * channels]");
  if (s.delta_bias.present) check.dims("delta_bias", s.delta_bias, {rows}, "[groups * channels]");
  if (s.z.present) check.dims("z", s.z, s.delta, "[batch, groups * channels, length]");

  scan.softplus = softplus;
  scan.reverse = reverse_bits(check, reverse, reverse_count, scan.groups);
  return scan;
}

Mode parse_mode(const char* op, const std::string& mode) {
  if (mode == "zero") return Mode::kZero;
  if (mode == "periodization") return Mode::kPeriodization;
  Checker(op).fail("mode", "is '" + mode + "'; it must be 'zero' or 'periodization'");
}

namespace {

Wavelet with_filters(const Checker& check, const Shape& filters, int64_t batch, int64_t channels, Mode mode) {
  check.rank("filters", filters, 4, "[4 * channels or 4, 1, taps, taps]");
  Wavelet w{};
  w.mode = mode;
  w.channels = channels;
  w.planes = batch * channels;
  w.taps = filters[2];
  w.shared_filters = filters[0] == 4;
  check.dims("filters", filters, {w.shared_filters ? 4 : 4 * channels, 1, w.taps, w.taps},
             "[4 * channels or 4, 1, taps, taps]");
  if (w.taps < 2 || w.taps % 2 != 0)
    check.fail("filters", "has " + std::to_string(w.taps) + " taps; their number must be even and positive");
  return w;
}

}  // namespace

Wavelet plan_dwt(const Shape& x, const Shape& filters, Mode mode, Shape& out) {
  const Checker check("EvDWT");
  check.rank("x", x, 4, "[batch, channels, height, width]");
  Wavelet w = with_filters(check, filters, x[0], x[1], mode);
  w.height = x[2];
  w.width = x[3];
  if (w.height == 0 || w.width == 0) check.fail("x", "has an empty image: " + to_string(x));
  const int64_t extra = mode == Mode::kZero ? w.taps - 1 : 1;
  w.rows = (w.height + extra) / 2;
  w.columns = (w.width + extra) / 2;
  out = {x[0], x[1], 4, w.rows, w.columns};
  check.size("y", out);
  return w;
}

Wavelet plan_idwt(const Shape& x, const Shape& filters, Mode mode, int64_t bottom, int64_t right, Shape& out) {
  const Checker check("EvIDWT");
  check.rank("x", x, 5, "[batch, channels, 4, rows, columns]");
  if (x[2] != 4)
    check.fail("x", "has " + std::to_string(x[2]) + " bands in shape " + to_string(x) + "; it must have 4");
  Wavelet w = with_filters(check, filters, x[0], x[1], mode);
  w.out_is_image = true;
  w.rows = x[3];
  w.columns = x[4];
  if (w.rows == 0 || w.columns == 0) check.fail("x", "has empty bands: " + to_string(x));
  const int64_t lost = mode == Mode::kZero ? w.taps - 2 : 0;
  if (bottom < 0 || right < 0) check.fail("crop", "may not be negative");
  w.height = 2 * w.rows - lost - bottom;
  w.width = 2 * w.columns - lost - right;
  if (w.height < 1 || w.width < 1)
    check.fail("x", "has bands of " + std::to_string(w.rows) + " by " + std::to_string(w.columns) +
                        ", too small for its " + std::to_string(w.taps) + " taps and crop: nothing would be left");
  out = {x[0], x[1], w.height, w.width};
  check.size("y", out);
  return w;
}

namespace {

int64_t pixels_of(const Shape& shape) {
  int64_t product = 1;
  for (size_t i = 2; i < shape.rank; ++i) product *= shape[i];
  return product;
}

}  // namespace

ChannelNorm plan_channel_norm(const Shape& x, const Shape& weight, const Shape& bias, const Shape& z, Shape& out) {
  const Checker check("EvChannelNorm");
  check.rank("weight", weight, 1, "[channels]");
  check.dims("bias", bias, {weight[0]}, "[channels]");
  check.size("x", x);
  if (x.rank < 3) check.fail("x", "has shape " + to_string(x) + "; it must be [batch, groups * channels, pixels...]");
  ChannelNorm n{};
  n.batch = x[0];
  n.channels = weight[0];
  n.pixels = pixels_of(x);
  if (n.channels < 1 || x[1] < n.channels || x[1] % n.channels != 0)
    check.fail("x", "has " + std::to_string(x[1]) + " channels, no multiple of the " + std::to_string(n.channels) +
                        " of 'weight'");
  n.groups = x[1] / n.channels;
  out = z.present ? z : x;
  out.dims[1] = n.channels;
  if (z.present) {
    check.size("z", z);
    if (z.rank < 3 || z[0] != n.batch || z[1] != n.channels || pixels_of(z) != n.pixels)
      check.fail("z", "has shape " + to_string(z) + "; it must be [batch, channels, pixels...] with x's pixels " +
                          to_string(x));
  }
  return n;
}

ProjectedScan plan_projected_scan(const ProjectedScanShapes& s, const int64_t* reverse, size_t reverse_count,
                                  bool silu) {
  const Checker check("EvProjectedScan");
  check.size("x", s.x);
  if (s.x.rank < 3) check.fail("x", "has shape " + to_string(s.x) + "; it must be [batch, channels, pixels...]");
  check.rank("steps", s.steps, 2, "[groups * channels, rank]");
  ProjectedScan scan{};
  scan.silu = silu;
  scan.batch = s.x[0];
  scan.channels = s.x[1];
  scan.length = pixels_of(s.x);
  scan.rank = s.steps[1];
  const int64_t rows = s.steps[0];
  if (scan.channels < 1 || rows < scan.channels || rows % scan.channels != 0)
    check.fail("steps", "has " + std::to_string(rows) + " rows, no multiple of the " + std::to_string(scan.channels) +
                            " channels of 'x'");
  scan.groups = rows / scan.channels;
  if (scan.rank > ProjectedScan::kMostRank)
    check.fail("steps", "has rank " + std::to_string(scan.rank) + "; it may be at most " +
                            std::to_string(ProjectedScan::kMostRank));
  check.dims("A", s.A, {rows, 1}, "[groups * channels, 1]");
  check.dims("D", s.D, {rows}, "[groups * channels]");
  check.dims("delta_bias", s.delta_bias, {rows}, "[groups * channels]");
  check.dims("projection", s.projection, {scan.rows(), scan.channels}, "[groups * (rank + 2), channels]");
  check.size("coefficients", {scan.batch, scan.rows(), scan.length});
  scan.reverse = reverse_bits(check, reverse, reverse_count, scan.groups);
  return scan;
}

WaveletConv plan_wavelet_conv(const WaveletConvShapes& s, bool relu) {
  const Checker check("EvWaveletConv");
  check.rank("x", s.x, 4, "[batch, channels, height, width]");
  check.rank("weight", s.weight, 4, "[4 * channels, 1, taps, taps]");
  WaveletConv w{};
  w.relu = relu;
  w.batch = s.x[0];
  w.channels = s.x[1];
  w.height = s.x[2];
  w.width = s.x[3];
  if (w.height == 0 || w.width == 0) check.fail("x", "has an empty image: " + to_string(s.x));
  w.rows = (w.height + 1) / 2;
  w.columns = (w.width + 1) / 2;
  w.taps = s.weight[2];
  const int64_t bands = 4 * w.channels;
  if (w.taps % 2 != 1 || w.taps * w.taps > WaveletConv::kMostTaps)
    check.fail("weight", "has " + std::to_string(w.taps) + " taps; their number must be odd and at most 7");
  check.dims("weight", s.weight, {bands, 1, w.taps, w.taps}, "[4 * channels, 1, taps, taps]");
  check.dims("forward", s.forward, {bands, 1, 2, 2}, "[4 * channels, 1, 2, 2]");
  check.dims("inverse", s.inverse, {bands, 1, 2, 2}, "[4 * channels, 1, 2, 2]");
  if (s.bias.present) check.dims("bias", s.bias, {bands}, "[4 * channels]");
  if (s.residual.present) check.dims("residual", s.residual, s.x, "[batch, channels, height, width]");
  if (w.width > WaveletConv::kWidest ||
      4 * w.rows * WaveletConv::stride(w.columns, w.taps) > WaveletConv::kMostPixels)
    check.fail("x", "has an image of " + std::to_string(w.height) + " by " + std::to_string(w.width) +
                        ", too large for this kernel");
  return w;
}

ResponseNorm plan_response_norm(const Shape& x, const Shape& gamma) {
  const Checker check("EvResponseNorm");
  check.rank("x", x, 4, "[batch, channels, height, width]");
  check.dims("gamma", gamma, {x[1]}, "[channels]");
  ResponseNorm n{};
  n.batch = x[0];
  n.channels = x[1];
  n.pixels = pixels_of(x);
  return n;
}

IntegerNorm plan_integer_norm(const Shape& x, const Shape& weight, const Shape& bias, bool is_signed) {
  const Checker check("EvIntegerNorm");
  if (x.rank == 0) check.fail("x", "has rank 0; it must be [..., channels]");
  check.size("x", x);
  IntegerNorm n{};
  n.channels = x[x.rank - 1];
  check.dims("weight", weight, {n.channels}, "[channels]");
  check.dims("bias", bias, {n.channels}, "[channels]");
  n.rows = n.channels ? 1 : 0;
  for (size_t i = 0; i + 1 < x.rank; ++i) n.rows *= x[i];
  n.is_signed = is_signed;
  return n;
}

IntegerResponseNorm plan_integer_response_norm(const Shape& x, const Shape& table, const Shape& gamma,
                                               bool is_signed) {
  const Checker check("EvIntegerResponseNorm");
  check.rank("x", x, 4, "[batch, height, width, channels]");
  check.dims("table", table, {256}, "[256]");
  check.dims("gamma", gamma, {x[3]}, "[channels]");
  IntegerResponseNorm n{};
  n.batch = x[0];
  n.pixels = x[1] * x[2];
  n.channels = x[3];
  n.is_signed = is_signed;
  return n;
}

Lookup plan_lookup(const Shape& x, const Shape& table) {
  const Checker check("EvLookup");
  check.size("x", x);
  check.dims("table", table, {Lookup::kBytes}, "[256]");
  Lookup l{};
  l.count = 1;
  for (size_t i = 0; i < x.rank; ++i) l.count *= x[i];
  return l;
}

}  // namespace edgevision
