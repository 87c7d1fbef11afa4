// Runs the kernels without ONNX Runtime, so that sanitizers and emulators can watch them.
//
//   edgevision_driver math STEP   exp and softplus at every STEP-th float32, against the C library in double
//   edgevision_driver fuzz RUNS   random nodes of every kind against plain loops in double, and that nothing allocates
//   edgevision_driver refuse      shapes that must be refused, too large ones among them
//
// EDGEVISION_SIMD picks the instruction set. Prints what it did; exits with 1 at the first failure.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "plan.h"

static long allocations = 0;
void* operator new(size_t size) {
  ++allocations;
  if (void* p = std::malloc(size ? size : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace {

using namespace edgevision;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  std::exit(1);
}

// Exactly `size` floats, `offset` floats after an aligned address: a sanitizer sees the first access beyond them.
struct Buffer {
  Buffer(size_t size, size_t offset) : size(size), block(new float[size + offset]), data(block + offset) {}
  ~Buffer() { delete[] block; }
  Buffer(const Buffer&) = delete;
  size_t size;
  float *block, *data;
};

struct Random {
  std::mt19937_64 engine;
  int64_t pick(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(engine); }
  float normal() { return std::normal_distribution<float>()(engine); }
  std::vector<float> normals(int64_t size) {
    std::vector<float> values(static_cast<size_t>(size));
    for (float& value : values) value = normal();
    return values;
  }
};

double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }

// ---- elementwise arithmetic --------------------------------------------------------------------------------------

// At most 1e-6 relative, or one unit in the last place where results are denormal; infinities and NaN exactly.
double check_function(const char* name, void (*kernel)(const float*, float*, int64_t), double (*exact)(double),
                      uint64_t step) {
  std::vector<float> x, y;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += step) {
    const auto pattern = static_cast<uint32_t>(bits);
    float value;
    std::memcpy(&value, &pattern, sizeof value);
    x.push_back(value);
  }
  const float inf = std::numeric_limits<float>::infinity();
  for (float value : {inf, -inf, std::nanf(""), 0.0f, -0.0f, 88.72f, 88.73f, -87.4f, -103.0f, -103.9f, -104.1f, 1e-45f})
    x.push_back(value);
  for (float value = -110.0f; value < 100.0f; value += 0.037f) x.push_back(value);
  y.resize(x.size());
  kernel(x.data(), y.data(), static_cast<int64_t>(x.size()));
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double wanted = exact(static_cast<double>(x[i]));
    const float rounded = static_cast<float>(wanted);
    const auto where = [&] { return std::string(name) + "(" + std::to_string(x[i]) + ") = " + std::to_string(y[i]); };
    if (std::isnan(wanted) ? !std::isnan(y[i]) : std::isinf(rounded) ? y[i] != rounded : !std::isfinite(y[i]))
      fail(where());
    if (!std::isfinite(rounded)) continue;
    const double error = std::fabs(static_cast<double>(y[i]) - wanted), denormal = 1.5e-45;
    if (error > denormal && error > 1e-6 * std::fabs(wanted)) fail(where() + ", wanted " + std::to_string(wanted));
    if (wanted > 1.2e-38) worst = std::max(worst, error / wanted);
  }
  return worst;
}

void math(uint64_t step) {
  const Kernels& k = *kernels();
  const double exp_error = check_function("exp", k.exp, [](double x) { return std::exp(x); }, step);
  const double softplus_error = check_function("softplus", k.softplus, softplus, step);
  std::printf("%s: exp %.2e, softplus %.2e relative\n", k.name, exp_error, softplus_error);
}

// ---- the operators -----------------------------------------------------------------------------------------------

void expect_close(const std::vector<double>& wanted, const Buffer& got, double tolerance, const std::string& what) {
  double sum = 0, square = 0;
  for (double value : wanted) sum += value, square += value * value;
  const double count = std::max<double>(1, static_cast<double>(wanted.size()));
  const double deviation = std::sqrt(std::max(0.0, square / count - sum / count * (sum / count)));
  const double scale = std::max({deviation, 1e-3 * std::sqrt(square / count), 1e-30});
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double error = std::fabs(wanted[i] - static_cast<double>(got.data[i]));
    if (!(error <= tolerance * scale))
      fail(what + ": element " + std::to_string(i) + " is " + std::to_string(got.data[i]) + ", wanted " +
           std::to_string(wanted[i]));
  }
}

