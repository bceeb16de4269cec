"""The machine and the versions that a run was made with, as Markdown."""
import os
import platform
import re
import subprocess

from measure import PEERS, ROWS, SIMD, Session


def output(*command):
    try:
        done = subprocess.run(command, text=True, capture_output=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def processor():
    fields = dict(re.findall(r"^([^:\n]+):\s+(.*)$",
                             output("env", "LC_ALL=C", "lscpu"), re.M))
    flags = fields.get("Flags", "").split()
    wide = [name for flag, name in (("avx2", "AVX2"), ("avx512f", "AVX-512"))
            if flag in flags]
    return "{}, family {} model {}, {} cores, {}, L2 {}, L3 {}".format(
        fields.get("Model name", platform.machine()),
        fields.get("CPU family", "?"), fields.get("Model", "?"),
        os.cpu_count(), " and ".join(wide) or "no AVX2",
        fields.get("L2 cache", "?"), fields.get("L3 cache", "?"))


def memory():
    with open("/proc/meminfo") as file:
        return int(file.readline().split()[1]) / 1024 ** 2


def package(name):
    return output("dpkg-query", "-W", "-f", "${Version}", name)


def commit(peer):
    return output("git", "-c", "safe.directory=*", "-C",
                  os.path.join(PEERS, peer), "rev-parse", "--short", "HEAD")


def machine():
    import numpy
    import sklearn
    from threadpoolctl import threadpool_info
    session = Session()
    blas = {lib["internal_api"] + " " + str(lib["version"])
            for lib in threadpool_info() if lib["user_api"] == "blas"}
    simd = "" if SIMD == "auto" else f" (kseg.simd = {SIMD})"

    def available(extension):
        return "".join(row[0] for row in session.run(
            "SELECT default_version FROM pg_available_extensions "
            "WHERE name = %s", extension))

    server = session.one("SELECT current_setting('server_version')")
    others = [("R", package("r-base-core")),
              ("PostGIS", available("postgis")),
              ("Citus", available("citus")),
              ("kmeans-postgresql", commit("kmeans-postgresql")),
              ("eakmeans", commit("eakmeans")),
              ("fast-kmeans", commit("fast-kmeans"))]
    load = ", ".join(f"{load:.2f}" for load in os.getloadavg())
    system = output("sh", "-c", '. /etc/os-release && echo "$PRETTY_NAME"')
    return "\n".join([
        "| | |", "|---|---|",
        f"| processor | {processor()} |",
        f"| memory | {memory():.0f} GB |",
        f"| system | {system}, Linux {platform.release()}, "
        f"{output('gcc', '-dumpfullversion') and 'gcc ' + output('gcc', '-dumpfullversion')} |",
        f"| server | PostgreSQL {server}, shared_buffers "
        f"{session.one('SHOW shared_buffers')}, kseg {available('kseg')}{simd} |",
        f"| Python | {platform.python_version()}, numpy {numpy.__version__}, "
        f"scikit-learn {sklearn.__version__}, "
        f"{', '.join(sorted(blas)) or 'no BLAS of its own'} |",
        "| others | " + (", ".join(f"{name} {version}" for name, version in
                                   others if version) or "none") + " |",
        f"| rows | {ROWS:,} |",
        f"| load before | {load} |"])
