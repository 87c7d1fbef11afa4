// Random bytes through random tables, against a plain loop, to the last bit.
#include "check.h"

namespace edgevision::driver {

void fuzz_lookup(Random& random) {
  const int64_t rows = random.pick(0, 3), columns = random.pick(0, 4) ? random.pick(0, 300) : random.pick(16000, 40000);
  Lookup lookup = plan_lookup({rows, columns}, {Lookup::kBytes});
  // Exactly as many bytes as there are, at any alignment: a sanitizer sees the first access beyond them.
  const int64_t offset = random.pick(0, 63);
  std::vector<uint8_t> x(static_cast<size_t>(offset + lookup.count)), y(x.size(), 0), table(Lookup::kBytes);
  x.shrink_to_fit(), y.shrink_to_fit();
  for (uint8_t& byte : x) byte = static_cast<uint8_t>(random.pick(0, 255));
  for (uint8_t& byte : table) byte = static_cast<uint8_t>(random.pick(0, 255));
  lookup.x = x.data() + offset, lookup.table = table.data(), lookup.y = y.data() + offset;

  const std::string what = describe("lookup of rows x columns", {rows, columns});
  run_counting(lookup.items(), [&](int64_t item) { kernels()->lookup(lookup, item); }, what);
  for (int64_t i = 0; i < offset + lookup.count; ++i) {
    const auto at = static_cast<size_t>(i);
    const int wanted = i < offset ? 0 : table[x[at]];
    if (y[at] != wanted) fail(what + ": byte " + std::to_string(i - offset) + " is " + std::to_string(y[at]));
  }
}

}  // namespace edgevision::driver
