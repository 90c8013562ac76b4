"""Rounds of measurements: relay, stack and direct calls in turn, so that a drift of the machine meets them all."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.load import Order, TargetName, to_line
from tests.bench.processes import BenchError, cpu_s, machine_busy_s, read_line
from tests.bench.stack import GATEWAY

Figures = dict[str, float]
IN_FLIGHT = (1, 16, 64)
KEYS_IN_FLIGHT = (1, 16, 64, 256)
KEY_PROCESSES = ("key_vault", "openbao")
"""The processes whose CPU it takes to open a key."""
PROMPT = "Why is the sky blue, and why does it turn red in the evening?"
# Settlements reach the ledger a moment after the answer; their CPU belongs to the calls.
_SETTLE_S = 0.4
_LATENCIES = ("calls_per_s", "p50_ms", "p90_ms", "p99_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What measures: the load generator, and the processes it puts to work by name."""

    load: subprocess.Popen[bytes]
    load_log: Path
    pids: Mapping[str, int]
    say: Callable[[str], None]

    def run(self, order: Order) -> tuple[Figures, Figures]:
        """Carry out an order; its figures, and the milliseconds of CPU per process (`other` is everyone else's)."""
        before = {name: cpu_s(pid) for name, pid in self.pids.items()}
        busy = machine_busy_s()
        if self.load.stdin is None:
            raise BenchError("the load generator has no input")
        self.load.stdin.write(to_line(order))
        self.load.stdin.flush()
        figures = json.loads(read_line(self.load.stdout, "the load generator", self.load_log))
        if "failed" in figures:
            raise BenchError(f"calls to {order.target} failed: {figures['failed']}")
        if order.target == "stack":
            time.sleep(_SETTLE_S)
        cpu = {name: (cpu_s(pid) - before[name]) * 1000 for name, pid in self.pids.items()}
        cpu["other"] = max(0.0, (machine_busy_s() - busy) * 1000 - sum(cpu.values()))
        return figures, cpu


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary:
    """The figures of whole answers: target, then calls in flight (as text), then the figure."""

    by_target: dict[TargetName, dict[str, dict[str, object]]]
    cpu_ratio: dict[str, float]
    calls_to_stack: int
    other_cpu_share: float


def measure_unary(bench: Bench, *, rounds: int, seconds: float) -> Unary:
    """Measure relay, stack and direct calls at each level; every figure is the median of the rounds."""
    targets: tuple[TargetName, ...] = ("bare_relay", "stack", "direct")
    collected: dict[TargetName, dict[int, list[Figures]]] = {
        target: {level: [] for level in IN_FLIGHT} for target in targets
    }
    calls_to_stack, other_ms, all_ms = 0, 0.0, 0.0
    for target in targets:
        figures, _ = bench.run(_order(target, max(IN_FLIGHT), 1.5))
        calls_to_stack += int(figures["calls"]) if target == "stack" else 0
    for number in range(rounds):
        for level in IN_FLIGHT:
            # Who goes first changes from round to round.
            for target in targets if number % 2 == 0 else tuple(reversed(targets)):
                figures, cpu = bench.run(_order(target, level, seconds if target != "direct" else seconds / 2))
                calls = figures["calls"]
                calls_to_stack += int(calls) if target == "stack" else 0
                other_ms, all_ms = other_ms + cpu["other"], all_ms + sum(cpu.values())
                collected[target][level].append(figures | {f"cpu {name}": spent / calls for name, spent in cpu.items()})
        relay, stack = (collected[target][max(IN_FLIGHT)][-1] for target in ("bare_relay", "stack"))
        bench.say(
            f"round {number + 1} of {rounds}: at {max(IN_FLIGHT)} in flight the relay takes "
            f"{_gateway_cpu('bare_relay', relay):.2f} ms, the stack {_gateway_cpu('stack', stack):.2f} ms of CPU a call"
        )
    return Unary(
        by_target={
            target: {str(level): _summary(target, collected[target][level]) for level in IN_FLIGHT}
            for target in targets
        },
        cpu_ratio={
            str(level): statistics.median(
                _gateway_cpu("stack", stack) / _gateway_cpu("bare_relay", relay)
                for stack, relay in zip(collected["stack"][level], collected["bare_relay"][level], strict=True)
            )
            for level in IN_FLIGHT
        },
        calls_to_stack=calls_to_stack,
        other_cpu_share=other_ms / all_ms,
    )


def _order(target: TargetName, in_flight: int, seconds: float) -> Order:
    return Order(target=target, in_flight=in_flight, seconds=seconds, prompt=PROMPT)


