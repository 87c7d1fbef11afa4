// What the parts of the driver share: buffers of exactly their size, random numbers, comparison, counted allocations.
#pragma once

#include <cstdint>
#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "plan.h"

namespace edgevision::driver {

[[noreturn]] void fail(const std::string& what);

struct Random {
  std::mt19937_64 engine;
  int64_t pick(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(engine); }
  bool flip() { return pick(0, 1) != 0; }
  float normal() { return std::normal_distribution<float>()(engine); }
};

// Exactly the floats of a shape (none for an absent tensor), up to three floats after an aligned address: a sanitizer
// sees the first access beyond them.
struct Buffer {
  Buffer(const Shape& shape, Random& random, float scale = 1, float shift = 0);
  ~Buffer() { delete[] block_; }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  float operator[](int64_t i) const { return data[i]; }
  size_t size;
  float* data;  // null for an absent tensor

 private:
  float* block_;
};

inline double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }
inline double gelu(double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }
inline double silu(double x) { return x / (1.0 + std::exp(-x)); }

// "name 1x2x3", for messages.
std::string describe(const char* name, std::initializer_list<int64_t> sizes);

void expect_close(const std::vector<double>& wanted, const float* got, double tolerance, const std::string& what);

// `plan` must throw a ShapeError whose message contains `part`.
void expect_refused(const char* part, const std::function<void()>& plan);

// item(0) … item(items - 1), none of which may allocate.
void run_counting(int64_t items, const std::function<void(int64_t)>& item, const std::string& what);

// Largest error of exp, softplus and GELU at every `step`-th float32.
void math(uint64_t step);

// One random node each, against plain loops in double.
void fuzz_scan(Random& random);
void fuzz_projected_scan(Random& random);
void fuzz_channel_norm(Random& random);
void fuzz_wavelet(Random& random, bool inverse);
void fuzz_wavelet_conv(Random& random);
void fuzz_depthwise_conv(Random& random);
void fuzz_response_norm(Random& random);
void fuzz_shift_linear(Random& random);
void fuzz_shift_conv(Random& random);
void fuzz_lookup(Random& random);
void fuzz_integer_norm(Random& random);
void fuzz_integer_response_norm(Random& random);

// What a packed weight makes of an integer: shifts, each rounded down.
int64_t shifted(const ShiftCodes& codes, int code, int64_t x);

// Shapes that must be refused, and that empty ones are not.
void refuse();

}  // namespace edgevision::driver
