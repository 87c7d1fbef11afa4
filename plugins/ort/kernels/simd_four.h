// Four vectors at a time, as one vector of the same interface.
//
// A polynomial is a chain of dependent multiply-adds of 4 cycles each; written over four independent vectors it keeps
// the arithmetic units busy where a single chain would leave them waiting (an out-of-order core looks only some 100
// operations ahead, less than four exponentials). Members have names, not indices, so that they stay in registers.
#pragma once

#include <cstdint>

namespace edgevision {

template <class V>
struct Four {
  using One = typename V::F;
  struct F {
    One a, b, c, d;
    F operator+(F o) const { return {a + o.a, b + o.b, c + o.c, d + o.d}; }
    F operator-(F o) const { return {a - o.a, b - o.b, c - o.c, d - o.d}; }
    F operator*(F o) const { return {a * o.a, b * o.b, c * o.c, d * o.d}; }
    F operator/(F o) const { return {a / o.a, b / o.b, c / o.c, d / o.d}; }
  };
  static constexpr int kLanes = 4 * V::kLanes;

  static F all(One x) { return {x, x, x, x}; }
  static F set(float x) { return all(V::set(x)); }
  static F load(const float* p) { return {V::load(p), V::load(p + W), V::load(p + 2 * W), V::load(p + 3 * W)}; }
  static void store(float* p, F x) {
    V::store(p, x.a), V::store(p + W, x.b), V::store(p + 2 * W, x.c), V::store(p + 3 * W, x.d);
  }
  static F fma(F x, F y, F z) {
    return {V::fma(x.a, y.a, z.a), V::fma(x.b, y.b, z.b), V::fma(x.c, y.c, z.c), V::fma(x.d, y.d, z.d)};
  }
  static F min(F x, F y) { return {V::min(x.a, y.a), V::min(x.b, y.b), V::min(x.c, y.c), V::min(x.d, y.d)}; }
  static F max(F x, F y) { return {V::max(x.a, y.a), V::max(x.b, y.b), V::max(x.c, y.c), V::max(x.d, y.d)}; }
  static F negative_abs(F x) {
    return {V::negative_abs(x.a), V::negative_abs(x.b), V::negative_abs(x.c), V::negative_abs(x.d)};
  }
  static F representable(F x) {
    return {V::representable(x.a), V::representable(x.b), V::representable(x.c), V::representable(x.d)};
  }
  static F split(F x, F& n) { return {V::split(x.a, n.a), V::split(x.b, n.b), V::split(x.c, n.c), V::split(x.d, n.d)}; }
  static F scale(F p, F n) {
    return {V::scale(p.a, n.a), V::scale(p.b, n.b), V::scale(p.c, n.c), V::scale(p.d, n.d)};
  }

 private:
  static constexpr int W = V::kLanes;
};

}  // namespace edgevision
