"""Libraries outside of PostgreSQL on the same rows and queries: what a server costs, and what is left."""

import contextlib
import json
import math
import pathlib
import subprocess
import tempfile

import numpy as np

from .results import Point, Result
from .server import Failed, say

NAMES = {"scann": "ScaNN", "faiss": "Faiss"}
WORKER = pathlib.Path(__file__).with_name("library_worker.py")

# Below this recall a setting is not timed.
LEAST_RECALL = 0.85

# Leaves searched, in parts of all.
SHARES = (0.002, 0.004, 0.008, 0.012, 0.016, 0.024, 0.032, 0.048, 0.064, 0.096, 0.128, 0.192, 0.256, 0.384, 0.5, 1)


def installed(python):
    """The libraries that a Python can import."""
    return [
        name
        for name in NAMES
        if subprocess.run([python, "-c", f"import {name}"], capture_output=True).returncode == 0
    ]


class Worker:
    """A library in a process of its own."""

    def __init__(self, python, name, data, directory):
        directory = pathlib.Path(directory)
        for part, vectors in (("train", data.train), ("test", data.test)):
            if data.metric == "angular":
                vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
            np.save(directory / f"{part}.npy", np.ascontiguousarray(vectors, dtype=np.float32))
        self.log = open(directory / "log", "w+")
        command = [python, WORKER, name, directory, data.metric, str(data.k)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)  # fmt: skip

    def read(self):
        for line in self.process.stdout:
            if line.startswith("{"):  # libraries write to standard output too
                return json.loads(line)
        self.process.wait()
        self.log.seek(0)
        raise Failed(self.log.read()[-1000:] or "the library's process has ended")

    def ask(self, leaves, reorder, seconds):
        print(leaves, reorder, seconds, file=self.process.stdin, flush=True)
        return self.read()

    def end(self):
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):  # what it did not read
            self.process.stdin.close()
        self.process.stdout.close()
        self.log.close()


def measure(worker, data, leaves, reorder):
    """The point of one setting; its rate is NaN where the recall is not worth timing."""
    answers = worker.ask(leaves, reorder, 0)["answers"]
    judged = [data.judge(i, [n for n in ids if n >= 0]) for i, ids in enumerate(answers)]
    recalls = np.sort([recall for recall, _ in judged])
    point = Point(
        f"leaves={leaves} candidates={reorder * data.k}",
        leaves,
        float(recalls.mean()),
        math.nan,
        worst=float(recalls[: max(1, len(recalls) // 100)].mean()),
        unordered=float(np.mean([not ordered for _, ordered in judged])),
    )
    if point.recall >= LEAST_RECALL:
        timed = worker.ask(leaves, reorder, 1)
        point.rate = timed["rate"]
        if timed["threads"] > 1.2:
            say("libraries", f"WARNING: searched with {timed['threads']:.1f} threads")
    return point


def sweep(worker, name, data, stop):
    """Result of a library over leaves searched and candidates reordered, up to that recall."""
    built = worker.read()
    result = Result(f"{NAMES[name]} {built['version']}", rows=len(data.train))
    result.build_seconds, result.build_cpu = built["build_seconds"], built["build_cpu"]
    say(result.name, f"built in {result.build_seconds:.1f} s, {built['leaves']} leaves")
    complete = 0
    for leaves in sorted({max(1, round(share * built["leaves"])) for share in SHARES}):
        best = 0.0
        for reorder in built["reorder"]:
            point = measure(worker, data, leaves, reorder)
            if math.isfinite(point.rate):
                result.points.append(point)
                say(result.name, f"{point.setting:32} recall {point.recall:.4f} (worst 1 %: {point.worst:.2f})  "
                    f"{point.rate:8.0f} q/s")  # fmt: skip
            if point.recall <= best + 0.001:
                break  # more candidates change nothing
            best = point.recall
        complete += best >= stop
        if complete == 2:  # fewer candidates of more leaves may be faster
            break
    return result


def measure_libraries(python, data, args):
    """Results of all that is installed; what fails is said and left out."""
    results, names = [], installed(python)
    if not names:
        say("libraries", f"{python} has none of {', '.join(NAMES)}")
    for name in names:
        with tempfile.TemporaryDirectory() as directory:
            worker = Worker(python, name, data, directory)
            try:
                results.append(sweep(worker, name, data, args.stop_recall))
            except (Failed, OSError) as error:
                say(NAMES[name], f"failed: {error}")
            finally:
                worker.end()
    return results
