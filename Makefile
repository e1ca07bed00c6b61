# Two commands matter: `make repro` and `make test`. Both set up .venv first, once.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
SHELL := /bin/bash
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help setup repro ablation test lint faults fuzz audit docs show ui clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 17

setup: $(READY)  ## Install the pinned packages into .venv

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1); set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "setting up $(VENV): about 5 GB, a few minutes"
	@$(PYTHON) -m venv $(VENV)
	@# Bytecode is compiled as it is imported: for all packages that takes longer than to unpack them.
	@python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile -r requirements.lock
	@python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

repro: $(READY)  ## Run the pipeline on the embedded data set
	dvc repro
	@echo "done: see metrics/, 'dvc metrics show', or 'make ui'"

# The small music set lies outside the repository, because queued experiments run in copies of it.
MUSIC := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/adaspec/music
# Two variants at a time, each one fold at a time: while one starts or is scored, the other trains.
SMALL := --jobs 2 -S engine.parallel_folds=1 -S train.epochs=6 -S features.window.n_parts=6 \
  -S frontend.n_fft=512 -S frontend.mel.n_mels=64

ablation: $(READY)  ## Does learning the spectrogram help? Seven variants, on a small generated music set
	test -d $(MUSIC)/genres || python benchmarks/music.py $(MUSIC)
	adaspec ablation genre --root $(MUSIC) $(SMALL)

test: $(READY) lint  ## Check style, types and imports, run the tests
	pytest

lint: $(READY)  ## Check style, types and imports alone
	ruff check .
	ruff format --check .
	mypy
	lint-imports

faults: $(READY)  ## Kill the pipeline at random moments and look whether it recovers; minutes to an hour
	python benchmarks/faults.py

# What finds faults is not pinned: it is no part of what is run. Findings lie in .fuzz/.
FUZZ_SECONDS ?= 60
TARGETS := decode store manifest scores params

fuzz: $(READY)  ## Feed generated files to all that reads them, FUZZ_SECONDS=60 for each kind
	python -c 'import atheris' 2>/dev/null || python -m pip install --quiet --no-deps 'atheris>=3'
	python fuzz/corpus.py .fuzz
	for target in $(TARGETS); do \
	  python fuzz/fuzz.py $$target .fuzz/$$target -artifact_prefix=.fuzz/$$target- \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=4096 -verbosity=0 -print_final_stats=1 || exit 1; done

audit: $(READY)  ## Compare the pinned packages with the published advisories; needs the network
	python -c 'import pip_audit' 2>/dev/null || python -m pip install --quiet pip-audit
	pip-audit --requirement requirements.lock --no-deps --disable-pip

docs: $(READY)  ## Build the documentation into site/, warnings are errors
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

# What differs between experiments, headline first; without the columns of DVC's own digests of code and data.
show: $(READY)  ## Scores and differing knobs of all experiments, in one screen
	dvc exp show --no-pager --only-changed --hide-failed --precision 4 --drop '^(Executor|(data|models|src|stages)(/.*)?)$$'

ui: $(READY)  ## Compare runs in the browser
	@echo "open http://127.0.0.1:5000/#/experiments/1?workflowType=machine_learning"  # else MLflow 3.17 shows it as GenAI
	mlflow ui

clean:  ## Remove what the pipeline produced, but not the cache of DVC or MLflow's runs
	rm -rf data/raw data/features data/trained data/*.csv data/balance.svg models metrics/details reports/index.html site .adaspec/{checkpoints,locks,runs,tune}
