# Two commands for a fresh machine (CPython 3.11 or 3.12 with pip and venv): `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
CORPORA ?= ../shared/data
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# else every process compiles the libraries anew: 5 s of its start
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test tested lint lock embedded docs clean

demo: $(STAMP)
	$(BIN)/mer predict examples/hello.mp4 --explain

# types are checked, for a minute on one core, beside the tests, which leave a fifth of two cores idle
test: $(STAMP)
	$(MAKE) --no-print-directory -j2 lint tested

tested: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	touch $(STAMP)

# Trains the three encoders that ship inside from their raw corpora (hours on two cores), and pools them again.
embedded: $(STAMP)
	for m in audio face text; do $(BIN)/mer finetune $$m --data-root $(CORPORA) --resume build/embedded/$$m || exit; done
	$(BIN)/mer finetune bundle --data-root build/embedded -o mercli/assets/embedded

docs: $(STAMP)
	$(BIN)/python docs/build.py

lock:
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --extra dev --no-header pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) build dist *.egg-info
