"""Part of a recipe on where work on many shards is done; nothing that is made depends on it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tmkd.engines.engine import Engine, Exchange
from tmkd.engines.local import LocalEngine
from tmkd.recipe.parts import Spec


class EngineSpec(Spec):
    """Engine that collects, scores and precomputes, shard by shard; no artifact depends on it."""

    kind: Literal["local", "ray"] = "local"
    """`local`: processes of this machine. `ray`: a Ray cluster (the extra of that name)."""
    address: str = Field("auto", pattern=r"^(auto|[^\s/]+:[0-9]{1,5})$")
    """Address of the Ray cluster, HOST:PORT of its head; `auto`: the one that this machine is a node of."""
    workers: int | None = Field(None, ge=1)
    """Workers, with equal shares of the cores. Without it: local: a process for scoring, one per core for the rest, one
    per CUDA device; ray: one per core of the cluster, or per CUDA device."""

    def build(self, exchange: Exchange | None = None) -> Engine:
        """Build the engine; nothing is started before it has work. A cluster takes a run's files from `exchange`."""
        if self.kind == "ray":
            from tmkd.engines.ray import RayEngine

            return RayEngine(self.address, self.workers, exchange)
        return LocalEngine(self.workers)
