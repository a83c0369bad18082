# README's two commands are `make fit` and `make test`; `make PYTHON=python3.12 fit` chooses the interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .cache/lowest
FITS := $(patsubst fits/%.toml,%,$(wildcard fits/*/*.toml))
STUDIES := $(patsubst %.toml,%,$(wildcard fits/*/studies/*.toml))
SHARED := --numprocesses auto --maxprocesses 4 --dist loadfile
INSTALL := -m pip install --disable-pip-version-check --quiet --editable

# Tests compile much and compute little: with these flags, which the pinned version of XLA has, in half the time.
PLAIN := XLA_FLAGS="--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"

.PHONY: fit test slow bench studies docs lowest
.DELETE_ON_ERROR:

fit: $(VENV)/.installed                     # the source trial: the posterior as a table, and the figures in out/
	$(BIN)/pkpd fit lissoni1995/joint --plot out/

test: $(VENV)/.installed-test               # every check that CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(PLAIN) $(BIN)/python -m pytest $(SHARED)

slow: $(VENV)/.installed-test               # the tests that take minutes
	$(BIN)/python -m pytest -m slow

bench: $(VENV)/.installed-test              # timings side by side
	$(BIN)/python -m benchmarks.fit
	$(BIN)/python -m benchmarks.batch
	$(BIN)/python -m benchmarks.decisions
	$(BIN)/python -m benchmarks

studies: $(VENV)/.installed                 # the solver's accuracy, every stored question anew, what is asked of the answers
	$(BIN)/python -m benchmarks.accuracy
	$(BIN)/python -m benchmarks.structures
	failed=0; for fit in $(FITS); do $(BIN)/pkpd fit $$fit --seal --keep .cache/fits || failed=1; done; \
	$(BIN)/python -m benchmarks.leave_out || failed=1; \
	for study in $(STUDIES); do keep=.cache/studies/$$study; \
		$(BIN)/pkpd batch run $$study.toml --keep $$keep \
		&& $(BIN)/pkpd batch collect $$study.toml --keep $$keep --seal --plot $$study.png || failed=1; done; exit $$failed

docs: $(VENV)/.installed                    # one page per module, in out/docs
	$(BIN)/python $(INSTALL) ".[docs]" --constraint constraints.txt
	$(BIN)/python -m pdoc --math --output-directory out/docs pkpd

lowest: $(LOWEST)/.installed-test           # the tests with the lowest versions that pyproject.toml allows
	$(LOWEST)/bin/python -m pytest $(SHARED)

$(VENV)/.made $(LOWEST)/.made:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(@D)
	touch $@

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/.made
	$(BIN)/python $(INSTALL) . --constraint constraints.txt
	touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(VENV)/.made
	$(BIN)/python $(INSTALL) ".[test]" --constraint constraints.txt
	touch $(VENV)/.installed $@

# One requirement to a line in pyproject.toml, so that its lower bound can be read off.
$(LOWEST)/constraints.txt: pyproject.toml | $(LOWEST)/.made
	sed -nE 's/^ +"([A-Za-z0-9_-]+)(\[[a-z0-9]+\])?>=([0-9.]+)".*/\1==\3/p' pyproject.toml > $@

$(LOWEST)/.installed-test: $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python $(INSTALL) ".[test]" --constraint $<
	touch $@
