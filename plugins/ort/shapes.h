// Shapes and what may be wrong with them, apart from ONNX Runtime: everything a kernel relies on is checked here first.
//
// A check that fails throws ShapeError, whose message names the operator, the tensor, what it has and what it needs.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>

namespace edgevision {

struct ShapeError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// Dims of a tensor, on the stack; `present` is false for an optional input that was left out.
struct Shape {
  static constexpr size_t kMaxRank = 8;
  int64_t dims[kMaxRank] = {};
  size_t rank = 0;
  bool present = false;

  Shape() = default;
  Shape(std::initializer_list<int64_t> values) : present(true) {
    for (int64_t value : values) dims[rank++] = value;
  }
  int64_t operator[](size_t i) const { return dims[i]; }
};

std::string to_string(const Shape& shape);

// Checks for the tensors of one node.
class Checker {
 public:
  explicit Checker(const char* op) : op_(op) {}

  // Refuses another rank, and tensors of 2^31 elements or more.
  void rank(const char* tensor, const Shape& shape, size_t expected, const char* layout) const;
  // Refuses other dims; `layout` says what each stands for.
  void dims(const char* tensor, const Shape& shape, const Shape& expected, const char* layout) const;
  // Refuses 2^31 elements or more. In an empty tensor the other dims are held to the same, since sizes are computed
  // from them.
  void size(const char* tensor, const Shape& shape) const;
  [[noreturn]] void fail(const char* tensor, const std::string& reason) const;

 private:
  const char* op_;
};

}  // namespace edgevision
