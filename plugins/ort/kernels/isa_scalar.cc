#include "simd_scalar.h"
#include "table.h"

namespace edgevision {
extern const Kernels kScalarKernels = Table<Scalar>::make("scalar");
}  // namespace edgevision
