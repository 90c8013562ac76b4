"""`make bench`: what an accounted call costs, beside a bare relay in the same run.

Everything runs on this machine: the launcher's whole stack with ports and state of its own, the bare relay, the
sandbox provider as the upstream (it answers at once), and a load generator. CPU is read per process; the load
generator's and the upstream's are shown, but are in no ratio. Nothing here is a test: it prints and writes figures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from tests.bench import bare_relay, load
from tests.bench.dialects import measure_dialects, measure_import
from tests.bench.measure import IN_FLIGHT, Bench, measure_idle, measure_keys, measure_stream, measure_unary
from tests.bench.planning import measure_planning, slowest_us
from tests.bench.processes import BenchError, free_ports, memory_mb, read_line, running
from tests.bench.report import promises, show
from tests.bench.stack import API_KEY, GATEWAY, MODEL, Management, Stack, serving

MANY_KEYS = 100_000


def main() -> int:
    """Measure, print, write the JSON file. 0; 1 when something did not work; 130 after Ctrl-C."""
    options = _parse()
    console = Console(highlight=False)
    output: Path = options.output
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        # Beside the output: /tmp may be memory, where forcing a file to the disk costs nothing.
        with tempfile.TemporaryDirectory(prefix="bench-", dir=output.parent) as scratch:
            result = _run(Path(scratch).absolute(), options, console)
    except BenchError as error:
        Console(stderr=True, highlight=False, markup=False).print(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130
    output.write_text(json.dumps(result, indent=2) + "\n")
    show(result, console)
    console.print(f"Written to {output}.")
    return 0


def _run(scratch: Path, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:5.1f} s[/] {text}")

    machine = _machine(scratch)
    say("measuring the choice of targets …")
    plan = measure_planning()
    say("measuring the dialects …")
    dialects, imported = measure_dialects(), measure_import()
    say("starting the whole stack for the first time …")
    with serving(scratch / "state") as stack:
        first_s = stack.start_s
    say(f"served after {first_s:.1f} s; starting it again …")
    with ExitStack() as resources:
        stack = resources.enter_context(serving(scratch / "state"))
        say(f"served after {stack.start_s:.1f} s; setting a tenant up …")
        management = Management(stack)
        resources.callback(management.close)
        management.set_up()
        bench = _bench(stack, management.create_keys(), scratch, resources, say)
        say(f"measuring {options.rounds} rounds with {', '.join(map(str, IN_FLIGHT))} calls in flight …")
        unary = measure_unary(bench, rounds=options.rounds, seconds=options.seconds)
        say("measuring streams …")
        stream = measure_stream(bench)
        say("measuring keys alone …")
        keys = measure_keys(bench, rounds=options.rounds, seconds=options.seconds / 2)
        say(f"… and among {MANY_KEYS} others …")
        management.fill_keys(MANY_KEYS)
        among_many = measure_keys(bench, rounds=options.rounds, seconds=options.seconds / 2)
        say("measuring an idle stack …")
        idle = measure_idle(bench)
        memory = {name: memory_mb(stack.pids[name]) for name in GATEWAY}
        calls = unary.calls_to_stack + int(str(stream["streams"])) + 1
        accounted = management.accounted()
        say(f"{calls} calls were made, {accounted} are in the ledger; stopping …")
    if accounted != calls:
        raise BenchError(f"{calls} calls were made, but the ledger holds {accounted}: the figures mean nothing")
    by_target = unary.by_target
    result: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        **{str(target): figures for target, figures in by_target.items()},
        "cpu_ratio": unary.cpu_ratio[str(max(IN_FLIGHT))],
        "cpu_ratio_by_in_flight": unary.cpu_ratio,
        "added_latency_p50_ms": _p50(by_target["stack"]) - _p50(by_target["direct"]),
        "stream": stream,
        "keys": keys,
        "keys_among_many": {"others": MANY_KEYS, **among_many},
        "start": {"first_s": first_s, "again_s": stack.start_s},
        "memory_mb": memory,
        "idle_cpu_ms_per_s": idle,
        "plan": plan,
        "dialects": dialects,
        "import": imported,
        "slowest_plan_us": slowest_us(plan),
        "ledger": {"calls": calls, "accounted": accounted},
        "machine": {**machine, "other_cpu_share": unary.other_cpu_share},
        "rounds": options.rounds,
        "seconds_per_measurement": options.seconds,
        "took_s": time.monotonic() - began,
    }
    return {**result, "promises": promises(result)}


def _p50(by_level: Mapping[str, Mapping[str, object]]) -> float:
    return float(str(by_level["1"]["p50_ms"]))


def _bench(stack: Stack, key_names: list[str], scratch: Path, resources: ExitStack, say: Any) -> Bench:
    (port,) = free_ports(1)
    relay_log, load_log = scratch / "bare_relay.log", scratch / "load.log"
    relay = resources.enter_context(
        running(
            bare_relay.__name__,
            *("--port", str(port), "--upstream", stack.upstream, "--model", MODEL, "--api-key", API_KEY),
            *("--tls-cert", str(stack.layout.certificate("router"))),
            *("--tls-key", str(stack.layout.certificate_key("router"))),
            log=relay_log,
            stdout=True,
        )
    )
    read_line(relay.stdout, "the bare relay", relay_log)
    generator = resources.enter_context(running(load.__name__, log=load_log, stdout=True))
    targets = load.Targets(
        bare_relay=f"localhost:{port}",
        stack=stack.endpoints["router"],
        direct=stack.upstream,
        ca_file=str(stack.layout.ca_certificate),
        token=stack.token,
        model=MODEL,
        api_key=API_KEY,
        key_vault=stack.key_vault,
        cert_file=str(stack.layout.certificate("router")),
        key_file=str(stack.layout.certificate_key("router")),
        key_names=key_names,
    )
    if generator.stdin is None:
        raise BenchError("the load generator has no input")
    generator.stdin.write(load.to_line(targets))
    pids = {**stack.pids, "bare_relay": relay.pid, "load_generator": generator.pid}
    return Bench(load=generator, load_log=load_log, pids=pids, say=say)


def _machine(scratch: Path) -> dict[str, Any]:
    file = scratch / "sync"
    took = []
    with file.open("wb", buffering=0) as handle:
        for _ in range(50):
            handle.write(b"x" * 4096)
            began = time.perf_counter()
            os.fsync(handle.fileno())
            took.append((time.perf_counter() - began) * 1000)
    file.unlink()
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "fsync_ms": statistics.median(took),
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(".gatehouse/bench.json"), help="where the figures go")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; every figure is their median (default: 5)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=3.0,
        help="seconds per measurement and round (default: 3; upstream itself: half)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
