#include "simd_avx2.h"
#include "table.h"

namespace edgevision {
extern const Kernels kAvx2Kernels = Table<Avx2>::make("avx2");
}  // namespace edgevision