void run_counting(int64_t items, const std::function<void(int64_t)>& item, const std::string& what) {
  const long before = allocations;
  for (int64_t i = 0; i < items; ++i) item(i);
  if (allocations != before) fail(what + " allocated");
}

void fill(Buffer& buffer, Random& random, float scale, float shift) {
  for (size_t i = 0; i < buffer.size; ++i) buffer.data[i] = random.normal() * scale + shift;
}

std::vector<double> plain_scan(const Scan& s) {
  const int64_t rows = s.groups * s.channels, L = s.length, N = s.states;
  std::vector<double> y(static_cast<size_t>(s.batch * rows * L));
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t d = 0; d < rows; ++d) {
      const int64_t group = d / s.channels;
      const float* u = s.u + (s.shared_u ? b * s.channels + d % s.channels : b * rows + d) * L;
      std::vector<double> h(static_cast<size_t>(N));
      for (int64_t j = 0; j < L; ++j) {
        const int64_t t = s.reverse >> group & 1 ? L - 1 - j : j, at = (b * rows + d) * L + t;
        double dt = s.delta[at] + (s.delta_bias ? static_cast<double>(s.delta_bias[d]) : 0.0);
        if (s.softplus) dt = softplus(dt);
        double sum = s.D ? static_cast<double>(s.D[d]) * u[t] : 0.0;
        for (int64_t n = 0; n < N; ++n) {
          const int64_t coefficient = ((b * s.groups + group) * N + n) * L + t;
          double& state = h[static_cast<size_t>(n)];
          state = std::exp(dt * s.A[d * N + n]) * state + dt * u[t] * s.B[coefficient];
          sum += state * s.C[coefficient];
        }
        if (s.z) sum *= s.z[at] / (1.0 + std::exp(-static_cast<double>(s.z[at])));
        y[static_cast<size_t>(at)] = sum;
      }
    }
  return y;
}

void fuzz_scan(Random& random) {
  const int64_t batch = random.pick(0, 2), K = random.pick(1, 3), Dg = random.pick(0, 40);
  const int64_t N = random.pick(0, 3) ? random.pick(0, 20) : random.pick(1, 150),
                L = random.pick(0, 5) ? random.pick(0, 90) : 1;
  const bool shared = random.pick(0, 1), skip = random.pick(0, 1), bias = random.pick(0, 1), gate = random.pick(0, 1);
  ScanShapes shapes;
  shapes.u = {batch, shared ? Dg : K * Dg, L};
  shapes.delta = {batch, K * Dg, L};
  shapes.A = {K * Dg, N};
  shapes.B = shapes.C = {batch, K, N, L};
  const Shape vector{K * Dg};
  if (skip) shapes.D = vector;
  if (bias) shapes.delta_bias = vector;
  if (gate) shapes.z = shapes.delta;
  std::vector<int64_t> reverse(static_cast<size_t>(K));
  for (int64_t& flag : reverse) flag = random.pick(0, 1);
  Scan s = plan_scan(shapes, reverse.data(), reverse.size(), random.pick(0, 1));

  const auto floats = [&](const Shape& shape) {
    size_t size = 1;
    for (size_t i = 0; i < shape.rank; ++i) size *= static_cast<size_t>(shape[i]);
    return size;
  };
  const auto off = [&] { return static_cast<size_t>(random.pick(0, 3)); };
  Buffer u(floats(shapes.u), off()), delta(floats(shapes.delta), off()), A(floats(shapes.A), off());
  Buffer B(floats(shapes.B), off()), C(floats(shapes.C), off()), z(gate ? floats(shapes.z) : 0, off());
  Buffer D(skip ? floats(vector) : 0, off()), delta_bias(bias ? floats(vector) : 0, off()), y(delta.size, off());
  fill(u, random, 1, 0), fill(delta, random, 0.2f, s.softplus ? 0.0f : 1.0f), fill(A, random, 0.2f, -1);
  fill(B, random, 1, 0), fill(C, random, 1, 0), fill(z, random, 1, 0), fill(D, random, 1, 0);
  fill(delta_bias, random, 0.1f, 0), fill(y, random, 1, 1e3f);
  s.u = u.data, s.delta = delta.data, s.A = A.data, s.B = B.data, s.C = C.data, s.y = y.data;
  s.D = skip ? D.data : nullptr, s.delta_bias = bias ? delta_bias.data : nullptr, s.z = gate ? z.data : nullptr;

  const std::string what = "scan batch " + std::to_string(batch) + " groups " + std::to_string(K) + " channels " +
                           std::to_string(Dg) + " states " + std::to_string(N) + " length " + std::to_string(L);
  run_counting(kernels()->scan_items(s), [&](int64_t item) { kernels()->scan(s, item); }, what);
  expect_close(plain_scan(s), y, 2e-5, what);
}

