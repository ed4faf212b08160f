"""What AWS allows by default, and how long it is assumed to take: the benchmarks read it here too.

Default quotas of the vendor's public documentation, 2026-11, in US East (N. Virginia), one of the
three big regions: Amazon DynamoDB, AWS Lambda, AWS Step Functions, Amazon SQS, Amazon API Gateway.
"""

from __future__ import annotations

# -- DynamoDB: of one partition key, of a table or an index, with no burst -------------------------

PARTITION_WRITE_UNITS_A_SECOND = 1_000
PARTITION_READ_UNITS_A_SECOND = 3_000
#: What a new table on demand takes, all partitions together; then twice what it took before.
NEW_TABLE_WRITE_UNITS_A_SECOND = 4_000

# -- Lambda ----------------------------------------------------------------------------------------

#: How many functions an account runs at once.
CONCURRENCY = 1_000
#: So many more environments of a function may start in each such time.
NEW_ENVIRONMENTS = 1_000
NEW_ENVIRONMENTS_EVERY_S = 10
#: The longest that a function may run.
FUNCTION_TIMEOUT_S = 900

# -- Step Functions --------------------------------------------------------------------------------

#: Of a Standard execution.
HISTORY_EVENTS = 25_000
#: Of what a state gets and returns.
STATE_BYTES = 256 * 1024
#: A distributed Map starts so many children a second.
EXPRESS_CHILDREN_A_SECOND = 1_000
STANDARD_CHILDREN_A_SECOND = 100
#: Size and refill a second of each bucket of calls.
START_EXECUTION = (1_300, 300)
STATE_TRANSITION = (5_000, 5_000)
SEND_TASK_SUCCESS = (3_000, 500)

# -- API Gateway, SQS ------------------------------------------------------------------------------

API_REQUESTS = (5_000, 10_000)
#: Connections with which Lambda polls a queue.
FIRST_POLLERS = 5
MORE_POLLERS_A_MINUTE = 300
MOST_POLLERS = 1_000

# -- Assumptions: how long things take where AWS publishes no figure. Those of a function's own time
# -- are in `prices`.

DYNAMODB_MS = 5.0
OTHER_CALL_MS = 15.0
INVOKE_MS = 10.0
COLD_START_MS = 600.0
TRANSITION_MS = 20.0
#: To read a row of a query, to tell a record of a manifest from the next, and to give a callback a
#: job of a block and keep its outcome. Measured on one core of a workstation.
CPU_MS_PER_ROW = 0.05
CPU_MS_PER_RECORD = 0.001
CPU_MS_PER_BLOCK_JOB = 0.1
S3_MS_PER_MB = 12.0
#: What an invocation logs, the platform's lines included, as counted on the emulator.
LOG_BYTES_PER_INVOCATION = 900
