"""Where the shipped data lies: inside the wheel, or beside the package in a source tree."""

from importlib import resources
from pathlib import Path


def shipped(name: str) -> Path:
    """Find a shipped folder, "xsd" or "routing_rules"; raises FileNotFoundError where the installation lacks it."""
    package = Path(str(resources.files("gateway")))  # zipped installations are not supported: libxml2 opens schemas by path
    places = (package / "_shipped" / name, package.parent / name)
    for place in places:
        if place.is_dir():
            return place
    raise FileNotFoundError(f"no shipped folder {name!r}; looked in {', '.join(map(str, places))}; reinstall nsw-gateway")
