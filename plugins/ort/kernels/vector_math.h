// exp, 2^x, softplus and SiLU over the vector types of simd_*.h.
//
// exp(x) = 2^n e^r with n = round(x / ln 2) and r = x - n ln 2 by Cody and Waite's split of ln 2 (the high part has few
// enough bits that n * high is exact with or without a fused multiply-add); e^r, 2^r and log1p(e) are minimax
// polynomials (Remez, relative error at most 1.1e-7, 9.2e-8 and 3.1e-8 before rounding). Infinities, NaN and denormal
// results come out as the C library's would.
#pragma once

#include "always_inline.h"

namespace edgevision {

template <class V>
struct Math {
  using F = typename V::F;

  EDGEVISION_INLINE static F exp(F x) {
    return exp_clamped(V::min(V::set(90.0f), V::max(V::set(-105.0f), x)));
  }

  // 2^x: what the decay exp(dt A) becomes once A is multiplied by 1 / ln 2 ahead of time.
  EDGEVISION_INLINE static F exp2(F x) {
    F n;
    const F r = V::split(V::representable(x), n);
    F p = V::set(0.001326473313383758f);
    p = V::fma(p, r, V::set(0.009671512991189957f));
    p = V::fma(p, r, V::set(0.05550733581185341f));
    p = V::fma(p, r, V::set(0.24022242426872253f));
    p = V::fma(p, r, V::set(0.6931470036506653f));
    return V::scale(V::fma(p, r, V::set(1.0f)), n);
  }

  // log(1 + e^x) = max(x, 0) + log1p(e^-|x|): no overflow for large x, full relative accuracy for very negative x.
  EDGEVISION_INLINE static F softplus(F x) {
    const F e = exp_clamped(V::negative_abs(x, V::set(105.0f)));
    F p = V::set(0.005232674069702625f);
    p = V::fma(p, e, V::set(-0.02950514294207096f));
    p = V::fma(p, e, V::set(0.0782257691025734f));
    p = V::fma(p, e, V::set(-0.1366322785615921f));
    p = V::fma(p, e, V::set(0.19105996191501617f));
    p = V::fma(p, e, V::set(-0.2484297901391983f));
    p = V::fma(p, e, V::set(0.3331909775733948f));
    p = V::fma(p, e, V::set(-0.4999949336051941f));
    p = V::fma(p, e, V::set(0.9999999403953552f));
    return V::fma(p, e, V::max(V::set(0.0f), x));
  }

  // z / (1 + e^-z). Where rounding -z / ln 2 costs e^-z some of its digits, it is the lesser term or the result is
  // tiny.
  EDGEVISION_INLINE static F silu(F z) {
    return z / (V::set(1.0f) + exp2(z * V::set(-1.44269504088896341f)));
  }

  // x (1 + erf(x / sqrt 2)) / 2 = max(x, 0) - |x| q, q = erfc(|x| / sqrt 2) / 2 by Abramowitz and Stegun's 7.1.26, whose
  // error of 1.5e-7 in erf is absolute. From |x| = 20 on q is 0, where an infinity must not meet it.
  EDGEVISION_INLINE static F gelu(F x) {
    const F minus = V::negative_abs(x, V::set(20.0f));
    const F t = V::set(1.0f) / V::fma(minus, V::set(-0.23164189f), V::set(1.0f));
    F p = V::set(0.5307027145f);
    p = V::fma(p, t, V::set(-0.7265760135f));
    p = V::fma(p, t, V::set(0.7107068705f));
    p = V::fma(p, t, V::set(-0.142248368f));
    p = V::fma(p, t, V::set(0.127414796f));
    const F q = p * t * exp2(minus * minus * V::set(-0.72134752f));
    return V::fma(minus, q, V::max(V::set(0.0f), x));
  }

 private:
  EDGEVISION_INLINE static F exp_clamped(F x) {
    const F shift = V::set(12582912.0f);  // 1.5 2^23: a sum with it has no room for a fraction
    const F n = V::fma(x, V::set(1.44269504088896341f), shift) - shift;
    F r = V::fma(n, V::set(-0.693359375f), x);
    r = V::fma(n, V::set(2.12194440e-4f), r);
    F q = V::set(0.008312525227665901f);
    q = V::fma(q, r, V::set(0.041890114545822144f));
    q = V::fma(q, r, V::set(0.16667114198207855f));
    q = V::fma(q, r, V::set(0.499992311000824f));
    q = V::fma(q, r, V::set(1.0f));
    return V::scale(V::fma(q, r, V::set(1.0f)), n);
  }
};

}  // namespace edgevision
