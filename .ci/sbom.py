"""Writes what a wheel brings along, as a CycloneDX 1.6 document, beside the wheel.

    python .ci/sbom.py requirements.txt dist/pretrade_guard-0.1.0-….whl

It lists the wheel itself, by its SHA-256, and every package of the requirements file, with the
version and the hashes that are installed. The same inputs give the same bytes: it has no time, and
its serial number is made of its content.
"""

import hashlib
import json
import re
import sys
import uuid
from pathlib import Path
from typing import Any

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ \\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def pinned(requirements: str) -> list[dict[str, Any]]:
    """The packages of a requirements file with hashes, in its order."""
    found: list[dict[str, Any]] = []
    for line in requirements.splitlines():
        named = _PINNED.match(line)
        if named is not None:
            name, version = named.groups()
            found.append(component(name, version))
        elif found:
            for digest in _HASH.findall(line):
                # Of each of its files: which one is installed, the machine says.
                reference = {
                    "type": "distribution",
                    "url": found[-1]["purl"],
                    "hashes": [{"alg": "SHA-256", "content": digest}],
                }
                found[-1].setdefault("externalReferences", []).append(reference)
    return found


def component(name: str, version: str) -> dict[str, Any]:
    """A Python package."""
    purl = f"pkg:pypi/{re.sub('[-_.]+', '-', name).lower()}@{version}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def document(wheel: Path, requirements: Path) -> dict[str, Any]:
    """The whole of it."""
    name, version = wheel.name.split("-")[:2]
    subject = component(name.replace("_", "-"), version)
    subject["type"] = "application"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    subject["hashes"] = [{"alg": "SHA-256", "content": digest}]
    components = pinned(requirements.read_text())
    body = {
        "metadata": {"component": subject},
        "components": components,
        "dependencies": [
            {"ref": subject["bom-ref"], "dependsOn": [each["bom-ref"] for each in components]}
        ],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        **body,
    }


def main() -> None:
    requirements, wheel = map(Path, sys.argv[1:])
    place = wheel.with_name(wheel.name.removesuffix(".whl") + ".cdx.json")
    place.write_text(json.dumps(document(wheel, requirements), indent=1) + "\n")
    print(place)


if __name__ == "__main__":
    main()
