#!/bin/sh
# Pillow promises a lossless JPEG at a smaller size, and then calls the file broken.
#
# The guess: Image.draft configures libjpeg for one of the sizes that it decodes at, as near as possible to
# the one asked for. So a file that can be loaded whole can be loaded after draft.
#
# The behaviour: libjpeg-turbo 3 reads lossless JPEGs (process 14, no DCT), and so does Pillow, whole. They
# cannot be scaled, since scaling is of DCT blocks. draft sets the smaller size all the same and returns it,
# and load() raises "broken data stream when reading image file" for a file that is not broken.
#
# Versions: Pillow 13.0.0 with its libjpeg-turbo 3.2.0, imagecodecs 2026.3.6 (which writes the file), NumPy
# 2.4.6, Python 3.11.
#
# Why it matters: draft, or thumbnail, which calls it, is how large photos are made small in a quarter of the
# time, in data loaders too; medical and scanned images are lossless JPEGs. Whoever meets this error throws a
# sound image away. A way out: open the file again without draft when loading fails.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 imagecodecs==2026.3.6 numpy==2.4.6
cat > "$folder/show.py" <<'PYTHON'
import io

import imagecodecs
import numpy as np
from PIL import Image, features

print("libjpeg-turbo", features.version("libjpeg_turbo"))
pixels = np.arange(640 * 800 * 3, dtype=np.uint32).reshape(640, 800, 3).astype(np.uint8)
for kind, lossless in (("baseline", False), ("lossless", True)):
    photo = imagecodecs.jpeg8_encode(pixels, lossless=lossless)
    with Image.open(io.BytesIO(photo)) as whole:
        whole.load()
        print(f"{kind}, whole: {whole.size}, the same pixels: {np.array_equal(whole, pixels)}")
    for way in ("draft", "thumbnail"):
        with Image.open(io.BytesIO(photo)) as small:
            try:
                if way == "draft":
                    small.draft("RGB", (160, 128))
                else:
                    small.thumbnail((160, 128))
                small.load()
                said = f"{small.size} loaded"
            except OSError as error:
                said = f"{small.size} promised, {type(error).__name__}: {error}"
        print(f"{kind}, {way}: {said}")
PYTHON
cat > "$folder/expected" <<'TEXT'
libjpeg-turbo 3.2.0
baseline, whole: (800, 640), the same pixels: False
baseline, draft: (200, 160) loaded
baseline, thumbnail: (160, 128) loaded
lossless, whole: (800, 640), the same pixels: True
lossless, draft: (200, 160) promised, OSError: broken data stream when reading image file
lossless, thumbnail: (400, 320) promised, OSError: broken data stream when reading image file
TEXT
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"

# Seen on 2026-12-01:
#   libjpeg-turbo 3.2.0
#   baseline, whole: (800, 640), the same pixels: False
#   baseline, draft: (200, 160) loaded
#   baseline, thumbnail: (160, 128) loaded
#   lossless, whole: (800, 640), the same pixels: True
#   lossless, draft: (200, 160) promised, OSError: broken data stream when reading image file
#   lossless, thumbnail: (400, 320) promised, OSError: broken data stream when reading image file