// Position of the sample that output `i` and tap `m` of the forward transform read, or -1 for the zero outside.
int64_t sample(const Wavelet& w, int64_t i, int64_t m, int64_t size, int64_t outputs) {
  if (w.mode == Mode::kZero) {
    const int64_t at = 2 * i - (w.taps - 2) + m;
    return at < size ? at : -1;
  }
  const int64_t period = 2 * outputs, at = ((2 * i - (w.taps / 2 - 1) + m) % period + period) % period;
  return std::min(at, size - 1);
}

void fuzz_wavelet(Random& random, bool inverse) {
  const int64_t batch = random.pick(0, 2), channels = random.pick(0, 20),
                taps = 2 * (random.pick(0, 1) ? 1 : random.pick(1, 5));
  const Mode mode = random.pick(0, 1) ? Mode::kZero : Mode::kPeriodization;
  const int64_t rows = random.pick(1, random.pick(0, 2) ? 16 : 40) + (inverse ? taps : 0),
                columns = random.pick(1, random.pick(0, 2) ? 16 : 40) + (inverse ? taps : 0);
  const bool shared = random.pick(0, 1);
  const Shape filters{shared ? 4 : 4 * channels, 1, taps, taps};
  Shape out;
  Wavelet w =
      inverse ? plan_idwt({batch, channels, 4, rows, columns}, filters, mode, random.pick(0, 1), random.pick(0, 1), out)
              : plan_dwt({batch, channels, rows, columns}, filters, mode, out);
  const int64_t image = w.height * w.width, bands = 4 * w.rows * w.columns;
  Buffer in(static_cast<size_t>(w.planes * (inverse ? bands : image)), static_cast<size_t>(random.pick(0, 3)));
  Buffer result(static_cast<size_t>(w.planes * (inverse ? image : bands)), static_cast<size_t>(random.pick(0, 3)));
  Buffer weights(static_cast<size_t>(filters[0] * taps * taps), 1);
  fill(in, random, 1, 0), fill(weights, random, 1, 0), fill(result, random, 1, 1e3f);
  w.in = in.data, w.filters = weights.data, w.out = result.data;

  // Forward gathers and inverse scatters through the same indices: the one is the other's adjoint.
  std::vector<double> wanted(result.size);
  for (int64_t p = 0; p < w.planes; ++p)
    for (int64_t f = 0; f < 4; ++f)
      for (int64_t i = 0; i < w.rows; ++i)
        for (int64_t j = 0; j < w.columns; ++j)
          for (int64_t m = 0; m < taps; ++m)
            for (int64_t n = 0; n < taps; ++n) {
              const int64_t full_h = mode == Mode::kZero ? 2 * w.rows : INT64_MAX,
                            full_w = mode == Mode::kZero ? 2 * w.columns : INT64_MAX;
              const int64_t r = sample(w, i, m, inverse ? full_h : w.height, w.rows);
              const int64_t c = sample(w, j, n, inverse ? full_w : w.width, w.columns);
              if (r < 0 || c < 0 || (inverse && (r >= w.height || c >= w.width))) continue;
              const auto at_image = static_cast<size_t>(p * image + r * w.width + c);
              const auto at_bands = static_cast<size_t>(p * bands + (f * w.rows + i) * w.columns + j);
              const double tap = w.filters[((shared ? 0 : p % channels * 4) + f) * taps * taps + m * taps + n];
              if (inverse)
                wanted[at_image] += tap * in.data[at_bands];
              else
                wanted[at_bands] += tap * in.data[at_image];
            }
  const std::string what = std::string(inverse ? "idwt " : "dwt ") + std::to_string(w.height) + "x" +
                           std::to_string(w.width) + " taps " + std::to_string(taps);
  const int64_t items = kernels()->wavelet_items(w);
  run_counting(items, [&](int64_t item) { kernels()->wavelet(w, item); }, what);
  expect_close(wanted, result, 1e-5, what);
}

