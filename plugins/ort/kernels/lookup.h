// A table of 256 bytes applied to bytes.
//
// `T` holds the table in registers and translates T::kWidth bytes at a time. The last, partial vector overlaps the one
// before it: a byte may be written twice, and nothing is touched beyond either end.
#pragma once

#include "kernels.h"

namespace edgevision {

template <class T>
struct LookupKernel {
  static void run(const Lookup& l, int64_t item) {
    const int64_t first = item * Lookup::kItem, left = l.count - first;
    const int64_t count = left < Lookup::kItem ? left : Lookup::kItem;
    const uint8_t* x = l.x + first;
    uint8_t* y = l.y + first;
    if (count < T::kWidth) {
      for (int64_t i = 0; i < count; ++i) y[i] = l.table[x[i]];
      return;
    }
    const T table(l.table);
    for (int64_t i = 0; i + T::kWidth <= count; i += T::kWidth) table.translate(x + i, y + i);
    if (count % T::kWidth) table.translate(x + count - T::kWidth, y + count - T::kWidth);
  }
};

}  // namespace edgevision
