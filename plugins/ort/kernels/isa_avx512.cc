#include "simd_avx512.h"
#include "table.h"

namespace edgevision {
extern const Kernels kAvx512Kernels = Table<Avx512>::make("avx512");
}  // namespace edgevision
