// The lookup of bytes where AVX-512 permutes them (VBMI); everything else is as `avx512` has it.
#include <immintrin.h>

#include "lookup.h"

namespace edgevision {
namespace {

// Two halves of the table in two registers each.
struct Avx512Vbmi {
  static constexpr int64_t kWidth = 64;
  explicit Avx512Vbmi(const uint8_t* from) {
    for (int i = 0; i < 4; ++i) quarters[i] = _mm512_loadu_si512(from + 64 * i);
  }
  void translate(const uint8_t* x, uint8_t* y) const {
    const __m512i whole = _mm512_loadu_si512(x);
    const __m512i below = _mm512_permutex2var_epi8(quarters[0], whole, quarters[1]);
    const __m512i above = _mm512_permutex2var_epi8(quarters[2], whole, quarters[3]);
    _mm512_storeu_si512(y, _mm512_mask_blend_epi8(_mm512_movepi8_mask(whole), below, above));
  }
  __m512i quarters[4];
};

}  // namespace

void lookup_avx512_vbmi(const Lookup& lookup, int64_t item) { LookupKernel<Avx512Vbmi>::run(lookup, item); }

}  // namespace edgevision
