// exp, softplus and GELU of the kernels against the C library in double.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include "check.h"

namespace edgevision::driver {
namespace {

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

// Where erf's argument matters: the error of x (1 + erf(x / sqrt 2)) / 2 in parts of |x| or of 1, whichever is more.
double check_gelu(const Kernels& k) {
  std::vector<float> x{0.0f, -0.0f, 1e-45f, 1e30f, -1e30f};
  for (float value = -12.0f; value < 12.0f; value += 1.7e-4f) x.push_back(value);
  std::vector<float> y(x.size());
  k.gelu(x.data(), y.data(), static_cast<int64_t>(x.size()));
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double error = std::fabs(static_cast<double>(y[i]) - gelu(x[i]));
    worst = std::max(worst, error / std::max(1.0, std::fabs(static_cast<double>(x[i]))));
  }
  if (!(worst < 4e-7)) fail("gelu is " + std::to_string(worst) + " off");
  const float inf = std::numeric_limits<float>::infinity(), hard[] = {inf, -inf, std::nanf("")};
  float result[3];
  k.gelu(hard, result, 3);
  if (result[0] != inf || result[1] != 0.0f || !std::isnan(result[2])) fail("gelu of infinities or NaN");
  return worst;
}

}  // namespace

void math(uint64_t step) {
  const Kernels& k = *kernels();
  const double exp_error = check_function("exp", k.exp, [](double x) { return std::exp(x); }, step);
  const double softplus_error = check_function("softplus", k.softplus, softplus, step);
  std::printf("%s: exp %.2e, softplus %.2e relative, GELU %.2e of its argument\n", k.name, exp_error, softplus_error,
              check_gelu(k));
}

}  // namespace edgevision::driver
