# `make` alone lists what can be made. Every target sets up its own environment first.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# TORCH_BACKEND=cpu: torch without CUDA, some 3 GB less to fetch (uv's --torch-backend; untried online)
BACKEND := $(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND))

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint check fix ablations table5 table6 golden simulator-card gallery clean
.PHONY: benchmark benchmark-train benchmark-evaluation benchmark-startup

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-20s %s\n", $$1, $$2}'

# compiled bytecode: without it, the first import of torch and lightning takes 20 s
$(STAMP): pyproject.toml requirements.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet uv
	$(RUN) -m uv pip install --quiet $(BACKEND) --python $(RUN) --compile-bytecode --constraint requirements.txt --editable '.[dev]'
	touch $@

setup: $(STAMP) ## make .venv with pinned versions (any other target does it too)

demo: $(STAMP) ## compare FPN, PANet and GF-FPN on small simulated data (two CPU cores: 3 to 12 minutes)
	$(RUN) train.py experiments=demo

test: $(STAMP) ## all tests: no GPU, network or download
	$(RUN) -m pytest -n auto

lint: $(STAMP) ## format, lint and types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

check: lint ## format, lint, types and the fast tests
	$(RUN) -m pytest -n auto -m "not slow"

fix: $(STAMP) ## format, and repair what lint can repair
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

ablations: table6 ## the paper's Table 6: star against add, with and without the residual

table6: $(STAMP)
	$(RUN) train.py experiments=table6

benchmark: $(STAMP) ## what each neck costs here: parameters, GFLOPs, memory, times (to runs/benchmark/)
	$(RUN) -m gffpn benchmark

benchmark-train: $(STAMP) ## how fast a training is here, and where its time goes (two CPU cores: a minute)
	$(RUN) -m gffpn benchmark-train

benchmark-evaluation: $(STAMP) ## seconds that mAP of 10,000 images takes, beside pycocotools (2 minutes)
	$(RUN) -m benchmarks.evaluation

benchmark-startup: $(STAMP) ## seconds of a short command, and what each run of a sweep adds (5 minutes)
	$(RUN) -m benchmarks.startup

table5: $(STAMP) ## the paper's Table 5: what its necks cost in its detector, at 640 pixels
	$(RUN) -m gffpn benchmark --paper size=l head=yolov5 image_size=640 --out runs/benchmark/table5

golden: $(STAMP) ## rewrite the recorded counts and simulated scenes; read the diff
	$(RUN) tests/golden.py
	PYTHONPATH=tests $(RUN) -m validity.repeat record

simulator-card: $(STAMP) ## measure whether a detector can cheat on the simulated data (two CPU cores: 25 minutes)
	$(RUN) tests/simulator_card.py

gallery: $(STAMP) ## pictures of the simulated data, to runs/gallery/index.html
	$(RUN) -m tinyindus.gallery runs/gallery

clean: ## delete the environment and the caches, never runs/
	rm -rf $(VENV) cache .mypy_cache .ruff_cache .pytest_cache
