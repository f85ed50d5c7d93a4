"""Live streams by a peer: does it keep up? One JSON line in the form of benches/live.rs.

    live.py funasr|sherpa --model DIR --audio DIR [--streams 4] [--seconds 300] [--stop-early]

A chunk of each stream is due every 600 ms, each stream's at another moment; delay is from then to its text. What is due
first is served first. A process for each core, one thread in each and the streams dealt out among them: that serves
the most streams, since neither Python's lock nor threads that meet within a call cost anything. It costs the peer a
second copy of the model, which peak_mb and rss_mb count; they are sums over the processes. A chunk that is 5 s late is
skipped (as audio is in the element, by max-queue-time). delay_p50_ms is the median stream's median, delay_p95_ms the worst's.
"""
import argparse
import heapq
import json
import multiprocessing
import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from systems import CHUNK, RATE, SYSTEMS, Speech

PERIOD = CHUNK / RATE
STAGGER = 3.0
SKIPPED = 5.0
LATE_MS = 1000


def begins(stream):
    """When a stream begins, in s: as benches/live.rs has it."""
    return stream * 0.618033988749895 % 1 * STAGGER


def share(barrier, start):
    global BARRIER, START
    BARRIER, START = barrier, start


def work(a, streams):
    """Serves these streams; gives the delays of each in ms, and what was used."""
    system = SYSTEMS[a.system](a.model, len(streams), 1)
    speech = [Speech(a.audio, stream) for stream in streams]
    number = BARRIER.wait(600)
    if number == 0:
        START.value = time.monotonic() + 0.1
    BARRIER.wait(600)
    chunks, skipped, delays = int(a.seconds / PERIOD), 0, [[] for _ in streams]
    due = [(START.value + begins(stream) + PERIOD, at, 1) for at, stream in enumerate(streams)]
    heapq.heapify(due)
    cpu = time.process_time()
    while due:
        when, at, number = due[0]
        samples = speech[at].chunk()
        time.sleep(max(0, when - time.monotonic()))
        if time.monotonic() - when > SKIPPED:
            skipped += PERIOD
            if a.stop_early:
                break
        else:
            system.chunk(at, samples)
        delays[at].append(1e3 * (time.monotonic() - when))
        if number < chunks:
            heapq.heapreplace(due, (when + PERIOD, at, number + 1))
        else:
            heapq.heappop(due)
    cpu = time.process_time() - cpu
    with open("/proc/self/status", encoding="ascii") as status:
        rss = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    return dict(delays=delays, skipped=skipped, cpu=cpu, tokens=system.tokens(), rss_mb=rss // 1024,
                peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                wall=time.monotonic() - START.value)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("system", choices=SYSTEMS)
    ap.add_argument("--model", required=True)
    ap.add_argument("--audio", required=True)
    ap.add_argument("--streams", type=int, default=4)
    ap.add_argument("--seconds", type=int, default=300)
    ap.add_argument("--stop-early", action="store_true")
    a = ap.parse_args()
    workers = min(len(os.sched_getaffinity(0)), a.streams)
    context = multiprocessing.get_context("spawn")
    shared = context.Barrier(workers), context.Value("d", 0.0)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=share, initargs=shared) as pool:
        done = list(pool.map(work, [a] * workers, [range(first, a.streams, workers) for first in range(workers)]))
    delays = [stream for worker in done for stream in worker["delays"] if stream]
    skipped = sum(worker["skipped"] for worker in done)
    p95 = max(float(np.percentile(stream, 95)) for stream in delays)
    print(json.dumps(dict(
        streams=a.streams, seconds=a.seconds, skipped_ms=round(1e3 * skipped),
        delay_p50_ms=round(float(np.median([np.median(stream) for stream in delays]))), delay_p95_ms=round(p95),
        delay_max_ms=round(max(max(stream) for stream in delays)), tokens=sum(worker["tokens"] for worker in done),
        cpu_cores=round(sum(worker["cpu"] for worker in done) / max(worker["wall"] for worker in done), 2),
        mean_batch=1.0, peak_mb=sum(worker["peak_mb"] for worker in done),
        rss_mb=sum(worker["rss_mb"] for worker in done), holds=skipped == 0 and p95 < LATE_MS)))


if __name__ == "__main__":
    main()
