// Several vectors as one of the same interface.
//
// A polynomial is a chain of dependent multiply-adds of 4 cycles each; written over independent vectors it keeps the
// arithmetic units busy where a single chain would leave them waiting (an out-of-order core looks only some 100
// operations ahead, less than four exponentials). (The pragmas unroll early enough for the array to become registers.)
#pragma once

#include <cstdint>

#include "always_inline.h"

namespace edgevision {

template <class V, int kCount>
struct Several {
  using One = typename V::F;
  struct F {
    One v[kCount];
    F operator+(F o) const { return each([&](int i) { return v[i] + o.v[i]; }); }
    F operator-(F o) const { return each([&](int i) { return v[i] - o.v[i]; }); }
    F operator*(F o) const { return each([&](int i) { return v[i] * o.v[i]; }); }
    F operator/(F o) const { return each([&](int i) { return v[i] / o.v[i]; }); }
  };
  static constexpr int kLanes = kCount * V::kLanes;

  template <class Function>
  EDGEVISION_INLINE static F each(Function function) {
    F x;
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) x.v[i] = function(i);
    return x;
  }
  static F all(One x) { return each([&](int) { return x; }); }
  static F set(float x) { return all(V::set(x)); }
  static F load(const float* p) { return each([&](int i) { return V::load(p + i * V::kLanes); }); }
  static F load(const float* p, int64_t count) {
    return each([&](int i) { return V::load(p + i * V::kLanes, count - i * V::kLanes); });
  }
  static void store(float* p, F x) {
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) V::store(p + i * V::kLanes, x.v[i]);
  }
  static F fma(F x, F y, F z) { return each([&](int i) { return V::fma(x.v[i], y.v[i], z.v[i]); }); }
  static F min(F x, F y) { return each([&](int i) { return V::min(x.v[i], y.v[i]); }); }
  static F max(F x, F y) { return each([&](int i) { return V::max(x.v[i], y.v[i]); }); }
  static F negative_abs(F x, F most) { return each([&](int i) { return V::negative_abs(x.v[i], most.v[i]); }); }
  static F representable(F x) { return each([&](int i) { return V::representable(x.v[i]); }); }
  static F split(F x, F& n) { return each([&](int i) { return V::split(x.v[i], n.v[i]); }); }
  static F scale(F p, F n) { return each([&](int i) { return V::scale(p.v[i], n.v[i]); }); }
};

}  // namespace edgevision
