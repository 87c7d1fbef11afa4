// Random scans against the recurrence in double.
#include "check.h"

namespace edgevision::driver {
namespace {

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
        if (s.z) sum *= silu(s.z[at]);
        y[static_cast<size_t>(at)] = sum;
      }
    }
  return y;
}

std::vector<int64_t> directions(Random& random, int64_t groups) {
  std::vector<int64_t> flags(static_cast<size_t>(groups));
  for (int64_t& flag : flags) flag = random.pick(0, 1);
  return flags;
}

std::vector<double> widened(const Buffer& buffer) { return {buffer.data, buffer.data + buffer.size}; }

// rows = sum over channels of projection times u, for one batch entry: [rows, length].
std::vector<double> project(const ProjectedScan& s, const double* u, const Buffer& projection) {
  std::vector<double> rows(static_cast<size_t>(s.rows() * s.length));
  for (int64_t r = 0; r < s.rows(); ++r)
    for (int64_t c = 0; c < s.channels; ++c)
      for (int64_t t = 0; t < s.length; ++t)
        rows[static_cast<size_t>(r * s.length + t)] += projection[r * s.channels + c] * u[c * s.length + t];
  return rows;
}

std::vector<double> plain_projected_scan(const ProjectedScan& s, std::vector<double> u, const Buffer& projection) {
  const int64_t L = s.length, R = s.rank, K = s.groups;
  if (s.silu)
    for (double& value : u) value = silu(value);
  std::vector<double> y(u.size());
  for (int64_t b = 0; b < s.batch; ++b) {
    const double* input = u.data() + b * s.channels * L;
    const std::vector<double> rows = project(s, input, projection);
    const auto row = [&](int64_t r, int64_t t) { return rows[static_cast<size_t>(r * L + t)]; };
    for (int64_t k = 0; k < K; ++k)
      for (int64_t c = 0; c < s.channels; ++c) {
        const int64_t d = k * s.channels + c;
        double h = 0;
        for (int64_t j = 0; j < L; ++j) {
          const int64_t t = s.reverse >> k & 1 ? L - 1 - j : j;
          double dt = s.delta_bias[d];
          for (int64_t r = 0; r < R; ++r) dt += s.steps[d * R + r] * row(k * R + r, t);
          dt = softplus(dt);
          h = std::exp(dt * s.A[d]) * h + dt * input[c * L + t] * row(K * R + k, t);
          y[static_cast<size_t>((b * s.channels + c) * L + t)] += h * row(K * (R + 1) + k, t) + s.D[d] * input[c * L + t];
        }
      }
  }
  return y;
}

}  // namespace

void fuzz_scan(Random& random) {
  const int64_t batch = random.pick(0, 2), K = random.pick(1, 3), Dg = random.pick(0, 40);
  const int64_t several = random.pick(0, 3) ? random.pick(0, 20) : random.pick(1, 150);
  const int64_t N = random.flip() ? 1 : several;  // one state has a kernel of its own
  const int64_t L = random.pick(0, 5) ? random.pick(0, 90) : 1;
  const bool shared = random.flip();
  const Shape vector{K * Dg};
  ScanShapes shapes;
  shapes.u = {batch, shared ? Dg : K * Dg, L};
  shapes.delta = {batch, K * Dg, L};
  shapes.A = {K * Dg, N};
  shapes.B = shapes.C = {batch, K, N, L};
  if (random.flip()) shapes.D = vector;
  if (random.flip()) shapes.delta_bias = vector;
  if (random.flip()) shapes.z = shapes.delta;
  const std::vector<int64_t> reverse = directions(random, K);
  Scan s = plan_scan(shapes, reverse.data(), reverse.size(), random.flip());

  const Buffer u(shapes.u, random), delta(shapes.delta, random, 0.2f, s.softplus ? 0.0f : 1.0f);
  const Buffer A(shapes.A, random, 0.2f, -1), B(shapes.B, random), C(shapes.C, random), D(shapes.D, random);
  const Buffer delta_bias(shapes.delta_bias, random, 0.1f), z(shapes.z, random), y(shapes.delta, random, 1, 1e3f);
  s.u = u.data, s.delta = delta.data, s.A = A.data, s.B = B.data, s.C = C.data, s.D = D.data;
  s.delta_bias = delta_bias.data, s.z = z.data, s.y = y.data;

  const std::string what = describe("scan of batch x groups x channels x states x length", {batch, K, Dg, N, L});
  run_counting(kernels()->scan_items(s), [&](int64_t item) { kernels()->scan(s, item); }, what);
  expect_close(plain_scan(s), y.data, 2e-5, what);
}

void fuzz_projected_scan(Random& random) {
  const int64_t batch = random.pick(0, 2), K = random.pick(1, 3), Dg = random.pick(1, random.pick(0, 3) ? 40 : 150);
  const int64_t R = random.pick(0, random.pick(0, 3) ? 12 : ProjectedScan::kMostRank),
                L = random.pick(0, 5) ? random.pick(0, 90) : 1;
  ProjectedScanShapes shapes;
  shapes.x = {batch, Dg, L};
  if (random.flip()) shapes.x = {batch, Dg, 1, L};
  shapes.projection = {K * (R + 2), Dg};
  shapes.steps = {K * Dg, R};
  shapes.A = {K * Dg, 1};
  shapes.D = shapes.delta_bias = {K * Dg};
  const std::vector<int64_t> reverse = directions(random, K);
  ProjectedScan s = plan_projected_scan(shapes, reverse.data(), reverse.size(), random.flip());

  const float narrow = 1 / std::sqrt(static_cast<float>(Dg)), low = 0.3f / std::sqrt(static_cast<float>(R + 1));
  const Buffer x(shapes.x, random), projection(shapes.projection, random, narrow), steps(shapes.steps, random, low);
  const Buffer A(shapes.A, random, 0.2f, -1), D(shapes.D, random), delta_bias(shapes.delta_bias, random, 0.1f);
  const Buffer coefficients({batch, s.rows(), L}, random, 1, 1e3f), y(shapes.x, random, 1, 1e3f);
  const Buffer sum({kernels()->projected_scan_sum(s)}, random, 1, 1e3f);
  s.x = x.data, s.projection = projection.data, s.steps = steps.data, s.A = A.data, s.D = D.data;
  s.delta_bias = delta_bias.data, s.coefficients = coefficients.data, s.sum = sum.data, s.y = y.data;

  const std::string what = describe("projected scan of batch x groups x channels x rank x length", {batch, K, Dg, R, L});
  const std::vector<double> wanted = plain_projected_scan(s, widened(x), projection);
  run_counting(kernels()->projected_scan_columns(s), [&](int64_t item) { kernels()->project(s, item); }, what);
  run_counting(kernels()->projected_scan_items(s), [&](int64_t item) { kernels()->projected_scan(s, item); }, what);
  expect_close(wanted, y.data, 5e-5, what);
}

}  // namespace edgevision::driver
