"""Write the mean of a FITS image as YAML: a program that knows nothing of Butler, and needs no package.

``python3 levels.py IMAGE OUTPUT TITLE``.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

_BLOCK, _CARD = 2880, 80
_FLOAT = -32


def read_image(path: Path) -> tuple[float, ...]:
    """Return the pixels of the first HDU of a FITS file, which are 32-bit floats."""
    content = path.read_bytes()
    cards: dict[str, str] = {}
    end = 0
    while "END" not in cards:
        for start in range(end, end + _BLOCK, _CARD):
            card = content[start : start + _CARD].decode("ascii")
            cards[card[:8].strip()] = card[10:].partition("/")[0].strip()
        end += _BLOCK
    if int(cards["BITPIX"]) != _FLOAT:
        sys.exit(f"{path}: BITPIX is {cards['BITPIX']}, not {_FLOAT}")
    count = int(cards["NAXIS1"]) * int(cards["NAXIS2"])
    return struct.unpack_from(f">{count}f", content, end)


def main(image: str, output: str, title: str) -> None:
    """Write the file."""
    pixels = read_image(Path(image))
    mean = sum(pixels) / len(pixels)
    Path(output).write_text(f"title: {title}\nmean: {mean!r}\npixels: {len(pixels)}\n", encoding="utf-8")
    print(f"{title}: {mean:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
