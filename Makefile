# make sweep   run the quickstart study, write its report      make test    run all tests
# make check   formatter, linter, types, imports, audit        make bench   run the benchmarks
# make lock    write requirements.lock again                  make format  repair what a machine can repair
# make faults  kill and damage everything, at length          make clean   remove what make has installed
# make reproductions   run the studies, write docs/reproductions.md from their tables
# make theory   train linear learners, draw docs/theory.svg    make soak     kill something now and then, for MINUTES=20
# make jobs    submit a sweep to Ray's job server              make plotly  fetch the report's plotly.js again
# make settings   write docs/settings.md from the configuration's fields
# make gallery    run two studies, draw docs/gallery.md
PYTHON ?= python3
STUDY ?= collapse-quickstart
OUT ?= runs/$(STUDY)
MINUTES ?= 20
# The studies that ship, but for searches and for those on images that do not.
REPRODUCED ?= $(basename $(notdir $(shell grep -L '^search:' $$(grep -l 'dataset: fashion-mnist-8k' sweeps/studies/*.yaml))))

# uv installs no bytecode, so what is imported is compiled at the first import, and kept. Where that is forbidden,
# each process of a sweep would compile torch and Ray anew (docs/operations.md).
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
# uv takes seconds where pip takes minutes; hard links across file systems only make it warn. The lock names one
# version of each package and the digests of its files, also of those that requirements.txt does not name.
INSTALL := UV_LINK_MODE=copy $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes \
  --constraint requirements.lock --requirement

.DEFAULT_GOAL := help
.PHONY: help sweep reproductions settings theory gallery plotly test faults jobs soak check format bench lock clean

help:
	@sed -n '/^# make/s/^# //p' Makefile

sweep: .venv/.runtime
	@$(BIN)/python run_sweep.py run $(STUDY) --out $(OUT)

# Failed trials (status 1) do not keep the others from being reported.
reproductions: .venv/.runtime
	@for study in $(REPRODUCED); do \
	  $(BIN)/python run_sweep.py run $$study --out runs/$$study || test $$? -eq 1 || exit 1; \
	done
	@$(BIN)/python -m analysis.reproductions --to docs/reproductions.md \
	  $$(ls -d $(REPRODUCED:%=runs/%) runs/cifar10-small 2> /dev/null)

settings: .venv/.runtime
	@$(BIN)/python -m byol.settings --to docs/settings.md

theory: .venv/.runtime
	@$(BIN)/python -m benchmarks.theory_figure

# First those that need no Ray, then those that start it, each in two processes.
test: .venv/.development
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not ray"
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m ray

# `make test` runs a short part of these: fewer moments, seeds and bits.
# What was injected, and what came of it, goes into build/faults.json, and by tests.faults.page into the docs.
faults: .venv/.development
	@mkdir -p build
	@FAULTS=all FAULTS_RESULTS=$(CURDIR)/build/faults.json $(BIN)/python -m pytest tests/faults \
	  tests/sweeps/engine/test_driver.py tests/sweeps/engine/test_stopping.py

# `ray job submit` to Ray's own job server, which needs more packages than all the rest.
jobs: .venv/.jobs
	@.venv/jobs/bin/python -m pytest tests/cluster/test_jobs.py

# Goes on with a soak of three local nodes, in which something is killed every other minute.
soak: .venv/.development
	@$(BIN)/python -m tests.faults.soak --to build/soak --minutes $(MINUTES)

# The build of plotly.js that the report contains, in the version that goes with the Python package. Needs npm.
plotly: .venv/.runtime
	@mkdir -p build && cd build && npm pack --silent plotly.js-cartesian-dist-min@$$(../$(BIN)/python -c \
	  "from plotly.offline import get_plotlyjs_version; print(get_plotlyjs_version())") > plotly.name
	@tar xOf build/$$(cat build/plotly.name) package/plotly-cartesian.min.js | gzip -9n \
	  > analysis/page/plotly-cartesian.min.js.gz

# What the gallery shows: a study, a search and embeddings from elsewhere. Needs Chromium.
gallery: .venv/.development
	@for study in collapse-quickstart lr-search; do \
	  $(BIN)/python run_sweep.py run $$study --out runs/$$study || exit 1; \
	done
	@$(BIN)/python -m tests.analysis.page.gallery runs/collapse-quickstart runs/lr-search

check: .venv/.development
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache
	@$(BIN)/python -m tests.audit

format: .venv/.development
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# By name: make bench PARTS=trial. At length, and kept: make bench LONG=1 TO=benchmarks/results.
bench: .venv/.peers
	@.venv/peers/bin/python -m benchmarks $(PARTS) $(if $(LONG),--long) $(if $(TO),--to $(TO))

# For Python 3.11 and later, on every platform. Versions stay as they are unless the requirements change.
lock: | $(BIN)/uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --custom-compile-command "make lock" --output-file requirements.lock requirements-dev.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache build dist *.egg-info

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else \
	  "Python 3.11 or later is needed, but %s is %d.%d; name another: make PYTHON=python3.12 ..." \
	  % (sys.executable, v[0], v[1]))'
	@echo "Installing into .venv (once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check uv==0.13.9

.venv/.runtime: requirements.txt requirements.lock | $(BIN)/uv
	@$(INSTALL) requirements.txt
	@touch $@

# Sees the packages of .venv, and has those of the peers to itself.
.venv/.peers: benchmarks/requirements.txt .venv/.development
	@echo "Installing the peers of the benchmarks into .venv/peers"
	@$(BIN)/python -m venv --without-pip --clear .venv/peers
	@site='import sysconfig; print(sysconfig.get_path("purelib"))'; \
	  $(BIN)/python -c "$$site" > "$$(.venv/peers/bin/python -c "$$site")/project.pth"
	@UV_LINK_MODE=copy $(BIN)/uv pip install --quiet --python .venv/peers/bin/python --no-deps --require-hashes \
	  --requirement benchmarks/requirements.txt
	@touch $@

# Sees the packages of .venv, but for Ray, of which it has one with a job server.
.venv/.jobs: requirements.txt requirements.lock | .venv/.development
	@$(BIN)/python -m venv --without-pip --clear .venv/jobs
	@site='import sysconfig; print(sysconfig.get_path("purelib"))'; \
	  $(BIN)/python -c "$$site" > "$$(.venv/jobs/bin/python -c "$$site")/project.pth"
	@UV_LINK_MODE=copy $(BIN)/uv pip install --quiet --python .venv/jobs/bin/python \
	  "$$(sed -n 's/^ray\[tune\]/ray[default]/p' requirements.txt)" --constraint requirements.lock
	@touch $@

.venv/.development: requirements.txt requirements-dev.txt requirements.lock | $(BIN)/uv
	@$(INSTALL) requirements-dev.txt
	@touch $@ .venv/.runtime
