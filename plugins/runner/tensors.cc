#include "tensors.h"

#include <fstream>
#include <sstream>

#include "onnxruntime_c_api.h"
#include "options.h"

namespace edgevision {

namespace {

constexpr int kNoInput = 66, kNoOutput = 74;

std::vector<int64_t> ParseDims(const std::string& text) {
  std::vector<int64_t> dims;
  if (text == "-") return dims;
  std::stringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) dims.push_back(std::strtoll(part.c_str(), nullptr, 10));
  return dims;
}

}  // namespace

size_t ElementSize(int type) {
  switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL:
      return 1;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16:
      return 2;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32:
      return 4;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64:
      return 8;
    default:
      return 0;
  }
}

std::vector<Tensor> ReadTensors(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) Fail(kNoInput, "cannot read " + path);
  std::vector<Tensor> tensors;
  for (std::string line; std::getline(file, line);) {
    Tensor tensor;
    std::string dims;
    std::stringstream words(line);
    if (!(words >> tensor.name >> tensor.type >> dims)) Fail(kNoInput, path + " is damaged");
    tensor.dims = ParseDims(dims);
    size_t size = ElementSize(tensor.type);
    for (const int64_t dim : tensor.dims) size *= dim >= 0 ? static_cast<size_t>(dim) : 0;
    tensor.bytes.resize(size);
    if (!file.read(tensor.bytes.data(), static_cast<std::streamsize>(size))) Fail(kNoInput, path + " is cut short");
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

void WriteTensors(const std::string& path, const std::vector<Tensor>& tensors) {
  std::ofstream file(path, std::ios::binary);
  for (const Tensor& tensor : tensors) {
    file << tensor.name << ' ' << tensor.type << ' ';
    for (size_t i = 0; i < tensor.dims.size(); ++i) file << (i ? "," : "") << tensor.dims[i];
    file << (tensor.dims.empty() ? "-\n" : "\n");
    file.write(tensor.bytes.data(), static_cast<std::streamsize>(tensor.bytes.size()));
  }
  if (!file.flush()) Fail(kNoOutput, "cannot write " + path);
}

}  // namespace edgevision
