"""What synthesis costs on top of its calls: ``python -m benchmarks.synthesize``.

Everything runs against a loopback server with the capacity of a real one (so many answers at a time, each taking so
long). Peak memory is that of the real command's process at two sizes. Its speed is set against a client that makes the
same calls in the same pattern and does nothing else: now and then the command is halted and that client takes its turn,
so that a busy machine is busy for both. At last it is killed three times and run to its end.
"""

from __future__ import annotations

import os

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")  # before dspy is imported: no price list is fetched

import argparse
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .inference_server import InferenceServer, inference_server

TEACHERS, FUSOR = ("one", "two"), "fusor"
CALLS = len(TEACHERS) + 1  # a row
_WORDS = (
    "harbour garden window captain letter market summer bridge forest signal mirror pocket winter basket island velvet"
).split()
_PACKAGE = "dspy_fusion.experiments"


@dataclass(frozen=True)
class Taken:
    """What a run of the command took: CPU time and peak memory of its process."""

    cpu_ms_a_row: float
    peak_mib: float


@dataclass
class Rates:
    """Rows a second, turn by turn."""

    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """Ours through bare, each turn of ours by the bare one after it."""
        return [ours / bare for ours, bare in zip(self.ours, self.bare, strict=False)]


@dataclass(frozen=True)
class Bench:
    """Where everything happens: the folder, the server, and how many rows are in flight."""

    folder: Path
    server: InferenceServer
    concurrency: int

    def synthesize(self, rows: int, out: str) -> subprocess.Popen[str]:
        """Starts the real command."""
        prompts = self.folder / f"prompts-{rows}.jsonl"
        if not prompts.exists():
            with prompts.open("w") as file:
                file.writelines(json.dumps({"prompt": prompt_text(place)}) + "\n" for place in range(rows))
        options = {"--prompts": prompts, "--teachers": ",".join(TEACHERS), "--fusor": FUSOR, "--out": self.folder / out}
        options |= {"--models-file": self.folder / "models.toml", "--concurrency": self.concurrency}
        words = [str(word) for pair in options.items() for word in pair]
        with (self.folder / "log").open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", _PACKAGE, "synthesize", *words], stdout=log, stderr=log, text=True
            )

    def taken(self, process: subprocess.Popen[str], rows: int) -> Taken:
        """Waits for the command and says what it took."""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if status:
            raise SystemExit(f"the command failed: {(self.folder / 'log').read_text()[-2000:]}")
        return Taken(1000 * (used.ru_utime + used.ru_stime) / rows, used.ru_maxrss / 1024)

    @contextmanager
    def bare(self) -> Iterator[subprocess.Popen[str]]:
        """Runs the client that makes the same calls bare, when it is told to."""
        command = [
            sys.executable,
            "-m",
            f"{_PACKAGE}.benchmarks.bare_calls",
            str(self.folder / "models.toml"),
            str(self.concurrency),
        ]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            try:
                yield client
            finally:
                client.kill()


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints every measurement with its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--small", type=int, default=10_000, help="rows of the run that peak memory is compared with")
    parser.add_argument(
        "--turn", type=int, default=2_000, help="rows of a turn of the command; the bare client's is a third of it"
    )
    parser.add_argument("--slots", type=int, default=32, help="answers the server works on at a time; 0 for any number")
    parser.add_argument("--delay", type=float, default=0.1, help="seconds an answer takes")
    parser.add_argument("--concurrency", type=int, default=64, help="rows in flight")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name, inference_server(options.slots, options.delay) as server:
        bench = Bench(Path(name), server, options.concurrency)
        models = (
            f'[{name}]\nmodel = "openai/{name}"\naddress = "{server.address}"\nengine = "native"\n'
            for name in (*TEACHERS, FUSOR)
        )
        (bench.folder / "models.toml").write_text("".join(models))
        most = f", at most {options.slots / options.delay / CALLS:.1f} rows/s" if options.slots else ""
        print(
            f"server: {options.slots or 'any number of'} answers at a time, {options.delay:g} s each{most}", flush=True
        )
        small = bench.taken(bench.synthesize(options.small, "small"), options.small)
        rates = Rates()
        large = _in_turns(bench, options.rows, options.turn, rates)
        _report(options, small, large, rates)
        _killed(bench)
    return 0


