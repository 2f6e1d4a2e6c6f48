#!/usr/bin/env python3
"""Tasks that do nothing, through Tombola and through Dask, Ray and Parsl, each with its own worker processes on this machine.

    pip install "dask[distributed]" ray parsl
    python3 Tests/schedulers/noop_tasks.py .build/release/tombola --count 10000 --workers 2 --rounds 3

Prints a Markdown table: tasks per second, the median of the rounds with the lowest and the highest. What is timed is from the first
submission to the last result; starting the workers is not, but for Tombola, whose rate counts from the start of its coordinator. Tombola
has each attempt on disk before it is given out and each result on disk before it is acknowledged; the others keep both in memory,
as they come.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time


def tombola(program, count, workers):
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        command = [program, "bench", "tasks", "--count", str(count), "--workers", str(workers), "--json", "--folder", folder]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["tasks_per_second"]


def nothing(number):
    return number


def timed(count, run):
    begin = time.perf_counter()
    results = run()
    seconds = time.perf_counter() - begin
    assert len(results) == count and results[-1] == count - 1
    return count / seconds


def dask(count, workers):
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            client.wait_for_workers(workers)
            client.gather(client.map(nothing, range(100), pure=False))
            return timed(count, lambda: client.gather(client.map(nothing, range(count), pure=False)))


def ray(count, workers):
    import ray

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        remote = ray.remote(nothing)
        ray.get([remote.remote(number) for number in range(100)])
        return timed(count, lambda: ray.get([remote.remote(number) for number in range(count)]))
    finally:
        ray.shutdown()


def parsl(count, workers):
    import parsl
    from parsl.app.app import python_app
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor

    # It starts programs of its own by name.
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    folder = tempfile.mkdtemp()
    executor = HighThroughputExecutor(address="127.0.0.1", max_workers_per_node=workers, prefetch_capacity=256)
    parsl.load(Config(executors=[executor], run_dir=folder, usage_tracking=0))
    try:
        app = python_app(nothing)
        [future.result() for future in [app(number) for number in range(100)]]
        return timed(count, lambda: [future.result() for future in [app(number) for number in range(count)]])
    finally:
        parsl.dfk().cleanup()
        parsl.clear()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the tombola executable")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["tombola", "dask", "ray", "parsl"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    program = os.path.abspath(options.program)
    runs = {
        "tombola": lambda: tombola(program, options.count, options.workers),
        "dask": lambda: dask(options.count, options.workers),
        "ray": lambda: ray(options.count, options.workers),
        "parsl": lambda: parsl(options.count, options.workers),
    }
    if options.only:
        print(json.dumps(runs[options.only]()))
        return
    rates = {name: [] for name in runs}
    # A process of its own for each run, so that none leaves anything to the next; in turn, so that a noisy minute meets all.
    for _ in range(options.rounds):
        for name in runs:
            command = [sys.executable, __file__, program, "--only", name, "--count", str(options.count)]
            command += ["--workers", str(options.workers)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
            rates[name].append(json.loads(done.stdout.strip().splitlines()[-1]))
            print(f"{name}: {rates[name][-1]:,.0f} tasks/s", file=sys.stderr)
    print(f"| {options.count:,} tasks that do nothing, {options.workers} workers | tasks/s (lowest…highest) |\n|---|---|")
    for name, all_rates in rates.items():
        print(f"| {name} | {statistics.median(all_rates):,.0f} ({min(all_rates):,.0f}…{max(all_rates):,.0f}) |")


if __name__ == "__main__":
    main()
