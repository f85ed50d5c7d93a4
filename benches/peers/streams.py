"""What recognition costs with many streams in a process, by a peer: one JSON line in the form of benches/streams.rs.

    streams.py funasr|sherpa --model DIR --audio DIR [--streams 1] [--threads 1] [--seconds 30]

All streams get a chunk of 600 ms at the same moment; they are served one after the other, and the next chunk comes once
all are done. p50_ms and p95_ms are the time from that moment to a stream's text, so that the last of 16 streams waited
for the other 15. Processor time is the process's, from the third chunk on: with the second, every system has made a call.
"""
import argparse
import json
import resource
import time

import numpy as np

from systems import CHUNK, RATE, SYSTEMS, Speech

WARM_UP = 2


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("system", choices=SYSTEMS)
    ap.add_argument("--model", required=True)
    ap.add_argument("--audio", required=True)
    ap.add_argument("--streams", type=int, default=1)
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--seconds", type=int, default=30)
    a = ap.parse_args()
    system = SYSTEMS[a.system](a.model, a.streams, a.threads)
    speech = [Speech(a.audio, stream) for stream in range(a.streams)]
    times = []
    for number in range(a.seconds * RATE // CHUNK):
        if number == WARM_UP:
            cpu, wall = time.process_time(), time.perf_counter()
        chunks = [stream.chunk() for stream in speech]
        begin = time.perf_counter()
        for stream, samples in enumerate(chunks):
            system.chunk(stream, samples)
            if number >= WARM_UP:
                times.append(time.perf_counter() - begin)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    seconds = len(times) * CHUNK / RATE
    with open("/proc/self/status", encoding="ascii") as status:
        rss = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    print(json.dumps(dict(
        streams=a.streams, threads=a.threads, chunks=len(times), cpu_ms=round(1e3 * cpu / len(times), 2),
        cpu_rtf=cpu / seconds, wall_rtf=wall / seconds, p50_ms=round(1e3 * float(np.percentile(times, 50)), 2),
        p95_ms=round(1e3 * float(np.percentile(times, 95)), 2), tokens=system.tokens(), mean_batch=1.0,
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, rss_mb=rss // 1024)))


if __name__ == "__main__":
    main()
