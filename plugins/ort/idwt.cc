// EvIDWT(x, filters) -> y; attributes mode, crop.
#include "custom_op.h"
#include "plan.h"

namespace edgevision {
namespace {

struct Idwt {
  static constexpr const char* kName = "EvIDWT";
  static constexpr size_t kInputs = 2, kRequired = 2;

  explicit Idwt(const OrtKernelInfo* info)
      : mode_(parse_mode(kName, string_attribute(info, "mode", "zero"))), crop_(ints_attribute(info, "crop", {0, 0})) {
    if (crop_.size() != 2)
      Checker(kName).fail("crop", "has " + std::to_string(crop_.size()) + " values; it must be [bottom, right]");
  }

  OrtStatusPtr ComputeV2(OrtKernelContext* context) {
    return guarded([&] { compute(context); });
  }

 private:
  void compute(OrtKernelContext* context) const {
    const Input x = read_input(context, 0, kName, "x"), filters = read_input(context, 1, kName, "filters");
    Shape out;
    Wavelet wavelet = plan_idwt(x.shape, filters.shape, mode_, crop_[0], crop_[1], out);
    wavelet.in = x.data;
    wavelet.filters = filters.data;
    wavelet.out = make_output(context, out);
    const double elements = static_cast<double>(wavelet.planes * wavelet.height * wavelet.width);
    parallel_for(context, kernels()->wavelet_items(wavelet),
                 elements * static_cast<double>(wavelet.taps * wavelet.taps) * 0.1, &wavelet,
                 [](void* user, size_t item) {
                   kernels()->wavelet(*static_cast<const Wavelet*>(user), static_cast<int64_t>(item));
                 });
  }

  Mode mode_;
  std::vector<int64_t> crop_;
};

}  // namespace

const OrtCustomOp* idwt_op() {
  static const CustomOp<Idwt> op;
  return &op;
}

}  // namespace edgevision
