"""The paper's experiments; `python -m trainers.FOLDER` runs one."""

from trainers import quiet

quiet.watch_for_tensorflow()
