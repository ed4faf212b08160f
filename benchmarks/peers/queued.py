"""Time DBOS on SQLite: no-op jobs of a queue, until all have their results.

It runs in an environment of its own: see `benchmarks.authors`.
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from dbos import DBOS

JOBS = int(sys.argv[1])

with TemporaryDirectory() as folder:
    DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{Path(folder) / 'db'}"})

    @DBOS.workflow()
    def job(number: int) -> int:
        """Do nothing."""
        return number

    DBOS.launch()
    queue = DBOS.register_queue("jobs")
    began = time.perf_counter()
    handles = [queue.enqueue(job, number) for number in range(JOBS)]
    results = [handle.get_result() for handle in handles]
    print(time.perf_counter() - began)
    assert results == list(range(JOBS))
    DBOS.destroy()
