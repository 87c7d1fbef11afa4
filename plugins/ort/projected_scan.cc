// EvProjectedScan(x, projection, steps, A, D, delta_bias) -> y; attributes reverse, silu.
#include "custom_op.h"
#include "plan.h"

namespace edgevision {
namespace {

// Floats from ONNX Runtime's arena, where repeated runs find the same memory again.
class Scratch {
 public:
  Scratch(const OrtKernelContext* context, const OrtMemoryInfo* where, int64_t count) {
    Ort::ThrowOnError(Ort::GetApi().KernelContext_GetAllocator(context, where, &allocator_));
    data_ = static_cast<float*>(allocator_->Alloc(allocator_, static_cast<size_t>(count) * sizeof(float)));
    if (!data_ && count > 0) {
      Ort::GetApi().ReleaseAllocator(allocator_);
      throw std::bad_alloc();
    }
  }
  ~Scratch() {
    if (data_) allocator_->Free(allocator_, data_);
    Ort::GetApi().ReleaseAllocator(allocator_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  float* data() const { return data_; }

 private:
  OrtAllocator* allocator_ = nullptr;
  float* data_ = nullptr;
};

struct ProjectedScanOp {
  static constexpr const char* kName = "EvProjectedScan";
  static constexpr size_t kInputs = 6, kRequired = 6;

  explicit ProjectedScanOp(const OrtKernelInfo* info)
      : reverse_(ints_attribute(info, "reverse", {0})),
        silu_(int_attribute(info, "silu", 0) != 0),
        memory_(Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault)) {}

  OrtStatusPtr ComputeV2(OrtKernelContext* context) {
    return guarded([&] { compute(context); });
  }

 private:
  void compute(OrtKernelContext* context) const {
    constexpr const char* kNames[kInputs] = {"x", "projection", "steps", "A", "D", "delta_bias"};
    Input in[kInputs];
    for (size_t i = 0; i < kInputs; ++i) in[i] = read_input(context, i, kName, kNames[i]);
    ProjectedScan scan =
        plan_projected_scan({in[0].shape, in[1].shape, in[2].shape, in[3].shape, in[4].shape, in[5].shape},
                            reverse_.data(), reverse_.size(), silu_);
    scan.x = in[0].data;
    scan.projection = in[1].data;
    scan.steps = in[2].data;
    scan.A = in[3].data;
    scan.D = in[4].data;
    scan.delta_bias = in[5].data;
    scan.y = make_output(context, in[0].shape);
    const int64_t coefficients = scan.batch * scan.rows() * scan.length;
    if (kernels()->projected_scan_items(scan) == 0 || scan.length == 0) return;
    const Scratch scratch(context, memory_, coefficients + kernels()->projected_scan_sum(scan));
    scan.coefficients = scratch.data();
    scan.sum = scratch.data() + coefficients;
    const double elements = static_cast<double>(scan.batch * scan.channels) * static_cast<double>(scan.length);
    const double rows = static_cast<double>(scan.rows()), groups = static_cast<double>(scan.groups);
    each(context, kernels()->projected_scan_columns(scan), elements * (0.8 + 0.03 * rows), scan, kernels()->project);
    const double rank = static_cast<double>(scan.rank);
    each(context, kernels()->projected_scan_items(scan), elements * groups * (1.0 + 0.03 * rank), scan,
         kernels()->projected_scan);
  }

  using Item = void (*)(const ProjectedScan&, int64_t);

  static void each(const OrtKernelContext* context, int64_t items, double nanoseconds, const ProjectedScan& scan,
                   Item item) {
    struct Work {
      const ProjectedScan& scan;
      Item item;
    } work{scan, item};
    parallel_for(context, items, nanoseconds, &work, [](void* user, size_t index) {
      const Work& given = *static_cast<const Work*>(user);
      given.item(given.scan, static_cast<int64_t>(index));
    });
  }

  std::vector<int64_t> reverse_;
  bool silu_;
  Ort::MemoryInfo memory_;
};

}  // namespace

const OrtCustomOp* projected_scan_op() {
  static const CustomOp<ProjectedScanOp> op;
  return &op;
}

}  // namespace edgevision
