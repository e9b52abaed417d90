# The two commands of the README, and the checks. Everything happens in .venv; nothing is installed elsewhere.
# Versions are those of constraints.txt. uv installs where it is at hand, pip elsewhere.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
# Processes that share the tests: one more than there are cores, since some tests wait. Files are begun in their order,
# in which those that take long come before those with many short tests.
JOBS ?= $(shell expr $(CORES) + 1)
PINNED := --quiet --constraint constraints.txt
UV := $(shell command -v uv 2>/dev/null)
ifdef UV
INSTALL = uv pip install --python $(BIN)/python $(PINNED)
CREATE = uv venv --quiet --seed --allow-existing --python $(PYTHON) $(VENV)
else
INSTALL = $(BIN)/python -m pip install $(PINNED)
CREATE = $(PYTHON) -m venv $(VENV)
endif
export LITELLM_LOCAL_MODEL_COST_MAP := true
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export HF_HUB_OFFLINE := 1
export HF_DATASETS_OFFLINE := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests start many processes; each would compile the sources anew where the environment forbids keeping the outcome.
export PYTHONDONTWRITEBYTECODE :=
# The processes that share the tests must agree on their names, whatever set a parameter was taken from.
export PYTHONHASHSEED := 0

.PHONY: demo docs test types tests trainable check clean constraints

demo: $(VENV)/installed
	$(BIN)/dspy-fusion demo

test: $(VENV)/installed-dev
	$(BIN)/ruff check .
	@$(MAKE) --no-print-directory --jobs 2 types tests

# Side by side: what checks the types keeps one core busy for a minute.
types: $(VENV)/installed-dev
	$(BIN)/pyright --pythonpath $(BIN)/python

tests: $(VENV)/installed-dev
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder --durations 20

# What the tests of fine-tuning and of Ray need beside the rest (they skip without). Where a CPU build of torch is wanted, install that first.
# Always by pip, which also finds wheels on this machine's disk.
trainable: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet 'torch==2.13.0'
	$(BIN)/python -m pip install $(PINNED) --editable '.[all,dev,finetune,local,ray]'

# Beside the tests, the types of the tests themselves.
check: test
	$(BIN)/pyright --pythonpath $(BIN)/python --project tests

# The site, in site/; a warning is an error.
docs: $(VENV)/installed-docs
	$(BIN)/python -m mkdocs build --strict --quiet

# The newest versions that fit together, for all Python versions at once; torch and what it pulls in are left to whoever installs it.
constraints:
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate --no-header \
		--extra all --extra dev --extra docs --extra finetune --extra local --extra ray pyproject.toml \
		| grep -vE '^(torch|triton|nvidia-|cuda-)' > constraints.new
	(echo '# Made by "make constraints"; for Python 3.11 to 3.13.'; cat constraints.new) > constraints.txt
	rm constraints.new

$(BIN)/python:
	$(CREATE)

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[demo]'
	touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[all,dev]'
	touch $@

$(VENV)/installed-docs: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[all,docs]'
	touch $@

clean:
	rm -rf $(VENV) site .pytest_cache .ruff_cache
