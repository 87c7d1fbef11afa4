// Tensors in a file: for each a line "NAME TYPE D0,D1,...\n" (a scalar has "-" for its dims), then its bytes.
// TYPE is the number of ONNXTensorElementDataType.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <vector>

namespace edgevision {

// Memory that begins with a cache line, as ONNX Runtime's own does: what `malloc` gives begins with one or not, from program
// to program, and wide loads that straddle two lines take longer.
template <typename T>
struct CacheAligned {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};

  CacheAligned() = default;
  template <typename U>
  CacheAligned(const CacheAligned<U>&) {}
  T* allocate(std::size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kLine)); }
  void deallocate(T* memory, std::size_t) { ::operator delete(memory, kLine); }
  friend bool operator==(CacheAligned, CacheAligned) { return true; }
  friend bool operator!=(CacheAligned, CacheAligned) { return false; }
};

struct Tensor {
  std::string name;
  int type = 0;
  std::vector<int64_t> dims;
  std::vector<char, CacheAligned<char>> bytes;
};

// Bytes of one element, 0 for a type that is not carried.
size_t ElementSize(int type);

// Both fail with a message and exit code 66 or 74.
std::vector<Tensor> ReadTensors(const std::string& path);
void WriteTensors(const std::string& path, const std::vector<Tensor>& tensors);

}  // namespace edgevision
