# The course's commands. `make` lists them.
# Each makes what it needs first: a virtual environment in .venv (another place: VENV=path).

VENV ?= .venv
COLAB_VENV ?= .venv-colab
PEERS_VENV ?= .venv-peers
LESSON ?= 01
JOBS ?= 2

# The first interpreter at hand that is new enough (another one: PYTHON=path).
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$python; break; }; done)
# Colab runs Python 3.13.
COLAB_PYTHON ?= $(shell python3.13 -c 'import sys; print(sys.executable)' 2>/dev/null \
	|| { ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.13.*/bin/python 2>/dev/null | tail -n 1 | grep . ; } \
	|| echo $(PYTHON))

BIN = $(VENV)/bin
# Jupyter wants to be told when the user is root, as in many containers.
ROOT_FLAG = $(shell [ "$$(id -u)" = 0 ] && echo --allow-root)
NBVAL = --nbval-lax --nbval-current-env --nbval-cell-timeout=600
SOLUTIONS = notebooks/solutions
# Python 3.13 with Colab's old kernel warns about its debugger otherwise.
export PYDEVD_DISABLE_FILE_VALIDATION = 1
# PyTorch's threads spin while they wait for each other, which on a busy machine makes everything several times slower.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help lab test notebooks solutions test-browser test-colab test-peers test-portable bench lint
.DELETE_ON_ERROR:

help:
	@echo "make lab           open the lessons in JupyterLab (LESSON=$(LESSON))"
	@echo "make test          check everything: style, exercises, package, notebooks, browser"
	@echo "make lint          check the style only"
	@echo "make notebooks     build notebooks/*.ipynb from vizcourse/lessons/*/lesson.md, where changed"
	@echo "make solutions     write the solved notebooks to $(SOLUTIONS)"
	@echo "make test-browser  drive the lessons in a real JupyterLab and Chromium"
	@echo "make test-colab    run notebooks and widgets with the versions that Colab has"
	@echo "make test-portable run the notebooks as an old, slow processor would"
	@echo "make test-peers    compare with other people's implementations, in an environment of their own"
	@echo "make bench         race the methods against other people's implementations"

# One environment; what it holds grows with what is asked of it. A changed pyproject.toml renews it.
$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "vizcourse needs Python 3.11 or newer: install one, or name it with PYTHON=path"; exit 1; }
	@echo "make: making a virtual environment in $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-%: pyproject.toml | $(BIN)/python
	@echo "make: installing the course for '$*' (PyTorch is large: this can take some minutes)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable ".[$*]"
	@touch $@

lab: $(VENV)/.installed-lab
	@lesson=$$(ls notebooks/$(LESSON)_*.ipynb 2>/dev/null | head -n 1); \
	[ -n "$$lesson" ] || { echo "there is no lesson $(LESSON) in notebooks/"; exit 1; }; \
	echo "make: opening $$lesson (stop with Ctrl-C)"; \
	exec $(BIN)/jupyter lab $(ROOT_FLAG) --log-level=WARN --ServerApp.root_dir=notebooks \
		--LabApp.default_url="/lab/tree/$${lesson#notebooks/}"

lint: $(VENV)/.installed-test
	@$(BIN)/ruff check .

notebooks: $(VENV)/.installed-test
	@$(BIN)/python -m vizcourse.notebooks build

solutions: $(VENV)/.installed-test
	@rm -rf $(SOLUTIONS)
	@$(BIN)/python -m vizcourse.notebooks solutions -o $(SOLUTIONS)

# The notebooks run twice, as shipped and solved, in the same session as the other tests and
# without a network, so that one closing line counts everything. Whole files are shared out over
# the workers, each with one thread: two files at once are faster than one file on two threads.
test: lint solutions
	@OMP_NUM_THREADS=1 $(BIN)/vizcourse check --jobs $(JOBS)
	@OMP_NUM_THREADS=1 sh tests/offline.sh $(BIN)/python -m pytest $(NBVAL) -q --durations=10 \
		-n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not peers" tests notebooks $(PYTEST_FLAGS)

# Blank on one thread with every progress bar, solved on two without any. A checked output must not depend on that.
test-portable: solutions
	@sh tests/portable.sh 1 always sh tests/offline.sh $(BIN)/python -m pytest $(NBVAL) -q --durations=5 \
		-n $(JOBS) --dist loadfile notebooks/*.ipynb $(PYTEST_FLAGS)
	@sh tests/portable.sh 2 never sh tests/offline.sh $(BIN)/python -m pytest $(NBVAL) -q --durations=5 \
		-n $(JOBS) --dist loadfile $(SOLUTIONS) $(PYTEST_FLAGS)

test-browser: $(VENV)/.installed-test
	@sh tests/offline.sh $(BIN)/python -m pytest -m browser tests/browser $(PYTEST_FLAGS)

$(COLAB_VENV)/.installed: tests/colab-requirements.txt pyproject.toml
	@echo "make: installing Colab's versions in $(COLAB_VENV) with $(COLAB_PYTHON) (this can take some minutes)"
	@[ -x $(COLAB_VENV)/bin/python ] || $(COLAB_PYTHON) -m venv $(COLAB_VENV)
	@$(COLAB_VENV)/bin/python -m pip install -qq --disable-pip-version-check -r tests/colab-requirements.txt
	@$(COLAB_VENV)/bin/python -m pip install -qq --disable-pip-version-check --no-deps --editable .
	@touch $@

test-colab: $(COLAB_VENV)/.installed
	@rm -rf $(SOLUTIONS)
	@$(COLAB_VENV)/bin/python -m vizcourse.notebooks solutions -o $(SOLUTIONS)
	@sh tests/offline.sh $(COLAB_VENV)/bin/python -m pytest $(NBVAL) -q $(wildcard tests/widgets) notebooks $(PYTEST_FLAGS)

$(PEERS_VENV)/.installed: pyproject.toml
	@echo "make: installing other people's implementations in $(PEERS_VENV) (this can take some minutes)"
	@[ -x $(PEERS_VENV)/bin/python ] || $(PYTHON) -m venv $(PEERS_VENV)
	@$(PEERS_VENV)/bin/python -m pip install -qq --disable-pip-version-check --editable ".[peers]"
	@touch $@

test-peers: $(PEERS_VENV)/.installed
	@OMP_NUM_THREADS=1 sh tests/offline.sh $(PEERS_VENV)/bin/python -m pytest -q -m peers \
		-n $(JOBS) --dist loadfile tests $(PYTEST_FLAGS)

bench: $(PEERS_VENV)/.installed
	@for benchmark in benchmarks/*.py; do echo "== $$benchmark"; $(PEERS_VENV)/bin/python "$$benchmark" || exit 1; done