def _gateway_cpu(target: TargetName, figures: Figures) -> float:
    """Milliseconds of CPU per call in the gateway: the relay, or all processes of the stack."""
    names = GATEWAY if target == "stack" else ("bare_relay",)
    return sum(figures[f"cpu {name}"] for name in names)


def _summary(target: TargetName, rounds: list[Figures]) -> dict[str, object]:
    def median(name: str) -> float:
        return statistics.median(each[name] for each in rounds)

    summary: dict[str, object] = {name: median(name) for name in _LATENCIES}
    summary["calls"] = sum(each["calls"] for each in rounds)
    summary["load_generator_cpu_ms_per_call"] = median("cpu load_generator")
    summary["upstream_cpu_ms_per_call"] = median("cpu sandbox")
    if target != "direct":
        summary["cpu_ms_per_call"] = statistics.median(_gateway_cpu(target, each) for each in rounds)
    if target == "stack":
        summary["cpu_ms_by_process"] = {name: median(f"cpu {name}") for name in GATEWAY}
    return summary


def measure_keys(bench: Bench, *, rounds: int, seconds: float) -> dict[str, Figures]:
    """Open keys alone, by keys in flight (as text); every figure is the median of the rounds."""
    bench.run(_order("keys", max(KEYS_IN_FLIGHT), 1.0))
    collected: dict[int, list[Figures]] = {level: [] for level in KEYS_IN_FLIGHT}
    for _ in range(rounds):
        for level in KEYS_IN_FLIGHT:
            figures, cpu = bench.run(_order("keys", level, seconds))
            spent = sum(cpu[name] for name in KEY_PROCESSES) / figures["calls"]
            collected[level].append(figures | {"cpu_ms_per_key": spent})
    names = (*_LATENCIES, "cpu_ms_per_key")
    return {
        str(level): {name: statistics.median(each[name] for each in found) for name in names}
        for level, found in collected.items()
    }


def measure_stream(bench: Bench) -> dict[str, object]:
    """Streams, one at a time: a paced upstream for what a reader notices, one that sends all at once for the cost."""
    paced: dict[str, Figures] = {}
    flat_out: dict[str, Figures] = {}
    streams = 0
    targets: tuple[TargetName, ...] = ("direct", "stack")
    for target in targets:
        order = Order(
            target=target, in_flight=1, seconds=4.0, prompt=f"[[sandbox tokens=60 pace_ms=2]]{PROMPT}", stream=True
        )
        figures, cpu = bench.run(order)
        paced[target] = figures | {"gateway_cpu_ms": sum(cpu[name] for name in GATEWAY)}
        streams += int(figures["calls"]) if target == "stack" else 0
        order = Order(target=target, in_flight=1, seconds=3.0, prompt=f"[[sandbox tokens=450]]{PROMPT}", stream=True)
        figures, cpu = bench.run(order)
        flat_out[target] = figures | {"gateway_cpu_ms": sum(cpu[name] for name in GATEWAY)}
        streams += int(figures["calls"]) if target == "stack" else 0
    return {
        "pace_ms": 2,
        "first_token_direct_p50_ms": paced["direct"]["first_token_p50_ms"],
        "first_token_stack_p50_ms": paced["stack"]["first_token_p50_ms"],
        "first_token_added_p50_ms": paced["stack"]["first_token_p50_ms"] - paced["direct"]["first_token_p50_ms"],
        "first_token_added_p90_ms": paced["stack"]["first_token_p90_ms"] - paced["direct"]["first_token_p90_ms"],
        "paced_ms_per_event_added": paced["stack"]["ms_per_event"] - paced["direct"]["ms_per_event"],
        "paced_cpu_ms_per_event": paced["stack"]["gateway_cpu_ms"] / paced["stack"]["events"],
        "flat_out_ms_per_event_added": flat_out["stack"]["ms_per_event"] - flat_out["direct"]["ms_per_event"],
        "flat_out_cpu_ms_per_event": flat_out["stack"]["gateway_cpu_ms"] / flat_out["stack"]["events"],
        "streams": streams,
    }


def measure_idle(bench: Bench, seconds: float = 2.0) -> Figures:
    """Milliseconds of CPU per second of each process of the stack while nobody calls."""
    before = {name: cpu_s(bench.pids[name]) for name in GATEWAY}
    time.sleep(seconds)
    return {name: (cpu_s(bench.pids[name]) - before[name]) * 1000 / seconds for name in GATEWAY}