void fuzz(long runs) {
  Random random;
  for (long run = 0; run < runs; ++run) {
    fuzz_scan(random);
    fuzz_wavelet(random, false);
    fuzz_wavelet(random, true);
  }
  std::printf("%s: %ld runs of each operator agree and allocate nothing\n", kernels()->name, runs);
}

// ---- shapes that must be refused ---------------------------------------------------------------------------------

void expect_refused(const char* part, const std::function<void()>& plan) {
  try {
    plan();
  } catch (const ShapeError& error) {
    if (std::string(error.what()).find(part) != std::string::npos) return;
    fail(std::string("wrong message: ") + error.what());
  }
  fail(std::string("not refused: ") + part);
}

void refuse() {
  const int64_t zero = 0, huge = int64_t{1} << 31, beyond = int64_t{1} << 62;
  const auto scan = [&](int64_t batch, int64_t rows, int64_t length) {
    ScanShapes s;
    s.u = s.delta = {batch, rows, length};
    s.A = {rows, 1};
    s.B = s.C = {batch, 1, 1, length};
    return plan_scan(s, &zero, 1, false);
  };
  Shape out;
  scan(1, 1, huge - 1);
  scan(0, 4, huge);
  expect_refused("EvSelectiveScan: 'delta' has shape [1, 2, 1073741824], which is 2^31 elements or more",
                 [&] { scan(1, 2, huge / 2); });
  expect_refused("2^31 elements", [&] { scan(beyond, beyond, beyond); });
  expect_refused("negative dimension", [&] { scan(1, 1, -1); });
  expect_refused("EvDWT: 'x' has shape", [&] { plan_dwt({1, 1, huge, 1}, {4, 1, 2, 2}, Mode::kZero, out); });
  expect_refused("EvDWT: 'y' has shape", [&] { plan_dwt({1, 1, 1, huge / 2 + 1}, {4, 1, 2, 2}, Mode::kZero, out); });
  expect_refused("EvDWT: 'filters' has shape", [&] { plan_dwt({1, 1, 4, 4}, {4, 1, huge, huge}, Mode::kZero, out); });
  expect_refused("EvIDWT: 'x' has shape", [&] { plan_idwt({1, 1, 4, huge, 1}, {4, 1, 2, 2}, Mode::kZero, 0, 0, out); });
  expect_refused("nothing would be left", [&] { plan_idwt({1, 1, 4, 2, 2}, {4, 1, 6, 6}, Mode::kZero, 0, 0, out); });
  std::printf("refused what must be refused\n");
}

}  // namespace

int main(int count, char** arguments) {
  const std::string command = count > 1 ? arguments[1] : "";
  const long number = count > 2 ? std::strtol(arguments[2], nullptr, 10) : 0;
  if (!kernels()) fail(why_no_kernels());
  if (command == "math" && number > 0)
    math(static_cast<uint64_t>(number));
  else if (command == "fuzz" && number > 0)
    fuzz(number);
  else if (command == "refuse")
    refuse();
  else
    fail("usage: edgevision_driver math STEP | fuzz RUNS | refuse");
}
