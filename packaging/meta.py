#!/usr/bin/python3
"""Is META.json what PGXN takes (its specification 1.0.0), and of this version?

Prints what is wrong; the exit status says whether anything is.
"""
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$")
TERM = re.compile(r"[^\s/\\\x00-\x1f]{2,}$")
LICENSES = {
    "agpl_3", "apache_1_1", "apache_2_0", "artistic_1", "artistic_2", "bsd", "freebsd", "gfdl_1_2",
    "gfdl_1_3", "gpl_1", "gpl_2", "gpl_3", "lgpl_2_1", "lgpl_3_0", "mit", "mozilla_1_0",
    "mozilla_1_1", "openssl", "perl_5", "postgresql", "qpl_1_0", "ssleay", "sun", "zlib",
    "open_source", "restricted", "unrestricted", "unknown"}
KNOWN = {"name", "abstract", "description", "version", "maintainer", "license", "provides", "prereqs",
         "tags", "meta-spec", "resources", "release_status", "generated_by", "no_index"}
PHASES = {"configure", "build", "test", "runtime", "develop"}
RELATIONS = {"requires", "recommends", "suggests", "conflicts"}


def is_text(value):
    return isinstance(value, str) and value.strip() != ""


def faults(meta, version):
    for key in ("name", "abstract", "version", "maintainer", "license", "provides", "meta-spec"):
        if key not in meta:
            yield f"{key} is missing"
    for key in meta:
        if key not in KNOWN and not key.lower().startswith("x_"):
            yield f"{key} is no key of the specification"
    for key in ("abstract", "description", "maintainer", "generated_by"):
        if key in meta and not is_text(meta[key]):
            yield f"{key} is not a text"
    if not TERM.match(meta.get("name", "")):
        yield "name is not a term"
    if meta.get("license") not in LICENSES:
        yield f"license {meta.get('license')} is not in the list"
    if meta.get("version") != version:
        yield f"version is {meta.get('version')}, kseg.control says {version}"
    if meta.get("meta-spec", {}).get("version") != "1.0.0":
        yield "meta-spec is not of version 1.0.0"

    if not meta.get("provides"):
        yield "provides nothing"
    for name, extension in meta.get("provides", {}).items():
        if not TERM.match(name):
            yield f"provides {name}: not a term"
        if extension.get("version") != version:
            yield f"provides {name}: version is {extension.get('version')}, not {version}"
        for key in ("file", "docfile"):
            file = extension.get(key)
            if file is None and key == "docfile":
                continue
            if not is_text(file) or not (ROOT / file).is_file():
                yield f"provides {name}: {key} {file} is no file"
        for key in extension:
            if key not in ("abstract", "file", "docfile", "version"):
                yield f"provides {name}: {key} is no key of the specification"

    for phase, relations in meta.get("prereqs", {}).items():
        if phase not in PHASES:
            yield f"prereqs: {phase} is no phase"
        for relation, needed in relations.items():
            if relation not in RELATIONS:
                yield f"prereqs {phase}: {relation} is no relation"
            for name, least in needed.items():
                if least != 0 and not SEMVER.match(str(least)):
                    yield f"prereqs {phase}: {least} of {name} is no semantic version"

    tags = meta.get("tags", [])
    if len(tags) != len({tag.lower() for tag in tags}):
        yield "a tag is there twice"
    for tag in tags:
        if not is_text(tag) or len(tag) > 255 or re.search(r"[/\\\x00-\x1f]", tag):
            yield f"tag {tag!r} is no tag"


def main():
    control = (ROOT / "kseg.control").read_text()
    version = re.search(r"^default_version *= *'(.*)'", control, re.M).group(1) + ".0"
    if not SEMVER.match(version):
        sys.exit(f"kseg.control: {version} is no semantic version")
    meta = json.loads((ROOT / "META.json").read_text())
    found = list(faults(meta, version))
    for fault in found:
        print(f"META.json: {fault}", file=sys.stderr)
    sys.exit(1 if found else 0)


main()
