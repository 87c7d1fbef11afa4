// Tensors in a file: for each a line "NAME TYPE D0,D1,...\n" (a scalar has "-" for its dims), then its bytes.
// TYPE is the number of ONNXTensorElementDataType.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace edgevision {

struct Tensor {
  std::string name;
  int type = 0;
  std::vector<int64_t> dims;
  std::vector<char> bytes;
};

// Bytes of one element, 0 for a type that is not carried.
size_t ElementSize(int type);

// Both fail with a message and exit code 66 or 74.
std::vector<Tensor> ReadTensors(const std::string& path);
void WriteTensors(const std::string& path, const std::vector<Tensor>& tensors);

}  // namespace edgevision
