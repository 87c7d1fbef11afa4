// EvSelectiveScan(u, delta, A, B, C, D?, delta_bias?, z?) -> y; attributes delta_softplus, reverse.
#include "custom_op.h"
#include "plan.h"

namespace edgevision {
namespace {

struct SelectiveScan {
  static constexpr const char* kName = "EvSelectiveScan";
  static constexpr size_t kInputs = 8, kRequired = 5;

  explicit SelectiveScan(const OrtKernelInfo* info)
      : softplus_(int_attribute(info, "delta_softplus", 0) != 0), reverse_(ints_attribute(info, "reverse", {0})) {}

  OrtStatusPtr ComputeV2(OrtKernelContext* context) {
    return guarded([&] { compute(context); });
  }

 private:
  void compute(OrtKernelContext* context) const {
    constexpr const char* kNames[kInputs] = {"u", "delta", "A", "B", "C", "D", "delta_bias", "z"};
    Input in[kInputs];
    for (size_t i = 0; i < kInputs; ++i) in[i] = read_input(context, i, kName, kNames[i]);
    Scan scan = plan_scan(
        {in[0].shape, in[1].shape, in[2].shape, in[3].shape, in[4].shape, in[5].shape, in[6].shape, in[7].shape},
        reverse_.data(), reverse_.size(), softplus_);
    scan.u = in[0].data;
    scan.delta = in[1].data;
    scan.A = in[2].data;
    scan.B = in[3].data;
    scan.C = in[4].data;
    scan.D = in[5].data;
    scan.delta_bias = in[6].data;
    scan.z = in[7].data;
    scan.y = make_output(context, in[1].shape);
    const int64_t items = kernels()->scan_items(scan);
    const double elements =
        static_cast<double>(scan.batch * scan.groups * scan.channels) * static_cast<double>(scan.length);
    const double nanoseconds = elements * (1.0 + 0.4 * static_cast<double>(scan.states));
    parallel_for(context, items, nanoseconds, &scan, [](void* user, size_t item) {
      kernels()->scan(*static_cast<const Scan*>(user), static_cast<int64_t>(item));
    });
  }

  bool softplus_;
  std::vector<int64_t> reverse_;
};

}  // namespace

const OrtCustomOp* selective_scan_op() {
  static const CustomOp<SelectiveScan> op;
  return &op;
}

}  // namespace edgevision
