# Two commands for a fresh machine: `make demo` and `make test`. Everything else is for people who stay.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
PEERS := build/peers
AIRFLOW := build/airflow
# What `make install` installs: on a host that only executes, requirements-execution.lock.
LOCK ?= requirements.lock
ADAPTERS := build/adapters
# NautilusTrader 2 needs Python 3.12 or newer; EXCHANGE names folders that `kedro backtest export` has written.
NAUTILUS_PYTHON ?= python3.13
EXCHANGE ?=
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 25
COVERAGE := --cov --cov-report=term:skip-covered
# Hundreds of processes import the same modules: their bytecode is kept, also where the shell says otherwise.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test coverage test-all test-random checked lint format lock reference results bench bench-backtest bench-factors bench-training bench-ledger bench-live bench-cli bench-scale bench-cores compare-peers adapter-lumibot adapter-nautilus proof-servers proof-airflow chaos rehearse-live fuzz-market rehearse-archive clean install compile bench-service
.DEFAULT_GOAL := help

help:  ## List what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -t -s ':'

$(INSTALLED): $(LOCK) pyproject.toml tools/install.py
	"$(PYTHON)" tools/install.py $(LOCK)
	touch $@

install: $(INSTALLED)  ## Everything of requirements.lock into .venv; LOCK=requirements-execution.lock on an execution host

compile: compile-trading compile-factors  ## Make all machine code now, so that the first run does not wait for it

compile-%: $(INSTALLED)
	$(BIN)/kedro compile $*

demo: $(INSTALLED)  ## From a fresh clone to orders on the embedded market
	$(BIN)/kedro run

test: checked  ## Check style, types and layers, then run the tests of every kind
	$(PYTEST)

coverage: checked  ## Run the same tests and fail where less than nine tenths of the lines run
	$(PYTEST) $(COVERAGE)

test-all: checked  ## Run every test, also the slow ones, with the same threshold
	$(PYTEST) -m "" --hypothesis-profile thorough $(COVERAGE)

test-random: checked  ## Run the tests in another order, which is printed
	$(PYTEST) --random-order

# One core compiles the kernels of trading, the other those of the factors, and then checks the sources; no test compiles
# what another needs too.
checked: $(INSTALLED)
	+$(MAKE) --no-print-directory --jobs 2 --output-sync=target compile lint

lint: $(INSTALLED)  ## Style, types, import contracts and words
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/banned_words.py

format: $(INSTALLED)  ## Rewrite the sources in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What torch needs of CUDA depends on the build of torch that a machine takes, so the lock leaves it to that build.
# pip has no word for "without": the lock of an execution host is that of everything but what the overrides leave out.
lock: $(INSTALLED)  ## Rewrite both locks from pyproject.toml, for every Python that the project runs on
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade --quiet \
		--no-annotate --no-header | grep -vE '^(cuda|nvidia|triton)' > requirements.lock.new
	mv requirements.lock.new requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra buckets --extra postgres --extra service --universal --python-version 3.11 \
		--constraint requirements.lock --override tools/execution_host.txt --quiet --no-annotate --no-header \
		> requirements-execution.lock.new
	mv requirements-execution.lock.new requirements-execution.lock

reference: $(INSTALLED)  ## Rewrite docs/reference/ from the code: parameters, modules
	$(BIN)/python tools/parameter_reference.py
	$(BIN)/python tools/module_reference.py

# Hours on a laptop, and what is computed is kept: an interrupted one goes on where it was.
results: $(INSTALLED)  ## Recompute docs/results.md on the bars of QUANT_PIPELINE_MARKET_DATA; what is trained is kept
	$(BIN)/python tools/real_results.py

bench: $(INSTALLED)  ## Time and peak memory of every stage
	$(BIN)/python benchmarks/stages.py

bench-training: $(INSTALLED)  ## Time of an epoch, data feeding and memory against Qlib's networks
	OMP_WAIT_POLICY=passive GOMP_SPINCOUNT=1000 $(BIN)/python benchmarks/training.py

bench-backtest: $(INSTALLED)  ## Exact backtests against Qlib's, and every combination of 12 and 20 models
	$(BIN)/python benchmarks/backtest.py

bench-factors: $(INSTALLED)  ## Alpha158 and Alpha360 against Qlib, and against KunQuant where it is installed
	$(BIN)/python benchmarks/factors.py

bench-ledger: $(INSTALLED)  ## Orders per second through risk and log, replay of a ledger of a million events
	$(BIN)/python benchmarks/ledger.py

