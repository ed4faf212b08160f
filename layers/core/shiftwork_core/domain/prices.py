"""What AWS charges, and what use costs by that: the benchmarks and the product read it here.

List prices of US East (N. Virginia), 2026-11, of the vendor's public pricing pages; the units of an
item, and that a failed condition costs its write, of the DynamoDB Developer Guide. Free tiers are
left out.
"""

from __future__ import annotations

from collections.abc import Mapping

AS_OF = "2026-11"
MILLION = 1_000_000

#: By kind of use.
USD_PER_MILLION: Mapping[str, float] = {
    "state_transitions": 25.0,
    "express_requests": 1.0,
    "lambda_requests": 0.2,
    "dynamodb_write_units": 0.625,
    "dynamodb_read_units": 0.125,
    "sqs_requests": 0.4,
    "http_api_requests": 1.0,
    "s3_puts": 5.0,
    "s3_gets": 0.4,
}
#: Of arm64 functions.
USD_PER_LAMBDA_GB_S = 1.33334e-05
USD_PER_EXPRESS_GB_S = 1.667e-05
EXPRESS_MEMORY_MB = 64
USD_PER_LOG_GB = 0.5

#: An assumption, not measured, for an emulator's times are not AWS's: an invocation takes BASE_MS,
#: and for each AWS call CPU_MS_PER_CALL of one processor, of which a function has its share of
#: MB_PER_VCPU. Its calls run side by side, so that it waits for its own processor rather than for
#: the network.
BASE_MS = 20.0
CPU_MS_PER_CALL = 0.335
MB_PER_VCPU = 1769


def processor_share(memory_mb: int) -> float:
    """Return the share of one processor that a function of so much memory has, 1 at most."""
    return min(1.0, memory_mb / MB_PER_VCPU)


def invocations_s(times: int, calls: int, memory_mb: int) -> float:
    """Return how long invocations take that make so many AWS calls in all, by the assumption."""
    cpu_ms = calls * CPU_MS_PER_CALL / processor_share(memory_mb)
    return (times * BASE_MS + cpu_ms) / 1000


def usd_of(
    used: Mapping[str, float],
    *,
    lambda_gb_s: float = 0.0,
    express_s: float = 0.0,
    log_bytes: float = 0.0,
) -> dict[str, float]:
    """Return the dollars of what was used, by kind; `used` has keys of USD_PER_MILLION.

    `express_s` is how long Express executions ran, in all.
    """
    usd = {kind: used.get(kind, 0) / MILLION * price for kind, price in USD_PER_MILLION.items()}
    usd["lambda_time"] = lambda_gb_s * USD_PER_LAMBDA_GB_S
    if express_s:
        usd["express_time"] = express_s * EXPRESS_MEMORY_MB / 1024 * USD_PER_EXPRESS_GB_S
    usd["logs"] = log_bytes / 1e9 * USD_PER_LOG_GB
    return usd
