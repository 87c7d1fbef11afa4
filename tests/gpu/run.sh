#!/bin/sh
# The GPU tests and the tables, on a machine with an NVIDIA GPU: `make gpu-test`, or `sh tests/gpu/run.sh` where nothing can
# be installed. Needs torch, triton, cuda-bindings, onnx-ir, onnxruntime and pytest; edgevision itself is taken from here.
# Takes a few minutes; what was measured is printed as it comes.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=python3
view=$root/build/gpu-view
rm -rf "$view" && mkdir -p "$view/edgevision"
for part in "$root"/edgevision/* "$root/models" "$root/calibration" "$root/plugins"; do ln -s "$part" "$view/edgevision/"; done
export PYTHONPATH="$view${PYTHONPATH:+:$PYTHONPATH}" TRITON_CACHE_DIR="$root/build/triton" TRITON_DISABLE_LINE_INFO=1
cd "$root" || exit 70
nvidia-smi --query-gpu=name,driver_version,clocks.max.sm --format=csv,noheader 2>/dev/null
"$python" -m pytest -m gpu -rs -q -p no:cacheprovider tests/gpu
tests=$?
"$python" -m edgevision.targets.tensorrt.gpu_check
tables=$?
[ "$tests" -eq 0 ] && [ "$tables" -eq 0 ]
