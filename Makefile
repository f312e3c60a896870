.DEFAULT_GOAL := help
SUDO := $(shell [ $$(id -u) = 0 ] || echo sudo)
# Root must leave nothing behind in the working tree, and sudo keeps no environment.
ROOT_PYTEST := $(SUDO) env PYTHONDONTWRITEBYTECODE=1 CI=$(CI) .venv/bin/pytest -p no:cacheprovider

.PHONY: bench check clean demo format help install test test-e2e test-kernel test-unit test-vm uninstall

help: ## show this list
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 22

install: ## install what klab needs, and `sudo klab`
	tools/setup.sh

demo: ## bring up a scenario and send a request from one pod to another
	sudo klab up scenarios/hello
	sudo klab --lab hello get pods -o wide
	sudo klab --lab hello exec client -- curl --silent http://10.244.2.10:8080/
	@echo; echo 'The lab stays up: look around with `sudo klab --help`, take it away with `sudo klab down hello`.'

test: check test-unit test-kernel test-e2e test-vm ## everything: checks, unit, kernel and end-to-end tests, and the VM

test-unit: ## tests without root
	.venv/bin/pytest tests/unit

test-kernel: build/vm ## tests in network namespaces of their own (root)
	$(ROOT_PYTEST) tests/kernel --defer=build/vm/kernel.txt

test-e2e: build/vm ## every scenario and the README (root)
	$(ROOT_PYTEST) tests/e2e --defer=build/vm/e2e.txt

test-vm: build/vm ## the tests that need what the running kernel lacks, under a kernel that has it (root)
	$(SUDO) env CI=$(CI) tools/test_vm.sh

bench: ## time of klab up, of its start and of Services beside the floor, into build/bench.md (root)
	mkdir -p build
	bash -o pipefail -c "$(SUDO) env PYTHONDONTWRITEBYTECODE=1 .venv/bin/python tools/bench | tee build/bench.md"

check: ## ruff, mypy, the layers, shellcheck
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	shellcheck tools/*.sh .ci/run

format: ## format the sources
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

clean: ## remove what make and the tests left here
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

uninstall: ## remove `sudo klab`, its completion and the virtual environment; Debian packages stay
	$(SUDO) rm -f /usr/local/bin/klab /usr/local/share/bash-completion/completions/klab /usr/local/share/zsh/site-functions/_klab
	$(SUDO) rm -f /usr/local/share/fish/vendor_completions.d/klab.fish /etc/modules-load.d/klab.conf /etc/sysctl.d/60-klab.conf
	rm -rf .venv

build/vm:
	mkdir -p $@
