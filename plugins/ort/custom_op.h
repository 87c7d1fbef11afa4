// What the operators share in their dealings with ONNX Runtime: reading tensors, errors as statuses, parallel loops.
//
// No exception may cross into ONNX Runtime (it may have been built with another C++ library), so every entry point runs
// inside `guarded`.
#pragma once

#include <exception>
#include <new>
#include <string>

#include "kernels/kernels.h"
#include "onnxruntime_cxx_api.h"
#include "shapes.h"

namespace edgevision {

template <class Function>
OrtStatusPtr guarded(Function&& function) noexcept {
  try {
    function();
    return nullptr;
  } catch (const ShapeError& error) {
    return Ort::GetApi().CreateStatus(ORT_INVALID_ARGUMENT, error.what());
  } catch (const std::bad_alloc&) {
    return Ort::GetApi().CreateStatus(ORT_FAIL, "edgevision: out of memory");
  } catch (const std::exception& error) {
    return Ort::GetApi().CreateStatus(ORT_FAIL, error.what());
  }
}

// An input that may be absent.
struct Input {
  const float* data = nullptr;
  const uint8_t* bytes() const { return reinterpret_cast<const uint8_t*>(data); }  // of an input that holds bytes
  Shape shape;
};

Input read_input(const OrtKernelContext* context, size_t index, const char* op, const char* name);
float* make_output(OrtKernelContext* context, const Shape& shape);

// function(user, i) for each i < count on the session's own threads, in batches worth waking a thread for; all of them
// together take some `nanoseconds`.
void parallel_for(const OrtKernelContext* context, int64_t count, double nanoseconds, void* user,
                  void (*function)(void* user, size_t index));

// The same for a kernel's work items.
template <class Work>
void each(const OrtKernelContext* context, int64_t items, double nanoseconds, const Work& work,
          void (*item)(const Work&, int64_t)) {
  struct Pair {
    const Work& work;
    void (*item)(const Work&, int64_t);
  } pair{work, item};
  parallel_for(context, items, nanoseconds, &pair, [](void* user, size_t index) {
    const Pair& given = *static_cast<const Pair*>(user);
    given.item(given.work, static_cast<int64_t>(index));
  });
}

// Where scratch memory comes from: ONNX Runtime's arena, where repeated runs find the same memory again.
class ArenaInfo {
 public:
  ArenaInfo() : info_(Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault)) {}
  const OrtMemoryInfo* get() const { return info_; }

 private:
  Ort::MemoryInfo info_;
};

// Floats for the time of one call.
class Scratch {
 public:
  Scratch(const OrtKernelContext* context, const OrtMemoryInfo* where, int64_t count);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  float* data() const { return data_; }

 private:
  OrtAllocator* allocator_ = nullptr;
  float* data_ = nullptr;
};

// The attribute, or the fallback when the node does not carry it.
int64_t int_attribute(const OrtKernelInfo* info, const char* name, int64_t fallback);
float float_attribute(const OrtKernelInfo* info, const char* name, float fallback);
std::string string_attribute(const OrtKernelInfo* info, const char* name, const char* fallback);
std::vector<int64_t> ints_attribute(const OrtKernelInfo* info, const char* name, std::vector<int64_t> fallback);

// What the tensors of a node hold: `Bytes` at input `kAt` (anywhere where it is `kEverywhere`), floats at the others.
constexpr size_t kNowhere = SIZE_MAX, kEverywhere = SIZE_MAX - 1;
template <size_t kAt, ONNXTensorElementDataType Bytes, ONNXTensorElementDataType Output>
struct Types {
  static constexpr ONNXTensorElementDataType kOutput = Output;
  static constexpr ONNXTensorElementDataType input(size_t index) {
    return kAt == kEverywhere || index == kAt ? Bytes : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  }
};
using Floats = Types<kNowhere, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT>;
template <ONNXTensorElementDataType Type>
using BytesToBytes = Types<0, Type, Type>;
template <size_t kAt>
using FloatsAndBytes = Types<kAt, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT>;

// The operator's side of Ort::CustomOpBase: inputs from `Kernel::kRequired` on are optional.
template <class Kernel, class Types = Floats>
struct CustomOp : Ort::CustomOpBase<CustomOp<Kernel, Types>, Kernel, true> {
  const char* GetName() const { return Kernel::kName; }
  size_t GetInputTypeCount() const { return Kernel::kInputs; }
  ONNXTensorElementDataType GetInputType(size_t index) const {
    return Types::input(index);
  }
  OrtCustomOpInputOutputCharacteristic GetInputCharacteristic(size_t index) const {
    return index < Kernel::kRequired ? INPUT_OUTPUT_REQUIRED : INPUT_OUTPUT_OPTIONAL;
  }
  size_t GetOutputTypeCount() const { return 1; }
  ONNXTensorElementDataType GetOutputType(size_t) const { return Types::kOutput; }
  OrtStatusPtr CreateKernelV2(const OrtApi&, const OrtKernelInfo* info, void** kernel) const {
    return guarded([&] {
      if (!kernels()) throw ShapeError(why_no_kernels());
      *kernel = new Kernel(info);
    });
  }
};

const OrtCustomOp* selective_scan_op();
const OrtCustomOp* dwt_op();
const OrtCustomOp* idwt_op();
const OrtCustomOp* channel_norm_op();
const OrtCustomOp* depthwise_conv_op();
const OrtCustomOp* projected_scan_op();
const OrtCustomOp* wavelet_conv_op();
const OrtCustomOp* response_norm_op();
const OrtCustomOp* shift_conv_op();
const OrtCustomOp* shift_linear_op();
const OrtCustomOp* integer_norm_op();
const OrtCustomOp* signed_integer_norm_op();
const OrtCustomOp* integer_response_norm_op();
const OrtCustomOp* signed_integer_response_norm_op();
const OrtCustomOp* lookup_op();
const OrtCustomOp* signed_lookup_op();

}  // namespace edgevision
