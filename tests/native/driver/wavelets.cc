// Random wavelet transforms, their inverses, and convolutions between the two, against plain loops in double.
#include "check.h"

namespace edgevision::driver {
namespace {

// Position of the sample that output `i` and tap `m` of the forward transform read, or -1 for the zero outside.
int64_t sample(const Wavelet& w, int64_t i, int64_t m, int64_t size, int64_t outputs) {
  if (w.mode == Mode::kZero) {
    const int64_t at = 2 * i - (w.taps - 2) + m;
    return at < size ? at : -1;
  }
  const int64_t period = 2 * outputs, at = ((2 * i - (w.taps / 2 - 1) + m) % period + period) % period;
  return std::min(at, size - 1);
}

// `sample` of every output and tap: [outputs, taps].
std::vector<int64_t> samples(const Wavelet& w, int64_t size, int64_t outputs) {
  std::vector<int64_t> at;
  for (int64_t i = 0; i < outputs; ++i)
    for (int64_t m = 0; m < w.taps; ++m) at.push_back(sample(w, i, m, size, outputs));
  return at;
}

// Two taps, zeros outside: a band's pixel (i, j) is made of four pixels of the image, which get theirs back from it.
std::vector<double> plain_wavelet_conv(const WaveletConv& w) {
  const int64_t H = w.height, W = w.width, image = H * W, k = w.taps;
  std::vector<double> y(static_cast<size_t>(w.batch * w.channels * image));
  std::vector<double> band(static_cast<size_t>(w.rows * w.columns));
  for (int64_t plane = 0; plane < w.batch * w.channels; ++plane) {
    const auto each_pixel = [&](const auto& visit) {
      for (int64_t r = 0; r < H; ++r)
        for (int64_t c = 0; c < W; ++c)
          visit(static_cast<size_t>(plane * image + r * W + c), static_cast<size_t>(r / 2 * w.columns + c / 2),
                r % 2 * 2 + c % 2);
    };
    for (int64_t f = plane % w.channels * 4, last = f + 4; f < last; ++f) {
      std::fill(band.begin(), band.end(), 0.0);
      each_pixel([&](size_t at, size_t under, int64_t tap) { band[under] += w.forward[f * 4 + tap] * w.x[at]; });
      const auto mixed = [&](int64_t i, int64_t j) {
        double sum = w.bias ? w.bias[f] : 0.0;
        for (int64_t m = 0; m < k; ++m)
          for (int64_t n = 0; n < k; ++n) {
            const int64_t r = i + m - k / 2, c = j + n - k / 2;
            if (r < 0 || c < 0 || r >= w.rows || c >= w.columns) continue;
            sum += w.weight[(f * k + m) * k + n] * band[static_cast<size_t>(r * w.columns + c)];
          }
        return sum;
      };
      std::vector<double> values;
      for (int64_t i = 0; i < w.rows; ++i)
        for (int64_t j = 0; j < w.columns; ++j) values.push_back(mixed(i, j));
      each_pixel([&](size_t at, size_t under, int64_t tap) { y[at] += w.inverse[f * 4 + tap] * values[under]; });
    }
    each_pixel([&](size_t at, size_t, int64_t) {
      if (w.residual) y[at] += w.residual[at];
      if (w.relu) y[at] = std::max(0.0, y[at]);
    });
  }
  return y;
}

}  // namespace

void fuzz_wavelet(Random& random, bool inverse) {
  const int64_t batch = random.pick(0, 2), channels = random.pick(0, 8),
                taps = 2 * (random.flip() ? 1 : random.pick(1, 5));
  const Mode mode = random.flip() ? Mode::kZero : Mode::kPeriodization;
  const int64_t rows = random.pick(1, random.pick(0, 2) ? 16 : 40) + (inverse ? taps : 0),
                columns = random.pick(1, random.pick(0, 2) ? 16 : 40) + (inverse ? taps : 0);
  const bool shared = random.flip();
  const Shape filters{shared ? 4 : 4 * channels, 1, taps, taps};
  Shape out;
  Wavelet w =
      inverse ? plan_idwt({batch, channels, 4, rows, columns}, filters, mode, random.pick(0, 1), random.pick(0, 1), out)
              : plan_dwt({batch, channels, rows, columns}, filters, mode, out);
  const int64_t pixels = w.height * w.width, bands = 4 * w.rows * w.columns;
  const Buffer in({w.planes, inverse ? bands : pixels}, random), weights(filters, random);
  const Buffer result({w.planes, inverse ? pixels : bands}, random, 1, 1e3f);
  w.in = in.data, w.filters = weights.data, w.out = result.data;

  // Forward gathers and inverse scatters through the same indices: the one is the other's adjoint.
  std::vector<double> wanted(result.size);
  const auto extent = [&](int64_t image, int64_t band) {
    return !inverse ? image : mode == Mode::kZero ? 2 * band : INT64_MAX;
  };
  const std::vector<int64_t> under = samples(w, extent(w.height, w.rows), w.rows);
  const std::vector<int64_t> across = samples(w, extent(w.width, w.columns), w.columns);
  for (int64_t p = 0; p < w.planes; ++p)
    for (int64_t f = 0; f < 4; ++f)
      for (int64_t i = 0; i < w.rows; ++i)
        for (int64_t j = 0; j < w.columns; ++j)
          for (int64_t m = 0; m < taps; ++m)
            for (int64_t n = 0; n < taps; ++n) {
              const int64_t r = under[static_cast<size_t>(i * taps + m)], c = across[static_cast<size_t>(j * taps + n)];
              if (r < 0 || c < 0 || (inverse && (r >= w.height || c >= w.width))) continue;
              const auto at_image = static_cast<size_t>(p * pixels + r * w.width + c);
              const auto at_bands = static_cast<size_t>(p * bands + (f * w.rows + i) * w.columns + j);
              const double tap = w.filters[((shared ? 0 : p % channels * 4) + f) * taps * taps + m * taps + n];
              if (inverse)
                wanted[at_image] += tap * in.data[at_bands];
              else
                wanted[at_bands] += tap * in.data[at_image];
            }
  const std::string what = describe(inverse ? "idwt of height x width x taps" : "dwt of height x width x taps", {w.height, w.width, taps});
  const int64_t items = kernels()->wavelet_items(w);
  run_counting(items, [&](int64_t item) { kernels()->wavelet(w, item); }, what);
  expect_close(wanted, result.data, 1e-5, what);
}

void fuzz_wavelet_conv(Random& random) {
  const int64_t batch = random.pick(0, 2), channels = random.pick(0, 20), taps = 2 * random.pick(0, 3) + 1;
  const int64_t height = random.pick(1, random.pick(0, 2) ? 16 : 40),
                width = random.pick(1, random.pick(0, 2) ? 16 : WaveletConv::kWidest);
  WaveletConvShapes shapes;
  shapes.x = {batch, channels, height, width};
  shapes.forward = shapes.inverse = {4 * channels, 1, 2, 2};
  shapes.weight = {4 * channels, 1, taps, taps};
  if (random.flip()) shapes.bias = {4 * channels};
  if (random.flip()) shapes.residual = shapes.x;
  const std::string what = describe("wavelet convolution of batch x channels x height x width x taps",
                                    {batch, channels, height, width, taps});
  const int64_t rows = (height + 1) / 2, columns = (width + 1) / 2;
  if (4 * rows * WaveletConv::stride(columns, taps) > WaveletConv::kMostPixels)
    return expect_refused("too large for this kernel", [&] { plan_wavelet_conv(shapes, false); });
  WaveletConv w = plan_wavelet_conv(shapes, random.flip());

  const Buffer x(shapes.x, random), forward(shapes.forward, random), inverse(shapes.inverse, random);
  const Buffer weight(shapes.weight, random), bias(shapes.bias, random), residual(shapes.residual, random);
  const Buffer y(shapes.x, random, 1, 1e3f);
  w.x = x.data, w.forward = forward.data, w.inverse = inverse.data, w.weight = weight.data, w.bias = bias.data;
  w.residual = residual.data, w.y = y.data;
  run_counting(kernels()->wavelet_conv_items(w), [&](int64_t item) { kernels()->wavelet_conv(w, item); }, what);
  expect_close(plain_wavelet_conv(w), y.data, 1e-5, what);
}

}  // namespace edgevision::driver
