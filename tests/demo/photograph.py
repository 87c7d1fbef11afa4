"""Writes a real photograph (scikit-image's astronaut, public domain) for the demo: `photograph.py OUT.png`."""

import sys

from PIL import Image
from skimage import data

Image.fromarray(data.astronaut()).save(sys.argv[1])
