// Which instruction set to use: the widest that was compiled in and that this CPU (and its system) supports.
#include <cstdlib>
#include <cstring>

#include "kernels.h"

namespace edgevision {

extern const Kernels kScalarKernels;
#ifdef EDGEVISION_HAVE_X86
extern const Kernels kAvx2Kernels, kAvx512Kernels;
void lookup_avx512_vbmi(const Lookup&, int64_t item);
#endif
#ifdef EDGEVISION_HAVE_NEON
extern const Kernels kNeonKernels;
#endif

namespace {

struct Choice {
  const Kernels* kernels;
  bool supported;
};

// Widest first.
const Kernels* choose(const char* wanted) {
#ifdef EDGEVISION_HAVE_X86
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  const bool vbmi = avx512 && __builtin_cpu_supports("avx512vbmi");
  static const Kernels avx512_vbmi = [] {
    Kernels kernels = kAvx512Kernels;
    kernels.name = "avx512_vbmi";
    kernels.lookup = &lookup_avx512_vbmi;
    return kernels;
  }();
  const Choice choices[] = {
      {&avx512_vbmi, vbmi}, {&kAvx512Kernels, avx512}, {&kAvx2Kernels, avx2}, {&kScalarKernels, true}};
#elif defined(EDGEVISION_HAVE_NEON)
  const Choice choices[] = {{&kNeonKernels, true}, {&kScalarKernels, true}};
#else
  const Choice choices[] = {{&kScalarKernels, true}};
#endif
  for (const Choice& choice : choices)
    if (choice.supported && (!wanted || std::strcmp(wanted, choice.kernels->name) == 0)) return choice.kernels;
  return nullptr;
}

}  // namespace

const Kernels* kernels() {
  static const Kernels* const chosen = [] {
    const char* wanted = std::getenv("EDGEVISION_SIMD");
    return choose(wanted && *wanted ? wanted : nullptr);
  }();
  return chosen;
}

const char* why_no_kernels() {
  return "EDGEVISION_SIMD names an instruction set that this CPU or this build does not have; "
         "use scalar, avx2, avx512_vbmi, avx512 or neon, or unset it";
}

}  // namespace edgevision
