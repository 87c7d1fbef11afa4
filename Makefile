# Every target sets up what it needs in .venv; nothing outside the checkout is touched.
#   make demo    export MobileMamba to ONNX Runtime, prove it, run it on a photograph, measure it
#   make test    all tests that need no hardware          make check     formatting, lint, types
#   make bench   speed against named peers (BENCH=--resume goes on with one that was stopped)
#   make plugins   the C++ kernels alone
#   make test-zoo   the large variants                    make gpu-test  kernels on an NVIDIA GPU
#   make train-digits   the miniatures, cross-validated    make digits-int8   what INT8 costs them
#   make shiftadd-digits   powers of two with and without recovery, cross-validated
#   make zoo-table  measure the zoo for its tables, as far as it is not measured yet
#   make runner  kernels and the latency runner for aarch64 Linux, built on any machine
#   make device-test   against an emulated aarch64 Linux over ssh and Android's adbd (250 MB under build/)
#   make wheel   the wheel                                make clean     remove all that was built
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
DEMO := build/demo
CROSS := build/aarch64-linux
CHECKED := edgevision models calibration plugins tests
export EDGEVISION_CACHE ?= $(CURDIR)/build/cache

.PHONY: demo test test-zoo zoo-table gpu-test device-test check types bench bench-int8 train-digits digits-int8 shiftadd-digits plugins runner wheel clean

demo: $(VENV)/.core
	@mkdir -p $(DEMO)
	@$(BIN)/python tests/demo/photograph.py $(DEMO)/photograph.png
	$(BIN)/edgevision export --model mobilemamba --target ort --out $(DEMO)/mobilemamba
	$(BIN)/edgevision run $(DEMO)/mobilemamba $(DEMO)/photograph.png
	$(BIN)/edgevision profile $(DEMO)/mobilemamba --out $(DEMO)/profile.json
	@$(BIN)/python tests/demo/picture.py $(DEMO)
	@echo "see $(DEMO)/demo.png and $(DEMO)/mobilemamba/README.md"

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not gpu and not zoo"

test-zoo: $(VENV)/.test
	$(BIN)/python -m pytest -m zoo

zoo-table: $(VENV)/.test
	$(BIN)/python tests/zoo/measure_zoo.py --latency

gpu-test: $(VENV)/.test
	sh tests/gpu/run.sh

# What it prepares stays under build/devices, and `make test` runs these tests too as long as it is there.
device-test: $(VENV)/.test runner
	$(BIN)/python tests/devices/prepare.py
	$(BIN)/python -m pytest -rs tests/devices

check: $(VENV)/.test types
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/ruff check $(CHECKED)

# mypy sees `models/` and `calibration/` where they are installed, not where they are stored.
types: $(VENV)/.test
	@rm -rf build/view && mkdir -p build/view/edgevision
	@ln -s $(CURDIR)/edgevision/* $(CURDIR)/models $(CURDIR)/calibration $(CURDIR)/plugins build/view/edgevision/
	MYPYPATH=build/view $(BIN)/mypy -p edgevision

bench: $(VENV)/.bench
	$(BIN)/python tests/bench/run.py $(BENCH)
	$(BIN)/python tests/bench/calibration.py

bench-int8: $(VENV)/.bench
	for model in mobilemamba_digits unireplknet_digits van_digits; do $(BIN)/python tests/bench/int8_peers.py $$model; done
	$(BIN)/python tests/zoo/int8_zoo.py

train-digits: $(VENV)/.core
	$(BIN)/python -m edgevision.train

shiftadd-digits: $(VENV)/.core
	$(BIN)/python -m edgevision.shiftadd.recover

digits-int8: $(VENV)/.test
	$(BIN)/python tests/bench/digits_int8.py

plugins: $(VENV)/.tools
	$(native)

# zig is 400 MB, most of it C libraries, and serves this alone; its cache stays under build/.
runner: $(VENV)/.tools
	$(headers)
	@$(BIN)/python -c 'import ziglang' 2>/dev/null || $(PIP) ziglang
	ZIG_GLOBAL_CACHE_DIR=$(CURDIR)/build/zig $(BIN)/cmake -G Ninja -S plugins -B $(CROSS) \
		-DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -DCMAKE_TOOLCHAIN_FILE=aarch64-linux.cmake \
		-DEDGEVISION_PYTHON=$(CURDIR)/$(BIN)/python
	ZIG_GLOBAL_CACHE_DIR=$(CURDIR)/build/zig $(BIN)/cmake --build $(CROSS)
	@ls -l $(CROSS)/edgevision_runner $(CROSS)/libedgevision_ops.so

wheel: $(VENV)/.tools
	$(headers)
	$(BIN)/python -m pip wheel --quiet --no-build-isolation --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Without headers or a compiler the install still succeeds and the operators' bodies serve; `edgevision doctor` says so.
headers = @ls $${ONNXRUNTIME_INCLUDE_DIR:-/usr/include/onnxruntime}/onnxruntime_c_api.h >/dev/null 2>&1 \
	|| sh plugins/fetch_ort_headers.sh || echo "no ONNX Runtime headers: going on without kernels (edgevision doctor)"
define native
$(headers)
$(PIP) --no-build-isolation --no-deps --force-reinstall -e .
endef

$(VENV)/.tools: constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) "scikit-build-core>=0.11" "cmake>=3.25" "ninja>=1.11"
	@touch $@

$(VENV)/.core: $(VENV)/.tools pyproject.toml $(shell find plugins -name '*.cc' -o -name '*.h' -o -name CMakeLists.txt)
	$(PIP) torch
	$(PIP) --no-build-isolation -e '.[dev]'
	$(native)
	@touch $@

$(VENV)/.test: $(VENV)/.core
	$(PIP) --no-build-isolation -e '.[dev,trt,coreml,timm]'
	@touch $@

$(VENV)/.bench: $(VENV)/.core
	$(PIP) --no-build-isolation -e '.[dev,bench,timm]'
	@touch $@
