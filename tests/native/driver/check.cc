#include "check.h"

#include <cstdio>
#include <cstdlib>
#include <new>

static long allocations = 0;
void* operator new(size_t size) {
  ++allocations;
  if (void* p = std::malloc(size ? size : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace edgevision::driver {

void fail(const std::string& what) {
  std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  std::exit(1);
}

Buffer::Buffer(const Shape& shape, Random& random, float scale, float shift) : size(shape.present ? 1 : 0) {
  for (size_t i = 0; i < shape.rank; ++i) size *= static_cast<size_t>(shape[i]);
  const auto offset = static_cast<size_t>(random.pick(0, 3));
  block_ = new float[size + offset];
  data = shape.present ? block_ + offset : nullptr;
  for (size_t i = 0; i < size; ++i) data[i] = random.normal() * scale + shift;
}

std::string describe(const char* name, std::initializer_list<int64_t> sizes) {
  std::string text = name;
  for (const int64_t& size : sizes) text += (&size == sizes.begin() ? " " : "x") + std::to_string(size);
  return text;
}

void expect_close(const std::vector<double>& wanted, const float* got, double tolerance, const std::string& what) {
  double sum = 0, square = 0;
  for (double value : wanted) sum += value, square += value * value;
  const double count = std::max<double>(1, static_cast<double>(wanted.size()));
  const double deviation = std::sqrt(std::max(0.0, square / count - sum / count * (sum / count)));
  constexpr double kTerms = 0.03;  // what a result is summed from is about 1, so a lone small one has few digits
  const double scale = std::max({deviation, 1e-3 * std::sqrt(square / count), kTerms});
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double error = std::fabs(wanted[i] - static_cast<double>(got[i]));
    const double last_place = std::fabs(wanted[i]) * 1.2e-7;  // what two large results that all but agree cannot go below
    if (!(error <= tolerance * scale + last_place))
      fail(what + ": element " + std::to_string(i) + " is " + std::to_string(got[i]) + ", wanted " +
           std::to_string(wanted[i]));
  }
}

void run_counting(int64_t items, const std::function<void(int64_t)>& item, const std::string& what) {
  const long before = allocations;
  for (int64_t i = 0; i < items; ++i) item(i);
  if (allocations != before) fail(what + " allocated");
}

}  // namespace edgevision::driver
