"""Report how large the zipped functions and layers are, as deployed."""

from __future__ import annotations

from benchmarks.deployment import Deployment
from benchmarks.report import Figure, Section


def measure(deployment: Deployment) -> Section:
    """Ask Lambda for the sizes of all functions and layers."""
    layers: dict[str, int] = {}
    figures = []
    for function in deployment.functions:
        config = deployment.configuration(function)
        uses = {layer["Arn"].split(":")[-2]: layer["CodeSize"] for layer in config["Layers"]}
        layers |= uses
        names = ", ".join(name.rpartition("-")[2] for name in uses)
        size = f"{config['CodeSize'] / 1024:.1f} KiB"
        figures.append(Figure(function, size, note=f"{config['MemorySize']} MB; {names}"))
    for name, size_bytes in layers.items():
        figures.append(Figure(f"layer {name.rpartition('-')[2]}", f"{size_bytes / 2**20:.2f} MiB"))
    return Section("Sizes, zipped, as deployed here", figures)
