PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.installed

.PHONY: help env demo test test-slow lint format bench

help:
	@echo "make demo    train a DCGAN on digits for two minutes, in an environment of its own"
	@echo "make test    run the tests        make test-slow  those that start many processes or take long"
	@echo "make lint    style, types, import rules          make format  put style right"
	@echo "make bench   measure speed        make env    only make .venv"

env: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 10), "Python 3.10 or newer is needed; make demo PYTHON=python3.12, for example"'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

demo: $(READY)
	$(BIN)/lightning-gans fit --config dcgan_digits

test: $(READY)
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python tests/benchmarks/training.py
	$(BIN)/python tests/benchmarks/audio.py
	$(BIN)/python tests/benchmarks/vocoders.py
	$(BIN)/python tests/benchmarks/distributed.py
	$(BIN)/python tests/benchmarks/overhead.py
	$(BIN)/python tests/benchmarks/streaming.py
