"""The figures for people: tables, each figure beside what was promised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.dialects import MESSAGES
from tests.bench.stack import GATEWAY

_NAMES = {"bare_relay": "bare relay", "stack": "Gatehouse", "direct": "upstream itself"}


def show(result: Mapping[str, Any], console: Console) -> None:
    """Print everything."""
    console.print(_calls(result))
    console.print(_processes(result))
    console.print(_keys(result))
    console.print(_plans(result))
    console.print(_dialects(result))
    console.print(_promises(result))
    machine = result["machine"]
    console.print(
        f"{machine['cores']} cores, {machine['cpu']}; Python {machine['python']}; one fsync takes "
        f"{machine['fsync_ms']:.2f} ms. Load generator and upstream ran on the same cores; the upstream answers at "
        f"once. Other programs used {machine['other_cpu_share']:.0%} of the CPU time."
    )
    if machine["other_cpu_share"] > _DISTURBED:
        console.print("[yellow]The machine was not quiet: the figures are worse than they would be.[/]")


_DISTURBED = 0.1


def _calls(result: Mapping[str, Any]) -> Table:
    table = Table(title="Whole answers", title_justify="left")
    for column in ("in flight", "", "calls/s", "p50 ms", "p90 ms", "p99 ms", "CPU ms/call", "load gen.", "upstream"):
        table.add_column(column, justify="left" if not column else "right")
    for level in result["stack"]:
        for target, name in _NAMES.items():
            figures = result[target][level]
            table.add_row(
                level if target == "bare_relay" else "",
                name,
                f"{figures['calls_per_s']:.0f}",
                *(f"{figures[each]:.2f}" for each in ("p50_ms", "p90_ms", "p99_ms")),
                f"{figures['cpu_ms_per_call']:.3f}" if "cpu_ms_per_call" in figures else "",
                f"{figures['load_generator_cpu_ms_per_call']:.3f}",
                f"{figures['upstream_cpu_ms_per_call']:.3f}",
            )
        table.add_section()
    return table


def _processes(result: Mapping[str, Any]) -> Table:
    table = Table(title="Processes of Gatehouse", title_justify="left")
    table.add_column("")
    for level in result["stack"]:
        table.add_column(f"CPU ms/call at {level}", justify="right")
    for column in ("idle: CPU ms/s", "memory MB"):
        table.add_column(column, justify="right")
    for name in GATEWAY:
        table.add_row(
            name,
            *(f"{figures['cpu_ms_by_process'][name]:.3f}" for figures in result["stack"].values()),
            f"{result['idle_cpu_ms_per_s'][name]:.1f}",
            f"{result['memory_mb'][name]:.0f}",
        )
    return table


def _keys(result: Mapping[str, Any]) -> Table:
    table = Table(title="Opening keys alone: key_vault and Vault", title_justify="left")
    for column in ("in flight", "", "keys/s", "p50 ms", "p99 ms", "CPU ms/key"):
        table.add_column(column, justify="left" if not column else "right")
    others = result["keys_among_many"]["others"]
    for level in result["keys"]:
        for which, name in (("keys", "few keys"), ("keys_among_many", f"among {others:,} others")):
            figures = result[which][level]
            table.add_row(
                level if which == "keys" else "",
                name,
                f"{figures['calls_per_s']:.0f}",
                *(f"{figures[each]:.2f}" for each in ("p50_ms", "p99_ms")),
                f"{figures['cpu_ms_per_key']:.3f}",
            )
    return table


def _plans(result: Mapping[str, Any]) -> Table:
    table = Table(title="Choosing targets", title_justify="left")
    for column in ("", "targets", "plan µs", "trace µs"):
        table.add_column(column, justify="right" if column else "left")
    for case, figures in result["plan"].items():
        table.add_row(case, f"{figures['targets']}", f"{figures['plan_us']:.1f}", f"{figures['trace_us']:.1f}")
    return table


def _dialects(result: Mapping[str, Any]) -> Table:
    table = Table(title=f"Speaking to providers: one message, and {MESSAGES} with tools", title_justify="left")
    for column in ("", "write µs", "read µs", f"write {MESSAGES} µs", "event of a stream µs"):
        table.add_column(column, justify="right" if column else "left")
    for variant, figures in result["dialects"].items():
        shown = ("encode_short_us", "decode_short_us", "encode_long_us", "event_us")
        table.add_row(variant, *(f"{figures[each]:.1f}" for each in shown))
    return table


def _promises(result: Mapping[str, Any]) -> Table:
    table = Table(title="Promised and measured", title_justify="left")
    for column in ("", "measured", "promised", ""):
        table.add_column(column, justify="right" if column else "left")
    for promise in promises(result):
        met = promise["measured"] <= promise["at_most"]
        table.add_row(
            promise["what"],
            f"{promise['measured']:.2f}",
            f"{promise['at_most']:g}",
            "[green]met[/]" if met else "[red]missed[/]",
        )
    for level, ratio in result["cpu_ratio_by_in_flight"].items():
        table.add_row(f"[dim]CPU ratio at {level} in flight[/]", f"[dim]{ratio:.2f}[/]", "", "")
    return table


def promises(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each promise with its figure."""
    stream = result["stream"]
    keys, among_many = result["keys"], result["keys_among_many"]
    memory = max(megabytes for name, megabytes in result["memory_mb"].items() if name != "openbao")
    return [
        {
            "what": "CPU of an accounted call / bare relay, 64 in flight",
            "measured": result["cpu_ratio"],
            "at_most": 2.0,
        },
        {"what": "added latency, one in flight, p50 (ms)", "measured": result["added_latency_p50_ms"], "at_most": 5.0},
        {"what": "added time to first token, p50 (ms)", "measured": stream["first_token_added_p50_ms"], "at_most": 5.0},
        {
            "what": "added time per event, upstream flat out (ms)",
            "measured": stream["flat_out_ms_per_event_added"],
            "at_most": 0.2,
        },
        {"what": "CPU per key opened, 64 in flight (ms)", "measured": keys["64"]["cpu_ms_per_key"], "at_most": 0.4},
        {"what": "opening a key, one in flight, p50 (ms)", "measured": keys["1"]["p50_ms"], "at_most": 4.0},
        {
            "what": "the same CPU among 100,000 other keys / few",
            "measured": among_many["64"]["cpu_ms_per_key"] / keys["64"]["cpu_ms_per_key"],
            "at_most": 1.2,
        },
        {
            "what": "the same latency among 100,000 other keys / few",
            "measured": among_many["1"]["p50_ms"] / keys["1"]["p50_ms"],
            "at_most": 1.2,
        },
        {
            "what": "choosing among 20 targets, slowest case (µs)",
            "measured": result["slowest_plan_us"],
            "at_most": 50.0,
        },
        {
            "what": "an event of a stream, slowest provider (ms)",
            "measured": max(each["event_us"] for each in result["dialects"].values()) / 1000,
            "at_most": 0.1,
        },
        {
            "what": "importing the router with all dialects (s)",
            "measured": result["import"]["import_s"],
            "at_most": 1.0,
        },
        {"what": "providers' SDKs imported with it", "measured": len(result["import"]["sdks"]), "at_most": 0},
        {"what": "start to serving, first time (s)", "measured": result["start"]["first_s"], "at_most": 3.0},
        {"what": "start to serving, again (s)", "measured": result["start"]["again_s"], "at_most": 3.0},
        {"what": "memory of the largest service (MB)", "measured": memory, "at_most": 150.0},
    ]
