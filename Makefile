# make demo     install into .venv and run the demo on the data that ships in the package
# make test     install everything and run all tests and linters
# make develop  an editable install for working on the code; make lint, make goals, make bench
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PART   ?= rambo
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo develop test test-slow lint bench goals docs tools

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "thrifty needs Python 3.11 or newer; set PYTHON=... (now: $$($(PYTHON) --version))" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

tools:
	@command -v cargo >/dev/null || { echo "thrifty needs Rust: install it from https://rustup.rs" >&2; exit 1; }

demo: $(BIN)/python tools
	$(BIN)/pip install --quiet .
	$(BIN)/thrifty demo --out demo-out
	@echo "open demo-out/report.html"

develop: $(BIN)/python tools
	$(BIN)/pip install --quiet 'maturin>=1.9.4,<2'
	$(BIN)/maturin develop --profile dev-opt
	$(BIN)/pip install --quiet 'thrifty[all,test]'

test: $(BIN)/python tools
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tests/run.py

test-slow: $(BIN)/python tools
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tests/run.py --slow

lint: tools
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tests/run.py --only lint

bench:
	$(BIN)/python benches/$(PART).py

goals:
	$(BIN)/python benches/goals/run.py $(PART) $(ITEM)

docs:
	$(BIN)/python benches/report.py
