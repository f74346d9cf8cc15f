# The commands people use.  `make serve` and `make test` need Python 3.11 or newer, nothing else.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: serve test test-runtime lint bench docs clean

# VOXCPM_ENGINE=voxcpm and =upstream install what that engine needs, too.
serve: $(VENV)/serve.stamp $(patsubst %,$(VENV)/%.stamp,$(filter voxcpm upstream,$(VOXCPM_ENGINE)))
	@exec $(BIN)/gunicorn -c gunicorn.conf.py wsgi:app

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# The runtime against upstream's package; installs torch.
test-runtime: $(VENV)/runtime.stamp
	$(BIN)/python -m pytest tests/runtime $(PYTEST_ARGS)

lint: $(VENV)/runtime.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Against a server of its own; needs ffmpeg for the comparison with pydub.
bench: $(VENV)/test.stamp
	$(BIN)/python benchmarks/server.py
	$(BIN)/python benchmarks/encoders.py

# Writes the generated parts of docs/ anew; a test fails where they are stale.
docs: $(VENV)/test.stamp
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/serve.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV) ..."
	$(PIP) --editable .
	@touch $@

$(VENV)/voxcpm.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV) what the voxcpm engine needs ..."
	$(PIP) --editable '.[voxcpm]'
	@touch $@

# Upstream without the hundred packages that it asks for; runtime/upstream.py stands in for two.
$(VENV)/upstream.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV) what the upstream engine needs ..."
	$(PIP) --editable '.[upstream]'
	$(PIP) --no-deps voxcpm
	@touch $@

# Triton interprets and compiles the GPU's kernels without a GPU; PyTorch's CUDA build has it already.
$(VENV)/kernels.stamp: $(VENV)/upstream.stamp
	@echo "installing into $(VENV) what the kernels' tests need ..."
	$(BIN)/python -c 'import triton' 2>/dev/null || $(PIP) --editable '.[kernels]'
	@touch $@

$(VENV)/runtime.stamp: $(VENV)/test.stamp $(VENV)/kernels.stamp
	@touch $@

# resemblyzer's weights alone: the package itself wants CUDA and an old setuptools.
$(VENV)/test.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV) what the tests need ..."
	$(PIP) --editable '.[test]'
	$(PIP) --no-deps resemblyzer
	@touch $@ $(VENV)/serve.stamp
