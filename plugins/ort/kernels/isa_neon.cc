#include "simd_neon.h"
#include "table.h"

namespace edgevision {
extern const Kernels kNeonKernels = Table<Neon>::make("neon");
}  // namespace edgevision
