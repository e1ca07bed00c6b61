"""Figures as tests look at them."""

from pathlib import Path
from xml.etree import ElementTree

SVG = "{http://www.w3.org/2000/svg}"


def size_of(path: Path) -> tuple[float, float]:
    """Height and width of an SVG file in pixels at 120 to the inch; it must show more than frame and axes."""
    root = ElementTree.parse(path).getroot()
    assert root.tag == f"{SVG}svg"
    shapes = [
        element for element in root.iter() if element.tag in {f"{SVG}{name}" for name in ("path", "use", "image")}
    ]
    assert len(shapes) > 10
    width, height = (float(root.attrib[side].removesuffix("pt")) / 72 * 120 for side in ("width", "height"))
    return height, width
