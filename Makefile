# The two commands of the README: each makes what it needs and runs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: demo test test-newest lint types unit studies hostile docs measure clean

demo: $(INSTALLED)
	$(BIN)/eightbit demo --out build/demo --overwrite

# What CI runs, fastest first.
test: lint types unit

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(INSTALLED)
	$(BIN)/mypy

# In the order of the folders: files of few and long tests would come last, on one core.
# A thread that waits for another one sleeps: two test processes share the cores.
PYTEST := OMP_WAIT_POLICY=passive $(BIN)/pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder
unit: $(INSTALLED) browser cpp emulator
	$(PYTEST) -m 'not study'

# The same tests with the newest torch that is admitted, and the newest of everything else. PyPI's
# torch for x86 is a build for CUDA, of gigabytes: PIP_EXTRA_INDEX_URL names an index with another.
NEWEST := build/newest
test-newest: browser cpp emulator
	$(PYTHON) -m venv $(NEWEST)
	$(NEWEST)/bin/python -m pip install --quiet --upgrade --constraint constraints-newest.txt \
	  --editable '.[cluster,demo,dev,keras,litert,openvino,timm]'
	$(subst $(BIN),$(NEWEST)/bin,$(PYTEST)) -m 'not study'

# benchmarks/studies, which only maintainers run.
studies: $(INSTALLED) emulator
	$(PYTEST) -m study

# Thousands of bad inputs from a seed, which is printed: HOSTILE_SEED=N makes the same ones again.
# Then 200 kills of the commands that write, and 20 of workers and of nodes of a cluster;
# EIGHTBIT_KILLS_SEED=N makes the same ones.
hostile: $(INSTALLED)
	HOSTILE_INPUTS=$${HOSTILE_INPUTS:-2000} HOSTILE_SEED=$${HOSTILE_SEED:-$$(date +%s)} \
	  $(BIN)/pytest -q -s -p no:xdist tests/hostile/inputs
	EIGHTBIT_KILLS=$${EIGHTBIT_KILLS:-200} $(BIN)/pytest -q -s -p no:xdist tests/hostile/kills
	EIGHTBIT_CLUSTER_KILLS=$${EIGHTBIT_CLUSTER_KILLS:-20} \
	  $(BIN)/pytest -q -p no:xdist tests/quantize/test_lost_workers.py

# The site: build/site/index.html. A broken link or a page that nobody can reach fails it.
docs: $(INSTALLED)
	$(BIN)/mkdocs build --strict

# docs/measured/line.md: every architecture on a folder or archive of photos.
#   make measure PHOTOS=photos.tar
# docs/measured/peers.md, ablation.md and pairs.md name their own commands.
measure: $(INSTALLED)
	$(BIN)/python -m eightbit.benchmarks.studies.line --photos $(PHOTOS) --out docs/measured/line.md

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) system-packages
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[cluster,demo,dev,keras,litert,openvino,timm]'
	@touch $@

# Debian keeps venv in a package of its own.
.PHONY: system-packages
system-packages:
	@command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] || \
	  { echo "$(PYTHON) has no venv: install it first (Debian: apt-get install python3-venv)"; exit 2; }
	apt-get update -qq && apt-get install -y -qq python3-venv

# The tests of report.html open it in Debian's Chromium; without one they skip.
.PHONY: browser
browser:
	@command -v chromium >/dev/null || { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && \
	  apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || \
	  echo "no chromium: the tests of report.html will skip (Debian: apt-get install chromium)"

# The tests of examples/cpp compile it; what is missing, they skip by name.
HEADERS := build/onnxruntime-headers
.PHONY: cpp
cpp:
	@command -v cmake >/dev/null && command -v g++ >/dev/null && \
	  [ -e /usr/share/cmake/nlohmann_json ] || { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && \
	  apt-get update -qq && apt-get install -y -qq cmake g++ make nlohmann-json3-dev >/dev/null; } || \
	  echo "no C++: its tests will skip (Debian: apt-get install cmake g++ make nlohmann-json3-dev)"
	@[ -d $(HEADERS)/include ] || sh examples/cpp/onnxruntime_headers.sh $(HEADERS) 2>/dev/null || \
	  echo "no headers of ONNX Runtime: the tests of classify_onnxruntime will skip"

# What runs as an older x86 processor or as ARM runs in QEMU; without it those tests skip.
.PHONY: emulator
emulator:
	@command -v qemu-x86_64 >/dev/null || { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && \
	  apt-get update -qq && apt-get install -y -qq qemu-user >/dev/null; } || \
	  echo "no qemu-user: the tests of other processors will skip (Debian: apt-get install qemu-user)"

# The bundle's self-test on emulated ARM processors. Downloads 80 MB into $(ARM) once;
# MIRROR=URL says where Debian comes from on a machine whose apt has no Debian bookworm.
ARM := build/arm64
.PHONY: arm64 arm64-packages
arm64: $(INSTALLED) arm64-packages
	$(BIN)/python -m eightbit.benchmarks.studies.arm64.root --out $(ARM) $(if $(MIRROR),--mirror $(MIRROR))
	EIGHTBIT_ARM64=$(ARM) $(BIN)/pytest tests/arm64

arm64-packages:
	@command -v qemu-aarch64 >/dev/null && command -v mmdebstrap >/dev/null || \
	  { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] || \
	  { echo "expected qemu-user and mmdebstrap: apt-get install qemu-user mmdebstrap"; exit 2; }; \
	  apt-get update -qq && apt-get install -y -qq qemu-user mmdebstrap >/dev/null; }

clean:
	rm -rf $(VENV) build dist *.egg-info
