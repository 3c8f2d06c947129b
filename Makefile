# Each target installs what it needs into a virtual environment, .venv, by constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
# One thread per worker: threads of two processes that compete for two cores make both several times slower.
# A worker that finishes early takes tests from the other. A worker that dies ends the run with the name of its test.
# Bytecode is kept, also where the environment says otherwise: hundreds of processes import the package.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 OPENCV_FOR_THREADS_NUM=1 \
	$(BIN)/python -m pytest -n 3 --dist worksteal --max-worker-restart 0

.PHONY: demo test test-fast test-slow lint types docs bundle costs platforms clean

demo: $(STAMP)
	$(BIN)/python examples/demo.py

# The type check keeps one core busy for a minute; tests take the other meanwhile.
test: $(STAMP)
	$(MAKE) -j 2 --no-print-directory lint test-fast

test-fast: $(STAMP)
	# Four workers: a part of the tests waits for a browser, a disk or another process.
	$(PYTEST) -n 4 -m 'not slow' --ignore tests/benchmark
	# In fresh processes: these start others and measure memory, and a worker has died there after a thousand tests.
	# In two, as each takes seconds to import everything.
	$(PYTEST) -n 2 -m 'not slow' tests/benchmark

# Compilers, several processes, full-size networks and exports, kills and leaks: tests that take long.
test-slow: $(STAMP)
	$(PYTEST) -m slow --durations 12 --ignore tests/fleet tests
	# Alone: a Ray cluster beside other tests on the same cores takes minutes to start its processes.
	$(PYTEST) -n 0 -m slow --durations 5 tests/fleet

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The types as other systems and Pythons have them; takes minutes. NumPy's own types are not written for 3.10 any more.
types: $(STAMP)
	for system in darwin win32; do $(BIN)/mypy --platform $$system || exit 1; done
	$(BIN)/mypy --python-version 3.10 --no-warn-return-any --no-warn-unused-ignores
	for python in 3.12 3.13 3.14; do $(BIN)/mypy --python-version $$python || exit 1; done

docs: $(STAMP)
	$(BIN)/pip install -q -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict

# The ONNX file beside each of the bundled weights files, after one of them has changed. In float: results/choice/int8.md.
bundle: $(STAMP)
	$(BIN)/python -m hrdepth.inference.bundle

# The costs that `hrdepth models` lists, after a network was added or changed.
costs: $(STAMP)
	$(BIN)/python -m hrdepth.networks.summary

# Whether the core's dependencies have wheels for other systems and Pythons; takes minutes.
platforms: $(STAMP)
	$(BIN)/pip install -q uv
	$(BIN)/python .ci/platforms.py

# torch first and by its constraint, so that no other build of it is downloaded.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q --upgrade pip
	$(BIN)/pip install -q $$(grep -E '^(torch|torchvision)==' constraints.txt)
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $(STAMP)

clean:
	rm -rf .venv demo site dist build .pytest_cache .mypy_cache .ruff_cache
