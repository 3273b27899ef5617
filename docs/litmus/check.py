#!/usr/bin/env python3
"""Runs every test of this folder, and all its mutants, by herd7.

    check.py [--herd herd7] [--libdir DIR] [NAME ..]

A line `... // EDGE dies` or `... // EDGE survives` names an ordering and says what becomes of
the test without it: the fence of that line is taken out, or its ordering made relaxed. A test
holds if its outcome is forbidden and nothing races, in both models; a mutant dies if the
outcome is permitted, or something races, in at least one. Exit 0 if all is as it says.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

# RC11, which is C++20's and forbids reads from the future; and C11's first wording, which
# permits them.
MODELS = ["rc11.cat", "c11_partialSC.cat"]
STRONG = r"memory_order_(release|acquire|acq_rel|seq_cst)"


def mutants(text):
    """Each ordering that the test names: its name, its fate, and the test without it."""
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        code, said, note = line.partition(" // ")
        if not said:
            continue
        name, fate = note.split()
        assert fate in ("dies", "survives"), line
        if "atomic_thread_fence" in code:
            weaker = "\n"
        else:
            weaker = re.sub(STRONG, "memory_order_relaxed", line, count=1)
        assert weaker != line, line
        yield name, fate, "".join(lines[:number] + [weaker] + lines[number + 1 :])


def verdict(herd, model, text):
    """`never`, `seen` or `race`."""
    with tempfile.NamedTemporaryFile("w", suffix=".litmus") as file:
        file.write(text)
        file.flush()
        run = subprocess.run(
            [*herd, "-model", model, file.name], capture_output=True, text=True, timeout=60
        )
    said = re.search(r"^Observation \S+ (Never|Sometimes|Always) ", run.stdout, re.M)
    if run.returncode != 0 or not said:
        sys.exit(f"{model}: {run.stderr}{run.stdout}")
    if re.search(r"^Undef$", run.stdout, re.M):
        return "race"
    return "never" if said[1] == "Never" else "seen"


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--herd", default="herd7")
    options.add_argument("--libdir")
    options.add_argument("names", nargs="*")
    options = options.parse_args()
    herd = [options.herd, *(["-set-libdir", options.libdir] if options.libdir else [])]
    folder = pathlib.Path(__file__).parent
    passed = failed = 0
    for path in sorted(folder.glob("*.litmus")):
        if options.names and path.stem not in options.names:
            continue
        text = path.read_text()
        assert text.startswith(f"C {path.stem}\n"), path
        for name, fate, text in [("as it is", "holds", text), *mutants(text)]:
            models = MODELS[:1] if "C++20 alone" in text else MODELS
            found = [verdict(herd, model, text) for model in models]
            dead = any(what != "never" for what in found)
            good = dead == (fate == "dies")
            passed, failed = passed + good, failed + (not good)
            columns = [path.stem, name, *found, "-"][:4]
            said = fate if good else f"NOT {fate}"
            print("{:27} {:27} {:6} {:6} {}".format(*columns, said))
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0 or passed == 0)


main()
