#!/usr/bin/python3
"""coverage.py directory [uncovered]

Reads what "gcov --json-format --stdout" prints of all objects, one document a
line, and prints how many lines of each file below directory/src ran.  A line
ran when it did in one of the objects that it is in: a file of the core is in
the server's library and in that of the unit programs, and some of them are
included by a program.  With uncovered, the lines that did not run go there.
"""
import collections
import json
import os
import sys

top = os.path.realpath(sys.argv[1])
lines = collections.defaultdict(lambda: collections.defaultdict(int))
for text in sys.stdin:
    document = json.loads(text)
    directory = document["current_working_directory"]
    for file in document["files"]:
        path = os.path.realpath(os.path.join(directory, file["file"]))
        path = os.path.relpath(path, top)
        if path.startswith("src/"):
            for line in file["lines"]:
                lines[path][line["line_number"]] += line["count"]


def print_share(name, ran, total):
    print("%-32s %6d of %6d  %5.1f %%" % (name, ran, total, 100 * ran / total))


totals = collections.defaultdict(lambda: [0, 0])
for path in sorted(lines):
    ran = sum(count > 0 for count in lines[path].values())
    print_share(path, ran, len(lines[path]))
    totals[os.path.dirname(path)][0] += ran
    totals[os.path.dirname(path)][1] += len(lines[path])
print()
for directory in sorted(totals):
    print_share(directory, *totals[directory])

if len(sys.argv) > 2:
    with open(sys.argv[2], "w") as out:
        for path in sorted(lines):
            missing = sorted(n for n, count in lines[path].items() if not count)
            if missing:
                source = open(os.path.join(top, path)).read().split("\n")
                out.write("== %s: %d of %d\n" % (path, len(missing), len(lines[path])))
                for number in missing:
                    out.write("%5d %s\n" % (number, source[number - 1]))
