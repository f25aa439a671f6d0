# make demo   the main job, end to end, on the embedded platform
# make test   all tests          make check   format, lint, types, tests          make bench   speed and memory beside the peers
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test check bench setup browser oracle lint clean

demo: setup
	@$(BIN)/svmbench demo

test: setup oracle
	@$(BIN)/pytest $(PYTEST_ARGS)

check: setup lint oracle
	@$(BIN)/pytest $(PYTEST_ARGS)

lint: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

# Left out: composed_truth.py, which takes twenty minutes and scores what is found, not how fast (docs/composed.md); frontier.py, which fills
# 13 GB with ten million rows; crawl_speed.py, which installs the peer first (docs/performance.md); real_pairs.py, which prints the tables
# of a run (docs/real-pairs.md)
bench: setup
	@for script in $(filter-out %/composed_truth.py %/frontier.py %/crawl_speed.py %/real_pairs.py,$(wildcard tests/perf/*.py)); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

setup: $(STAMP) browser

# torch comes first and pinned, so that nothing that is installed later can pull a build with CUDA packages over it
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 is not installed: apt install python3.11 python3.11-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed: apt install python3.11 python3.11-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "venv is missing: apt install python3.11-venv"; exit 1; }
	@echo "Installing svmbench into .venv (once, a few minutes) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

# SVMBENCH_CHROMIUM and SVMBENCH_CHROMEDRIVER name other places
browser:
	@tools="$${SVMBENCH_CHROMIUM:-$$(command -v chromium || command -v chromium-browser || command -v google-chrome)} $${SVMBENCH_CHROMEDRIVER:-$$(command -v chromedriver)}"; \
	if [ $$(echo $$tools | wc -w) -ge 2 ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null; then echo "Chromium and ChromeDriver are missing: install both, or set SVMBENCH_CHROMIUM and SVMBENCH_CHROMEDRIVER"; exit 1; fi; \
	if [ $$(id -u) = 0 ]; then sudo=; elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo=sudo; \
	else echo "Chromium and ChromeDriver are missing; as root: apt install chromium chromium-driver"; exit 1; fi; \
	echo "Installing Chromium and ChromeDriver (once) ..."; \
	$$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends chromium chromium-driver fonts-dejavu-core >/dev/null 2>&1 \
	|| { echo "apt could not install chromium and chromium-driver; install them by hand"; exit 1; }

# What the tests need besides: libchromaprint, which our own fingerprints are compared with, and ffmpeg, which joins YouTube's streams.
# Without them those tests are skipped with a reason, and fail in .ci/run
oracle:
	@ldconfig -p 2>/dev/null | grep -q 'libchromaprint\.so\.1' && command -v ffmpeg >/dev/null && exit 0; command -v apt-get >/dev/null || exit 0; \
	if [ $$(id -u) = 0 ]; then sudo=; elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo=sudo; else exit 0; fi; \
	$$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends libchromaprint1 ffmpeg >/dev/null 2>&1 || true

clean:
	rm -rf .venv runs
