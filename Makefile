# Everything below sets up .venv by itself: Python 3.11 or later, make and a package index suffice.
PYTHON ?= python3
VENV   ?= .venv
PORT   ?= 8000
DATA   ?= .wherry

WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((n + 2)))

BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed
TYPED := src tests bench examples

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help demo run test check format bench soak simulate torture clean

help: ## list what can be done here
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMP) ## watch the shop work: orders, uploads, a job that fails and is redriven, a crash
	@$(BIN)/python examples/shop/demo.py

run: $(STAMP) ## serve the shop on PORT (8000), state in DATA (.wherry), until Ctrl-C
	@$(BIN)/wherry run shop:app --folder examples/shop --port $(PORT) --data $(DATA)

test: $(STAMP) ## run the whole suite; STORE=postgres runs all tests of the engine on one
	@$(if $(STORE),WHERRY_TEST_STORE=$(STORE)) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q $(if $(STORE),tests/engine)

check: $(STAMP) ## format, lint, strict types, shape of the code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(TYPED)
	$(BIN)/python -m pytest -q tests/unit/test_shape.py tests/unit/test_house_rules.py

format: $(STAMP) ## let ruff format and fix what it can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(STAMP) ## measure ourselves beside bare floors on this machine (minutes)
	@$(BIN)/python -m bench

soak: $(STAMP) ## two million orders with short retentions (an hour or more)
	@$(BIN)/python -m bench.soak

simulate: $(STAMP) ## SEEDS (10,000) lives of a cluster where everything fails; SEED=17 plays one aloud; STORE=postgres shares one
	@$(BIN)/python -m tests.simulation $(if $(STORE),--store $(STORE)) $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),10000))

torture: $(STAMP) ## every fault this machine can have, on real processes, for MINUTES (10); SEED, LIFE replay; STORE=postgres shares one
	@$(BIN)/python -m tests.torture --minutes $(or $(MINUTES),10) $(if $(STORE),--store $(STORE)) $(if $(SEED),--seed $(SEED)) $(if $(LIFE),--life $(LIFE))

clean: ## remove .venv, caches and the state of `make run`
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis dist $(DATA) bench/tmp
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON). Install Python 3.11 or later, or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "wherry needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) lacks venv or pip. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing wherry and its development tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@
