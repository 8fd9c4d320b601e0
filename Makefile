# The two commands of the README: each makes what it needs and runs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: demo test lint types unit docs measure clean

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
unit: $(INSTALLED) browser
	$(BIN)/pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder

# The site: build/site/index.html. A broken link or a page that nobody can reach fails it.
docs: $(INSTALLED)
	$(BIN)/mkdocs build --strict

# docs/measured/line.md: every architecture on a folder or archive of photos.
#   make measure PHOTOS=photos.tar
# docs/measured/peers.md, ablation.md and pairs.md name their own commands.
measure: $(INSTALLED)
	$(BIN)/python -m eightbit.benchmarks.line --photos $(PHOTOS) --out docs/measured/line.md

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) system-packages
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,dev,openvino]'
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

clean:
	rm -rf $(VENV) build dist *.egg-info
