"""Write a first manifest from the folders of clips that are there, record its baselines, and say what was decided.

Margins are left out: gates then take what neutral changes need. Metrics that need no weights are chosen.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.wording import counted, printable, some

HELP = "write a first manifest from folders of clips"
_REFERENCES = ("reference", "references", "ref", "gt", "ground_truth", "teacher")
_LISTS = ("samples.jsonl", "samples.json", "samples.csv")
_ALONE = ("vbench.temporal_flickering", "video.black", "video.blockiness", "video.blur", "video.freeze")
_PAIRED = ("common.psnr", "common.ssim", "common.flicker_excess")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="where to look (default: here)")
    parser.add_argument("--clips", metavar="DIR", help="folder of the clips to record, below FOLDER")
    parser.add_argument("--reference", metavar="DIR", help="folder of the references, below FOLDER")
    parser.add_argument(
        "--neutral", metavar="NAMES", help="two or more sibling folders with equally good renders, by comma: calibrates"
    )
    parser.add_argument("--no-record", action="store_true", help="write the manifest only")


def run(args: argparse.Namespace) -> int:
    """Write ``bench.vidmetrics.toml`` into the folder and record. Returns the exit status of the recording."""
    folder = args.folder
    file = folder / "bench.vidmetrics.toml"
    if file.exists():
        raise VidmetricsError(f"{file} is there already: remove it, or change it by hand")
    found = _folders(folder)
    reference = _reference(folder, args.reference, found)
    neutral = [name.strip() for name in args.neutral.split(",")] if args.neutral else []
    clips = _clips(folder, args.clips, [one for one in found if one != reference], neutral)
    for name in neutral:
        if clips.parent / name not in found:
            raise VidmetricsError(f"--neutral: {clips.parent / name} holds no clips")
    decided = [f"clips: {counted(found[clips], 'clip')} in {clips}"]
    decided += _partners(clips, reference)
    prompts = next((name for name in _LISTS if (folder / name).is_file()), None)
    decided.append(f"prompts: {prompts}" if prompts else f"prompts: none, as there is no {_LISTS[0]}")
    metrics = [*_PAIRED, *_ALONE] if reference is not None else list(_ALONE)
    decided.append(f"metrics: {', '.join(metrics)}: they need no weights")
    decided.append("margins: none written, so that gates take what neutral changes need (docs/sight.md)")
    file.write_text(_manifest(folder, clips, reference, prompts, metrics), encoding="utf-8")
    for line in (f"written: {file}", *decided):
        sys.stdout.write(f"{printable(line)}\n")
    options = [str(file), "--vidmetrics=all"]
    if neutral:
        options.append(f"--vidmetrics-calibrate={','.join(neutral)}")
        sys.stdout.write(f"noise: measured over {', '.join(neutral)}, which you call equally good\n")
    sys.stdout.write(f"record: pytest {' '.join(options)} --update-baselines\n")
    sys.stdout.write(f"then: pytest {file} --vidmetrics=all --vidmetrics-checkpoint=NAME, NAME being another folder\n")
    sys.stdout.flush()
    if args.no_record:
        return 0
    return subprocess.run([sys.executable, "-m", "pytest", *options, "--update-baselines"], check=False).returncode


def _folders(folder: Path) -> dict[Path, int]:
    """Return the folders up to two levels below that hold video files, with their number, in order."""
    from pytest_vidmetrics.media.formats import VIDEO_SUFFIXES

    if not folder.is_dir():
        raise VidmetricsError(f"{folder} is not a folder")
    found = {}
    # Two levels: DIR/checkpoint/clips as well as DIR/clips.
    for one in sorted([*folder.glob("*/"), *folder.glob("*/*/")]):
        count = sum(path.suffix.lower() in VIDEO_SUFFIXES for path in one.iterdir() if path.is_file())
        if count and not one.name.startswith("."):
            found[one] = count
    if not found:
        raise VidmetricsError(f"{folder}: no folder below it holds clips ({', '.join(sorted(VIDEO_SUFFIXES))})")
    return found


def _reference(folder: Path, named: str | None, found: dict[Path, int]) -> Path | None:
    if named is None:
        return next((one for one in found if one.name.lower() in _REFERENCES), None)
    if folder / named not in found:
        raise VidmetricsError(f"--reference: {folder / named} holds no clips; there are {some(_names(found))}")
    return folder / named


def _clips(folder: Path, named: str | None, choices: list[Path], neutral: list[str]) -> Path:
    if named is not None:
        if folder / named not in choices:
            raise VidmetricsError(f"--clips: {folder / named} holds no clips; there are {some(_names(choices))}")
        return folder / named
    wanted = [one for one in choices if one.name == neutral[0]] if neutral else choices
    if len(wanted) != 1:
        raise VidmetricsError(
            f"which clips shall be recorded? Say --clips=DIR; there are {some(_names(choices))}. --reference=DIR names "
            "the folder that they are to live up to, where there is one"
        )
    return wanted[0]


def _names(folders: dict[Path, int] | list[Path]) -> list[str]:
    return [str(one) for one in folders]


def _partners(clips: Path, reference: Path | None) -> list[str]:
    """Return what is said of the references. Raises ``VidmetricsError`` where names do not match."""
    if reference is None:
        return [f"references: none, as no folder is called {', '.join(_REFERENCES)}; --reference=DIR names one"]
    from pytest_vidmetrics.media.formats import VIDEO_SUFFIXES

    ours, theirs = (
        {path.stem for path in one.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES} for one in (clips, reference)
    )
    if alone := sorted(ours ^ theirs):
        raise VidmetricsError(f"{clips} and {reference} do not hold the same names: {some(alone)} are in one only")
    return [f"references: {reference}, paired by file name"]


def _manifest(folder: Path, clips: Path, reference: Path | None, prompts: str | None, metrics: list[str]) -> str:
    above = "".join(f"{part}/" for part in clips.parent.relative_to(folder).parts)
    lines = [
        "# Written by `vidmetrics init`. Without margins, gates take what neutral changes need.",
        "schema = 1",
        "",
        "[case.bench]",
        # JSON's texts are texts of TOML as well.
        f"video = {json.dumps(above + '{checkpoint}', ensure_ascii=False)}",
        f"checkpoint = {json.dumps(clips.name, ensure_ascii=False)}",
    ]
    if reference is not None:
        lines.append(f"reference = {json.dumps(reference.relative_to(folder).as_posix(), ensure_ascii=False)}")
    if prompts is not None:
        lines.append(f"samples = {json.dumps(prompts)}")
    lines.append(f"metrics = {json.dumps(metrics)}")
    return "\n".join(lines) + "\n"
