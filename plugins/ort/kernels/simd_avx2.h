// Eight floats of AVX2 with FMA; see simd_scalar.h for what each member means.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace edgevision {

struct Avx2 {
  using F = __m256;
  static constexpr int kLanes = 8;

  static F set(float x) { return _mm256_set1_ps(x); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static F load(const float* p, int64_t count) { return _mm256_maskload_ps(p, first(count)); }
  static void store(float* p, F x) { _mm256_storeu_ps(p, x); }
  static void store(float* p, F x, int64_t count) { _mm256_maskstore_ps(p, first(count), x); }

  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F sqrt(F x) { return _mm256_sqrt_ps(x); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F negative_abs(F x) { return _mm256_or_ps(x, _mm256_set1_ps(-0.0f)); }

  static F representable(F x) { return min(set(160.0f), max(set(-160.0f), x)); }
  static F split(F x, F& n) {
    n = _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    return x - n;
  }
  static F scale(F p, F n) {
    const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    return p * power(half) * power(_mm256_sub_epi32(whole, half));
  }

  static void deinterleave(F a, F b, F& even, F& odd) {
    const F low = _mm256_permute2f128_ps(a, b, 0x20), high = _mm256_permute2f128_ps(a, b, 0x31);
    even = _mm256_shuffle_ps(low, high, 0x88);
    odd = _mm256_shuffle_ps(low, high, 0xdd);
  }
  static void interleave(F even, F odd, F& a, F& b) {
    const F low = _mm256_unpacklo_ps(even, odd), high = _mm256_unpackhi_ps(even, odd);
    a = _mm256_permute2f128_ps(low, high, 0x20);
    b = _mm256_permute2f128_ps(low, high, 0x31);
  }

  static void transpose(const float* src, int64_t src_stride, float* dst, int64_t dst_stride) {
    F v[8], t[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
      const F x = load(src + i * src_stride), y = load(src + (i + 1) * src_stride);
      t[i] = _mm256_unpacklo_ps(x, y);
      t[i + 1] = _mm256_unpackhi_ps(x, y);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
      v[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
      v[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
      v[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
      v[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      store(dst + i * dst_stride, _mm256_permute2f128_ps(v[i], v[i + 4], 0x20));
      store(dst + (i + 4) * dst_stride, _mm256_permute2f128_ps(v[i], v[i + 4], 0x31));
    }
  }

 private:
  static F power(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
  }
  static __m256i first(int64_t count) {
    const int some = count >= 8 ? 8 : count <= 0 ? 0 : static_cast<int>(count);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(some), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
};

}  // namespace edgevision