def _in_turns(bench: Bench, rows: int, turn: int, rates: Rates) -> Taken:
    """Runs the command, halted now and then for a turn of the bare client."""
    bare_rows = turn // 3
    with bench.bare() as client:
        _turn(client, bench.concurrency)  # connects, and loads what is loaded at the first call
        bench.server.count(reset=True)
        process = bench.synthesize(rows, "large")
        for _ in range(rows // turn - 1):
            while bench.server.count().requests < turn * CALLS:
                time.sleep(0.2)
            process.send_signal(signal.SIGSTOP)
            rates.ours.append(_rate(bench))
            _turn(client, bare_rows)
            rates.bare.append(_rate(bench))
            process.send_signal(signal.SIGCONT)
        return bench.taken(process, rows)


def _turn(client: subprocess.Popen[str], rows: int) -> None:
    if client.stdin is None or client.stdout is None:
        raise SystemExit("the bare client has no pipes")
    client.stdin.write(f"{rows}\n")
    client.stdin.flush()
    client.stdout.readline()


def _rate(bench: Bench) -> float:
    """Rows a second since the last reset; what is in flight when the command is halted is answered before."""
    time.sleep(1.0)
    counted = bench.server.count(reset=True)
    return counted.requests / CALLS / counted.seconds


def _report(options: argparse.Namespace, small: Taken, large: Taken, rates: Rates) -> None:
    for rows, taken in ((options.small, small), (options.rows, large)):
        print(f"synthesize, {rows:,} rows: {taken.cpu_ms_a_row:.2f} ms of CPU a row, peak {taken.peak_mib:.0f} MiB")
    print(
        f"  peak memory at {options.rows:,} / at {options.small:,} rows = {large.peak_mib / small.peak_mib:.3f}  "
        " target: at most 1.2"
    )
    ours, bare = statistics.median(rates.ours), statistics.median(rates.bare)
    print(
        f"median of {len(rates.ours)} turns: synthesize {ours:.1f} rows/s, the same calls by bare dspy.LM {bare:.1f}"
        " rows/s"
    )
    ratios = sorted(rates.ratios)
    low, high = ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]
    print(
        f"  median ratio = {statistics.median(ratios):.3f} (quarter points {low:.3f}, {high:.3f})   target: at least"
        " 0.85",
        flush=True,
    )


def _killed(bench: Bench) -> None:
    rows, rng = 30 * bench.concurrency, random.Random(0)
    bench.server.count(reset=True)
    shares = sorted(rng.uniform(0.1, 0.9) for _ in range(3))
    for share in shares:
        process = bench.synthesize(rows, "killed")
        while bench.server.count().requests < share * rows * CALLS and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    bench.taken(bench.synthesize(rows, "killed"), rows)
    files = sorted((bench.folder / "killed").glob("rows-*.jsonl"))
    places = [json.loads(line)["index"] for path in files for line in path.read_text().splitlines()]
    repeated, most = bench.server.count().requests - rows * CALLS, len(shares) * bench.concurrency * CALLS
    print(
        f"killed {len(shares)} times in {rows} rows: {len(places)} rows are there, {len(set(places))} different ones;"
    )
    print(f"  {repeated} calls repeated   target: at most those of the rows in flight, {most}", flush=True)


def prompt_text(place: int) -> str:
    """The prompt of a place: different words for each, as real prompts have."""
    rng = random.Random(place)
    return f"Write a short story, number {place}, in which these turn up: {', '.join(rng.sample(_WORDS, 5))}."


if __name__ == "__main__":
    sys.exit(main())
