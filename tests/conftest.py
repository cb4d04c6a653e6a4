"""What several test files need: tiny data sets on disk."""

import os

# the tests are small: threads cost more than they give
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("WANDB_MODE", "offline")
