// Two vectors as one vector of the same interface; a pair of pairs is four.
//
// A polynomial is a chain of dependent multiply-adds of 4 cycles each; written over independent vectors it keeps the
// arithmetic units busy where a single chain would leave them waiting (an out-of-order core looks only some 100
// operations ahead, less than four exponentials). Members have names, not indices, so that they stay in registers.
#pragma once

#include <cstdint>

namespace edgevision {

template <class V>
struct Pair {
  using Half = typename V::F;
  struct F {
    Half a, b;
    F operator+(F o) const { return {a + o.a, b + o.b}; }
    F operator-(F o) const { return {a - o.a, b - o.b}; }
    F operator*(F o) const { return {a * o.a, b * o.b}; }
    F operator/(F o) const { return {a / o.a, b / o.b}; }
  };
  static constexpr int kLanes = 2 * V::kLanes;

  static F both(Half x) { return {x, x}; }
  static F set(float x) { return both(V::set(x)); }
  static F load(const float* p) { return {V::load(p), V::load(p + V::kLanes)}; }
  static F load(const float* p, int64_t count) {
    return {V::load(p, count), count > V::kLanes ? V::load(p + V::kLanes, count - V::kLanes) : V::set(0.0f)};
  }
  static void store(float* p, F x) { V::store(p, x.a), V::store(p + V::kLanes, x.b); }
  static F fma(F x, F y, F z) { return {V::fma(x.a, y.a, z.a), V::fma(x.b, y.b, z.b)}; }
  static F min(F x, F y) { return {V::min(x.a, y.a), V::min(x.b, y.b)}; }
  static F max(F x, F y) { return {V::max(x.a, y.a), V::max(x.b, y.b)}; }
  static F negative_abs(F x) { return {V::negative_abs(x.a), V::negative_abs(x.b)}; }
  static F representable(F x) { return {V::representable(x.a), V::representable(x.b)}; }
  static F split(F x, F& n) { return {V::split(x.a, n.a), V::split(x.b, n.b)}; }
  static F scale(F p, F n) { return {V::scale(p.a, n.a), V::scale(p.b, n.b)}; }
};

}  // namespace edgevision
