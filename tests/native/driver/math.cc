// exp and softplus of the kernels against the C library in double.
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

}  // namespace

void math(uint64_t step) {
  const Kernels& k = *kernels();
  const double exp_error = check_function("exp", k.exp, [](double x) { return std::exp(x); }, step);
  const double softplus_error = check_function("softplus", k.softplus, softplus, step);
  std::printf("%s: exp %.2e, softplus %.2e relative\n", k.name, exp_error, softplus_error);
}

}  // namespace edgevision::driver
