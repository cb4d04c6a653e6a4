# `make` alone lists the targets. Every target sets up the environment first.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# TORCH_BACKEND=cpu: torch without CUDA, about 3 GB less to download (uv's --torch-backend; not tested online)
BACKEND := $(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND))

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint check fix answers ablations table5 table6 report settings golden simulator-card gallery clean
.PHONY: benchmark benchmark-train benchmark-evaluation benchmark-startup benchmark-busy benchmark-predict
.PHONY: benchmark-sweep benchmark-large-set benchmark-replicates verdict-errors

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-20s %s\n", $$1, $$2}'

# Bytecode is compiled here; otherwise the first import of torch and lightning takes 20 s.
$(STAMP): pyproject.toml requirements.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet uv
	$(RUN) -m uv pip install --quiet $(BACKEND) --python $(RUN) --compile-bytecode --constraint requirements.txt --editable '.[dev]'
	touch $@

setup: $(STAMP) ## create .venv with pinned versions (every other target does this too)

demo: $(STAMP) ## compare FPN, PANet and GF-FPN on small simulated data (3 to 12 minutes on two CPU cores)
	$(RUN) train.py experiments=demo

test: $(STAMP) ## run all tests (no GPU, network or download needed)
	$(RUN) -m pytest -n auto --dist worksteal

lint: $(STAMP) ## check formatting, lint rules and types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

check: lint ## check formatting, lint rules and types, and run the fast tests
	$(RUN) -m pytest -n auto --dist worksteal -m "not slow"

fix: $(STAMP) ## format the code and apply the automatic lint fixes
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

answers: $(STAMP) ## write the answers into README.md and docs/ from experiments/results/
	$(RUN) -m benchmarks.answers

ablations: table6 ## run the paper's Table 6: star and add, each with and without the residual

table6: $(STAMP)
	$(RUN) train.py experiments=table6

benchmark: $(STAMP) ## measure parameters, GFLOPs, memory and times of each neck (output in runs/benchmark/)
	$(RUN) -m gffpn benchmark

benchmark-train: $(STAMP) ## measure the training speed and where the time goes (one minute on two CPU cores)
	$(RUN) -m gffpn benchmark-train

benchmark-evaluation: $(STAMP) ## time the mAP of 10,000 images against pycocotools (2 minutes)
	$(RUN) -m benchmarks.evaluation

benchmark-startup: $(STAMP) ## time a short command and each further run of a sweep (5 minutes)
	$(RUN) -m benchmarks.startup

benchmark-sweep: $(STAMP) ## time a sweep with one run and with several at a time (DATA="data=coco data.root=...")
	$(RUN) -m benchmarks.sweep_speed $(or $(DATA),$(error DATA=overrides of a data set)) neck=fpn,gffpn 'seed=range(6)'

benchmark-busy: $(STAMP) ## time training beside 0, 1 and 2 busy processes (10 minutes)
	$(RUN) -m benchmarks.busy image_size=224

benchmark-predict: $(STAMP) ## time predict beside its network alone (WEIGHTS=folder of a run, or ONNX file)
	$(RUN) -m benchmarks.predict $(or $(WEIGHTS),$(error WEIGHTS=a run's folder or an ONNX file))
benchmark-large-set: $(STAMP) ## time and memory for sets of 2,000 and 20,000 images (5 minutes)
	$(RUN) -m benchmarks.large_set

benchmark-replicates: $(STAMP) ## time the intervals of a sweep: 30 runs, 2,000 replicates (half a minute)
	$(RUN) -m benchmarks.replicates

verdict-errors: $(STAMP) ## measure how often the rule for verdicts errs, and the rules of others (12 minutes)
	$(RUN) -m benchmarks.verdict_errors

table5: $(STAMP) ## measure the paper's Table 5: the cost of its necks in its detector, at 640 pixels
	$(RUN) -m gffpn benchmark --paper size=l head=yolov5 image_size=640 --out runs/benchmark/table5

report: $(STAMP) ## write what all finished runs show: verdicts, tables, figures (output in runs/report/)
	$(RUN) -m gffpn report

settings: $(STAMP) ## write docs/settings.md from the comments in conf/
	$(RUN) -m gffpn explain --markdown > docs/settings.md

golden: $(STAMP) ## regenerate the recorded counts and simulated scenes; review the diff
	$(RUN) tests/golden.py
	PYTHONPATH=tests $(RUN) -m validity.repeat record

simulator-card: $(STAMP) ## measure whether a detector can cheat on the simulated data (an hour on two CPU cores)
	$(RUN) tests/simulator_card.py

gallery: $(STAMP) ## draw pictures of the simulated data (output in runs/gallery/index.html)
	$(RUN) -m tinyindus.gallery runs/gallery

clean: ## delete the environment and the caches, but not runs/
	rm -rf $(VENV) cache .mypy_cache .ruff_cache .pytest_cache
