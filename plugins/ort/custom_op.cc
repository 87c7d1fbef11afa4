#include "custom_op.h"

#include <algorithm>

namespace edgevision {

namespace {

Shape read_shape(const OrtTensorTypeAndShapeInfo* info, const char* op, const char* name) {
  Shape shape;
  shape.present = true;
  Ort::ThrowOnError(Ort::GetApi().GetDimensionsCount(info, &shape.rank));
  if (shape.rank > Shape::kMaxRank) {
    const std::string rank = std::to_string(shape.rank);
    shape.rank = 0;
    Checker(op).fail(name, "has rank " + rank);
  }
  Ort::ThrowOnError(Ort::GetApi().GetDimensions(info, shape.dims, shape.rank));
  return shape;
}

}  // namespace

Input read_input(const OrtKernelContext* context, size_t index, const char* op, const char* name) {
  const OrtApi& api = Ort::GetApi();
  Input input;
  size_t count = 0;
  Ort::ThrowOnError(api.KernelContext_GetInputCount(context, &count));
  if (index >= count) return input;
  const OrtValue* value = nullptr;
  Ort::ThrowOnError(api.KernelContext_GetInput(context, index, &value));
  if (!value) return input;
  OrtTensorTypeAndShapeInfo* info = nullptr;
  Ort::ThrowOnError(api.GetTensorTypeAndShape(value, &info));
  const Ort::TensorTypeAndShapeInfo owner(info);
  input.shape = read_shape(info, op, name);
  void* data = nullptr;
  Ort::ThrowOnError(api.GetTensorMutableData(const_cast<OrtValue*>(value), &data));
  input.data = static_cast<const float*>(data);
  return input;
}

float* make_output(OrtKernelContext* context, const Shape& shape) {
  OrtValue* value = nullptr;
  Ort::ThrowOnError(Ort::GetApi().KernelContext_GetOutput(context, 0, shape.dims, shape.rank, &value));
  void* data = nullptr;
  Ort::ThrowOnError(Ort::GetApi().GetTensorMutableData(value, &data));
  return static_cast<float*>(data);
}

void parallel_for(const OrtKernelContext* context, int64_t count, double nanoseconds, void* user,
                  void (*function)(void* user, size_t index)) {
  constexpr double kWorthAThread = 8'000;  // waking a waiting thread costs a few microseconds
  const double batches = std::min(static_cast<double>(count), nanoseconds / kWorthAThread);
  if (batches < 2) {
    for (int64_t i = 0; i < count; ++i) function(user, static_cast<size_t>(i));
    return;
  }
  Ort::ThrowOnError(Ort::GetApi().KernelContext_ParallelFor(context, function, static_cast<size_t>(count),
                                                            static_cast<size_t>(batches), user));
}

Scratch::Scratch(const OrtKernelContext* context, const OrtMemoryInfo* where, int64_t count) {
  Ort::ThrowOnError(Ort::GetApi().KernelContext_GetAllocator(context, where, &allocator_));
  data_ = static_cast<float*>(allocator_->Alloc(allocator_, static_cast<size_t>(count) * sizeof(float)));
  if (!data_ && count > 0) {
    Ort::GetApi().ReleaseAllocator(allocator_);
    throw std::bad_alloc();
  }
}

Scratch::~Scratch() {
  if (data_) allocator_->Free(allocator_, data_);
  Ort::GetApi().ReleaseAllocator(allocator_);
}

// Ort::ConstKernelInfo throws when an attribute is absent; absent is what the fallback is for. An attribute of another
// kind reads as absent too, which ONNX Runtime offers no way to tell apart.
int64_t int_attribute(const OrtKernelInfo* info, const char* name, int64_t fallback) {
  int64_t value = fallback;
  const Ort::Status status(Ort::GetApi().KernelInfoGetAttribute_int64(info, name, &value));
  return status.IsOK() ? value : fallback;
}

float float_attribute(const OrtKernelInfo* info, const char* name, float fallback) {
  float value = fallback;
  const Ort::Status status(Ort::GetApi().KernelInfoGetAttribute_float(info, name, &value));
  return status.IsOK() ? value : fallback;
}

std::string string_attribute(const OrtKernelInfo* info, const char* name, const char* fallback) {
  size_t size = 0;
  const Ort::Status absent(Ort::GetApi().KernelInfoGetAttribute_string(info, name, nullptr, &size));
  if (!absent.IsOK()) return fallback;
  std::string value(size, '\0');
  Ort::ThrowOnError(Ort::GetApi().KernelInfoGetAttribute_string(info, name, value.data(), &size));
  value.resize(size - 1);  // the size counts the terminating zero
  return value;
}

std::vector<int64_t> ints_attribute(const OrtKernelInfo* info, const char* name, std::vector<int64_t> fallback) {
  size_t size = 0;
  const Ort::Status absent(Ort::GetApi().KernelInfoGetAttributeArray_int64(info, name, nullptr, &size));
  if (!absent.IsOK()) return fallback;
  std::vector<int64_t> value(size);
  Ort::ThrowOnError(Ort::GetApi().KernelInfoGetAttributeArray_int64(info, name, value.data(), &size));
  return value;
}

}  // namespace edgevision
