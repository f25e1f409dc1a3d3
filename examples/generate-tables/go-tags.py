"""Adds JSON names and zero rules to protobuf-fields.json, from the tags in Kubernetes' Go types.

usage: go-tags.py PROTOBUF_FIELDS API APIMACHINERY APIEXTENSIONS AGGREGATOR > protobuf-fields.json

The last four are source trees of k8s.io/api, k8s.io/apimachinery,
k8s.io/apiextensions-apiserver and k8s.io/kube-aggregator. Input fields are [number, name, type]; output fields are
[number, JSON name, type, mark] as `machinery::tables::messages` describes them.
"""
import json
import os
import re
import sys

ROOTS = (
    "k8s.io.api.",
    "k8s.io.apimachinery.",
    "k8s.io.apiextensions_apiserver.",
    "k8s.io.kube_aggregator.",
)


def go_fields(tree, prefix, packages):
    """(message, field number) -> (JSON name, JSON options, Go type)."""
    found = {}
    for folder, _, files in os.walk(tree):
        relative = os.path.relpath(folder, tree)
        package = (prefix + relative.replace(os.sep, ".")) if relative != "." else prefix.rstrip(".")
        if package not in packages:
            continue
        for file in sorted(files):
            if not file.endswith(".go") or file.endswith("_test.go") or "generated" in file:
                continue
            with open(os.path.join(folder, file)) as source:
                text = source.read()
            for struct in re.finditer(r"^type (\w+) struct \{\n(.*?)^\}", text, re.S | re.M):
                for line in struct[2].splitlines():
                    tags = re.search(r"`(.*)`", line)
                    protobuf = tags and re.search(r'protobuf:"([^"]*)"', tags[1])
                    name = tags and re.search(r'json:"([^"]*)"', tags[1])
                    number = protobuf and re.search(r",(\d+),", protobuf[1])
                    if not name or not number:
                        continue
                    key = (package + "." + struct[1], int(number[1]))
                    words = line.split("`")[0].split()
                    json_name, *options = name[1].split(",")
                    found[key] = (json_name, options, words[-1])
    return found


def marked(number, name, kind, go):
    """One output field."""
    if go is None:
        return [number, name, kind, ""]
    json_name, options, go_type = go
    if json_name == "":
        json_name = "."
    if json_name == "-":
        json_name = name
    pointer = go_type.startswith("*")
    many = kind.startswith(("[]", "map"))
    scalar = "." not in kind
    if many or scalar:
        always = not pointer and "omitempty" not in options
    else:
        always = not pointer and "omitzero" not in options and json_name != "."
    kept = pointer and scalar and not many
    return [number, json_name, kind, "+" if always else "!" if kept else ""]


def main():
    messages_file, *trees = sys.argv[1:]
    with open(messages_file) as source:
        messages = json.load(source)
    packages = {message.rsplit(".", 1)[0] for message in messages}
    go = {}
    for tree, prefix in zip(trees, ROOTS):
        go.update(go_fields(tree, prefix, packages))
    out = {
        message: [marked(number, name, kind, go.get((message, number))) for number, name, kind in fields]
        for message, fields in messages.items()
    }
    json.dump(out, sys.stdout, separators=(",", ":"))


main()
