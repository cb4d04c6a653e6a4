"""Write published_errors.yaml: error types by two published programs, on random detections.

Both are under the MIT licence and no dependencies of this project. In an environment of their own:

    pip install tidecv==1.0.1 hotcoco==1.3.0 numpy pyyaml
    PYTHONPATH=src:tests python tests/published_errors.py
"""
