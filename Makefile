# Development commands.  They need Python 3.11 or newer; everything else is installed into .venv.

PYTHON ?= python3
VENV ?= .venv
# Test processes: a number, or "auto" for one per core.  0 runs the tests in one process.
JOBS ?= auto
BIN := $(VENV)/bin
# The environment of the clients that test-clients runs.
CLIENTS ?= .venv-clients
# The environment of the tools that audit uses.
AUDIT ?= .venv-audit
# The environment of what builds the site of the documentation.
SITE ?= .venv-site
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Each process runs a contiguous share of the tests and then takes over tests of the others, so that
# fixtures such as a live server are rarely started twice.
PYTEST := $(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal

# Without torch its types are unknown: these checks would then fail on correct code.
WITHOUT_TORCH := --allow-untyped-decorators --allow-subclassing-any --no-warn-return-any \
	--no-warn-unused-ignores --disable-error-code valid-type

.PHONY: install serve format lint typecheck typecheck-runtime test test-runtime test-clients bench \
	docs site audit clean

# Install the package in editable mode with the tools for development, without torch.
install: $(VENV)/test.stamp

# Start the server.  VOXCPM_ENGINE=voxcpm and =upstream also install the packages of that engine.
serve: $(VENV)/serve.stamp $(patsubst %,$(VENV)/%.stamp,$(filter voxcpm upstream,$(VOXCPM_ENGINE)))
	@exec $(BIN)/gunicorn -c gunicorn.conf.py wsgi:app

# Format the code and apply safe fixes.
format: $(VENV)/test.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Check style and formatting.
lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Check types.  Does not need torch; code that uses torch is checked as far as possible.
typecheck: $(VENV)/test.stamp
	$(BIN)/mypy $(WITHOUT_TORCH)

# Check types strictly, torch's included; installs torch.
typecheck-runtime: $(VENV)/runtime.stamp
	$(BIN)/mypy

# Run the tests.  Does not need torch; tests/runtime is skipped without it.
test: $(VENV)/test.stamp
	$(PYTEST) $(PYTEST_ARGS)

# Compare the VoxCPM runtime with upstream's package; installs torch.
test-runtime: $(VENV)/runtime.stamp
	$(PYTEST) tests/runtime $(PYTEST_ARGS)

# Run other projects' clients, unchanged, against the server.  They have an environment of their own:
# tests/conftest.py needs the server's packages, and their deprecations are not ours.  A client may
# wait for ever for a server that does not answer.
test-clients: $(VENV)/serve.stamp $(CLIENTS)/stamp
	SERVER_PYTHON=$(BIN)/python $(CLIENTS)/bin/python -m pytest --confcutdir=tests/clients \
	  -W ignore::DeprecationWarning --timeout 60 tests/clients $(PYTEST_ARGS)

# Measure the server with the embedded engine, and the encoders.  pydub needs ffmpeg.
bench: $(VENV)/test.stamp
	$(BIN)/python benchmarks/server.py
	$(BIN)/python benchmarks/encoders.py

# Write the generated parts of docs/.  A test fails if they are out of date.
docs: $(VENV)/test.stamp
	$(BIN)/python docs/generate.py

# Build the documentation as a site in dist/site; a broken link is an error.
site: $(SITE)/stamp
	NO_MKDOCS_2_WARNING=1 $(SITE)/bin/mkdocs build --quiet

# Report known vulnerabilities of what is installed, and write what that is to dist/sbom.json (CycloneDX).
# The tools have an environment of their own: their packages are not the server's.
audit: $(VENV)/serve.stamp $(AUDIT)/stamp
	@mkdir -p dist
	$(AUDIT)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	  --output-file dist/sbom.json $(BIN)/python
	$(AUDIT)/bin/pip-audit --skip-editable \
	  --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

# Remove the environments, build results and caches.
clean:
	rm -rf $(VENV) $(CLIENTS) $(AUDIT) $(SITE) dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python $(CLIENTS)/bin/python $(AUDIT)/bin/python $(SITE)/bin/python: %/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is required: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $*

$(VENV)/serve.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the server into $(VENV) ..."
	$(PIP) --editable ".[mandarin,spanish]"
	@touch $@

$(VENV)/voxcpm.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the voxcpm engine into $(VENV) ..."
	$(PIP) --editable '.[voxcpm]'
	@touch $@

# voxcpm without its hundred dependencies; runtime/loading/upstream.py replaces two of them.
$(VENV)/upstream.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the upstream engine into $(VENV) ..."
	$(PIP) --editable '.[upstream]'
	$(PIP) --no-deps voxcpm
	@touch $@

# Triton interprets and compiles the kernels without a GPU.  PyTorch's CUDA build includes it.
$(VENV)/kernels.stamp: $(VENV)/upstream.stamp
	@echo "installing Triton into $(VENV) ..."
	$(BIN)/python -c 'import triton' 2>/dev/null || $(PIP) --editable '.[kernels]'
	@touch $@

$(VENV)/runtime.stamp: $(VENV)/test.stamp $(VENV)/kernels.stamp
	@touch $@

# resemblyzer without its dependencies: only its weights are used.
$(VENV)/test.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the development tools into $(VENV) ..."
	$(PIP) --editable '.[test]'
	$(PIP) --no-deps resemblyzer
	@touch $@ $(VENV)/serve.stamp

$(CLIENTS)/stamp: tests/clients/requirements.txt | $(CLIENTS)/bin/python
	@echo "installing the clients into $(CLIENTS) ..."
	$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(SITE)/stamp: docs/requirements.txt | $(SITE)/bin/python
	$(SITE)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(AUDIT)/stamp: | $(AUDIT)/bin/python
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit cyclonedx-bom
	@touch $@
