"""The page docs/gaussian_vi.md, from what `amortis reproduce` has written.

    amortis reproduce sir
    amortis reproduce gaussian-target --schedule full
    amortis reproduce symmetry --schedule full
    amortis reproduce stochastic --schedule full
    python benchmarks/gaussian_vi_page.py amortis-reproduced

Pictures are copied to docs/images. Nothing is typed in by hand.
"""

import argparse
import re
import shutil
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"
EXPERIMENTS = ("sir", "gaussian-target", "symmetry", "stochastic")
HEAD = """# Gaussian variational inference, beyond the paper

Experiments on models without local latents, each by one command; what stands here was written by
them and put together by `python benchmarks/gaussian_vi_page.py`.
"""


def section(folder: Path, name: str) -> str:
    """An experiment's sheet one level down, with its pictures in docs/images."""
    text = (folder / name / f"{name}.md").read_text("utf8")
    for picture in re.findall(r"\]\(([^)/]+\.png)\)", text):
        kept = picture if picture.startswith(name) else f"{name}-{picture}"
        shutil.copyfile(folder / name / picture, DOCS / "images" / kept)
        text = text.replace(f"]({picture})", f"](images/{kept})")
    return re.sub(r"^(#+ )", r"#\1", text, flags=re.MULTILINE)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="the folder that was given as --out")
    folder = parser.parse_args().folder
    sections = [HEAD, *(section(folder, name) for name in EXPERIMENTS)]
    (DOCS / "gaussian_vi.md").write_text("\n".join(sections).rstrip() + "\n", "utf8")


if __name__ == "__main__":
    main()
