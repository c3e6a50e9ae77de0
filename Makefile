# make sweep   run the quickstart study, write its report      make test    run all tests
# make check   formatter, linter, types, import rules         make bench   run the benchmarks
PYTHON ?= python3
STUDY ?= collapse-quickstart
OUT ?= runs/$(STUDY)

BIN := .venv/bin
# uv takes seconds where pip takes minutes; hard links across file systems only make it warn.
INSTALL := UV_LINK_MODE=copy $(BIN)/uv pip install --quiet --python $(BIN)/python -r

.DEFAULT_GOAL := help
.PHONY: help sweep test check format bench clean

help:
	@sed -n '/^# make/s/^# //p' Makefile

sweep: .venv/.runtime
	@$(BIN)/python run_sweep.py run $(STUDY) --out $(OUT)

test: .venv/.development
	@$(BIN)/python -m pytest

check: .venv/.development
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache

format: .venv/.development
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: .venv/.development
	@$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .mypy_cache .ruff_cache

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else \
	  "Python 3.11 or later is needed, but %s is %d.%d; name another: make PYTHON=python3.12 ..." \
	  % (sys.executable, v[0], v[1]))'
	@echo "Installing into .venv (once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check uv==0.13.9

.venv/.runtime: requirements.txt | $(BIN)/uv
	@$(INSTALL) requirements.txt
	@touch $@

.venv/.development: requirements.txt requirements-dev.txt | $(BIN)/uv
	@$(INSTALL) requirements-dev.txt
	@touch $@ .venv/.runtime
