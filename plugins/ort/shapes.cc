#include "shapes.h"

namespace edgevision {

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.rank; ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

void Checker::fail(const char* tensor, const std::string& reason) const {
  throw ShapeError(std::string(op_) + ": '" + tensor + "' " + reason);
}

void Checker::size(const char* tensor, const Shape& shape) const {
  int64_t count = 1;
  for (size_t i = 0; i < shape.rank; ++i) {
    if (shape[i] < 0) fail(tensor, "has a negative dimension: " + to_string(shape));
    if (shape[i] == 0) continue;
    if (shape[i] > INT32_MAX / count)
      fail(tensor, "has shape " + to_string(shape) + ", which is 2^31 elements or more; split the batch");
    count *= shape[i];
  }
}

void Checker::rank(const char* tensor, const Shape& shape, size_t expected, const char* layout) const {
  if (shape.rank != expected)
    fail(tensor, "has rank " + std::to_string(shape.rank) + ", shape " + to_string(shape) + "; it must be " + layout);
  size(tensor, shape);
}

void Checker::dims(const char* tensor, const Shape& shape, const Shape& expected, const char* layout) const {
  rank(tensor, shape, expected.rank, layout);
  for (size_t i = 0; i < expected.rank; ++i)
    if (shape[i] != expected[i])
      fail(tensor, "has shape " + to_string(shape) + "; it must be " + layout + " = " + to_string(expected));
}

}  // namespace edgevision
