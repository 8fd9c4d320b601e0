"""The pages that a reader sees: the README and everything under docs."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md")))

# What the pages' cifar10.txt holds.
CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


def name_of(page: Path) -> str:
    """What a test calls a page: its path in the repository."""
    return str(page.relative_to(ROOT))
