# Each command installs by itself what the machine lacks, and says so.
TARGET := $(or $(CARGO_TARGET_DIR),target)
SLUICE := $(TARGET)/debug/sluice

.DEFAULT_GOAL := help
.PHONY: help setup build install demo up down test chaos lint bench

help: ## Show these commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  %-14s %s\n", $$1, $$2 }'

setup: ## Install what this machine lacks
	@compose/local/install.sh demo

build: setup ## Build target/debug/sluice
	@# --workspace: the same features as `make test`, so that the two share every compiled dependency.
	cargo build --locked --workspace --bin sluice

install: build ## Put sluice into PREFIX/bin (default: ~/.local)
	@mkdir -p $(or $(PREFIX),$(HOME)/.local)/bin
	@install -m 755 -s $(SLUICE) $(or $(PREFIX),$(HOME)/.local)/bin/sluice
	@echo "installed $(or $(PREFIX),$(HOME)/.local)/bin/sluice"

demo: build ## Run a synthetic shop's whole day; ONCE=1 stops everything at the end
	@$(SLUICE) demo $(if $(filter-out 0,$(ONCE)),--once)

up: build ## Start the private services of this folder
	@$(SLUICE) up

down: ## Stop everything that runs for this folder
	@if [ -x $(SLUICE) ]; then $(SLUICE) down; else echo "nothing was built, so nothing runs"; fi

test: ## Run every test, against real services that are started for them
	@compose/local/install.sh test
	@.ci/test

chaos: ## Kill, pause, cut off and restart at random for MINUTES (10), with SEED
	@compose/local/install.sh test
	@# --workspace: see `build`.
	SLUICE_CHAOS_SECONDS=$$((60 * $(or $(MINUTES),10))) $(if $(SEED),SLUICE_CHAOS_SEED=$(SEED)) \
	  cargo test --locked --workspace --test it whatever_goes_wrong -- --nocapture

lint: ## Check formatting, lints, dependencies, scripts and generated files
	@compose/local/install.sh lint
	@.ci/lint

bench: build ## Measure, each figure next to a physical limit; also as JSON in target/bench
	@.ci/bench
