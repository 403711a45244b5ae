# Every target is one script, so that a machine without make loses nothing:
# `bash scripts/demo` is `make demo`.
.PHONY: demo demo-reset test fuzz mixed check format messages guide faults bench lock
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: ## Run everything here: servers, web, workers, emulator, demo data (ARGS=--check to judge it)
	@bash scripts/demo $(ARGS)

demo-reset: ## Forget the demo's data
	@bash scripts/demo --reset

test: ## Run the tests on real servers and processes (ARGS="-k name" to choose)
	@bash scripts/test $(ARGS)

fuzz: ## 20,000 random answers and callbacks for every adapter (FUZZ_EXAMPLES=N for another number)
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-20000} bash scripts/test tests/channels/providers -k fuzz $(ARGS)

mixed: ## MAX, Telegram, WhatsApp, SMS to 5,000 people of every behaviour, and the figures (MIXED_PEOPLE=N, MIXED_SEED=N)
	@MIXED_PEOPLE=$${MIXED_PEOPLE:-5000} bash scripts/test tests/flows/test_mixed_chain.py -n 0 -s $(ARGS)

check: ## Lint, types, imports, migrations, deployment settings, catalogues
	@bash scripts/check

format: ## Format the code
	@bash scripts/bootstrap dev
	@.venv/bin/ruff check --fix --quiet . || true
	@.venv/bin/ruff format .

messages: ## Rewrite the message catalogues from the code
	@bash scripts/bootstrap dev
	@.venv/bin/python scripts/catalogues.py messages

guide: ## Take the pictures of the owner's guide anew (docs/guide)
	@bash scripts/guide $(ARGS)

faults: ## Kill workers, flush Redis, restart PostgreSQL, then count what was lost (ARGS=...)
	@bash scripts/bootstrap dev
	@env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m tests.faults.soak $(ARGS)

bench: ## One JSON line per benchmark (ARGS="--only NAME --repeat N")
	@bash scripts/bootstrap dev
	@env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m benchmarks $(ARGS)

lock: ## Rebuild the hash-pinned requirements from pyproject.toml
	@bash scripts/lock