bench-live: $(INSTALLED)  ## Milliseconds from the last bar to the scores of 500 instruments
	$(BIN)/python benchmarks/live.py

bench-scale: $(INSTALLED)  ## The research path on growing markets, and against Qlib; NAMES="500 4000" YEARS=25 are other sizes
	$(BIN)/python benchmarks/scale.py $(if $(NAMES),--names $(NAMES)) $(if $(YEARS),--years $(YEARS))

bench-cores: $(INSTALLED)  ## Seconds of each stage by the clock with one core and with two
	$(BIN)/python benchmarks/second_core.py

bench-cli: $(INSTALLED)  ## Seconds of the commands, and of `kedro run` before its first node
	$(BIN)/python benchmarks/cli.py

bench-service: $(INSTALLED)  ## The HTTP service: factors, backtests, health during a training job, kills of jobs
	$(BIN)/python benchmarks/service.py

# Libraries that only this compares with live in an environment of their own.
$(PEERS)/.installed: benchmarks/peers/requirements.txt tools/install.py
	"$(PYTHON)" tools/install.py $(PEERS)/environment benchmarks/peers/requirements.txt
	touch $@

compare-peers: $(INSTALLED) $(PEERS)/.installed  ## Performance, IC, quantile returns, decay, turnover against other libraries
	$(BIN)/python benchmarks/peers/compare.py

# moto, s3fs and psycopg are in the lock; PostgreSQL comes from the system: apt-get install postgresql.
proof-servers: $(INSTALLED)  ## A project on PostgreSQL, S3 and a tracking server that is killed; the last line is a JSON object
	$(BIN)/python -m quant_pipeline.testing.server_proof

# Airflow lives in an environment of its own, which has none of ours.
$(AIRFLOW)/.installed: deploy/airflow/requirements.txt tools/install.py
	"$(PYTHON)" tools/install.py $(AIRFLOW)/environment deploy/airflow/requirements.txt
	touch $@

proof-airflow: $(INSTALLED) $(AIRFLOW)/.installed  ## The DAGs of deploy/airflow once, against plain commands; the last line is a JSON object
	$(BIN)/python -m quant_pipeline.testing.airflow_proof $(AIRFLOW)/environment

# Other engines are never imported by the project: each has an environment of its own and is given files.
$(ADAPTERS)/lumibot/.installed: adapters/lumibot/requirements.txt tools/install.py
	"$(PYTHON)" tools/install.py $(@D)/environment $<
	touch $@

$(ADAPTERS)/nautilus/.installed: adapters/nautilus/requirements.txt tools/install.py
	@"$(NAUTILUS_PYTHON)" -c "import sys; sys.exit(sys.version_info[:2] < (3, 12))" || { \
		echo "NautilusTrader 2 needs Python 3.12 or newer, which '$(NAUTILUS_PYTHON)' is not; name one: make $(MAKECMDGOALS) NAUTILUS_PYTHON=/path/to/python3.13"; exit 1; }
	"$(NAUTILUS_PYTHON)" tools/install.py $(@D)/environment $<
	touch $@

adapter-lumibot: $(INSTALLED) $(ADAPTERS)/lumibot/.installed  ## Let LumiBot execute our orders and decide from our scores; compare the fills
	$(BIN)/python adapters/compare.py lumibot $(ADAPTERS)/lumibot/environment/bin/python $(EXCHANGE)

adapter-nautilus: $(INSTALLED) $(ADAPTERS)/nautilus/.installed  ## Let NautilusTrader execute our orders; compare the fills
	$(BIN)/python adapters/compare.py nautilus $(ADAPTERS)/nautilus/environment/bin/python $(EXCHANGE)

chaos: $(INSTALLED)  ## Kill processes at every step of execution and post-trade, under every fault of a broker
	$(BIN)/python -m quant_pipeline.testing.chaos

rehearse-live: $(INSTALLED)  ## Let the live process run a year of sessions with faults; the last line is a JSON object
	$(BIN)/python -m quant_pipeline.testing.live_rehearsal

fuzz-market: $(INSTALLED)  ## Read market files of every layout, mutated at random; the last line is a JSON object
	$(BIN)/python -m quant_pipeline.testing.fuzz_market

rehearse-archive: $(INSTALLED)  ## Kill the archive at every step; the last line is a JSON object
	$(BIN)/python -m quant_pipeline.testing.archive_rehearsal

clean:  ## Remove everything that runs have written
	rm -rf data/markets data/accounts logs mlflow.db* mlruns build .viz
