"""What the near-duplicate measurement uploads anew: sets of sources that have nothing in common but some long films.

CHOSEN is the set on which the rule's max_distance was chosen. HELD_OUT was put together afterwards, before anything was measured
on it: other seconds of the long videos, videos and photographs that were not in the first set, and films that ffmpeg computes.
Of HELD_OUT it was known, when layouts were added for smooth frames, that eight of its misses were computed films; the thresholds
of layouts were chosen on other films, and SMOOTH was put together afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LENGTH_S = 8


@dataclass(frozen=True)
class Sources:
    """videos: path under the clips -> second to begin at. photographs: names of scikit-image. films: ffmpeg's own sources."""

    videos: dict[str, float]
    photographs: tuple[str, ...]
    films: tuple[str, ...] = ()

    def names(self) -> list[tuple[str, Path, float]]:
        """(name, path under the clips, second) of each video."""
        return [(f"{Path(name).stem} {i}", Path(name), start) for i, (name, start) in enumerate(self.videos.items())]


TOYS = "mdn+learning-area/javascript/apis/client-side-storage/cache-sw/video-store-offline/videos"
MEDIA3 = "androidx+media/libraries/test_data/src/test/assets/media"
CHOSEN = Sources(
    videos={  # different videos, seen by a person; five show different toys on one table
        "Zulko+moviepy/media/big_buck_bunny_0_30.webm": 2, "Zulko+moviepy/media/chaplin.mp4": 0,
        "Zulko+moviepy/media/smpte-2997.mp4": 0, "Zulko+moviepy/media/video_with_failing_audio.mp4": 0,
        f"{MEDIA3}/mp4/hdr10-av1.mp4": 0, f"{MEDIA3}/mp4/midroll-5s.mp4": 0,
        f"{MEDIA3}/mp4/sample_with_increasing_timestamps_320w_240h_5s.mp4": 0,
        f"{MEDIA3}/mp4/trim_optimization_failure.mp4": 0,
        "chouliuzuo+GVMGen/examples_of_results/21.mp4": 0, "chouliuzuo+GVMGen/examples_of_results/25.mp4": 0,
        "chouliuzuo+GVMGen/examples_of_results/27.mp4": 0, "chouliuzuo+GVMGen/examples_of_results/28.mp4": 0,
        "chouliuzuo+GVMGen/examples_of_results/30.mp4": 0, "mdn+dom-examples/canvas/chroma-keying/media/video.mp4": 0,
        f"{TOYS}/elf.webm": 0, f"{TOYS}/frog.webm": 0, f"{TOYS}/monster.webm": 0, f"{TOYS}/pig.webm": 0,
        f"{TOYS}/rabbit.webm": 0, "open-mmlab+FoleyCrafter/examples/avsync/0.mp4": 0,
        "open-mmlab+FoleyCrafter/examples/avsync/1.mp4": 0, "open-mmlab+FoleyCrafter/examples/avsync/2.mp4": 0,
        "open-mmlab+FoleyCrafter/examples/vggsound/0.mp4": 0, "open-mmlab+FoleyCrafter/examples/vggsound/3.mp4": 0,
        "pytorch+torchcodec/test/resources/av1_video.mkv": 0, "pytorch+torchcodec/test/resources/nasa_13013.mp4": 0,
        "samdutton+simpl/av1/video/vp9_562.webm": 0, "samdutton+simpl/video/video/small.webm": 0,
        "samdutton+simpl/videomedia/video/smaller.mp4": 0, "v-iashin+video_features/sample/v_GGSY1Qvo990.mp4": 0,
    },
    photographs=("astronaut", "coffee", "chelsea", "rocket"),
)  # fmt: skip
HELD_OUT = Sources(
    videos={
        "Zulko+moviepy/media/big_buck_bunny_0_30.webm": 18, "chouliuzuo+GVMGen/examples_of_results/21.mp4": 8.5,
        "chouliuzuo+GVMGen/examples_of_results/25.mp4": 8.5, "chouliuzuo+GVMGen/examples_of_results/27.mp4": 8.5,
        "chouliuzuo+GVMGen/examples_of_results/28.mp4": 8.5, "chouliuzuo+GVMGen/examples_of_results/30.mp4": 8.5,
        "mdn+dom-examples/canvas/chroma-keying/media/video.mp4": 14, "samdutton+simpl/av1/video/vp9_562.webm": 8.5,
        "samdutton+simpl/video/video/small.webm": 20, "samdutton+simpl/videomedia/video/smaller.mp4": 20,
        "v-iashin+video_features/sample/v_GGSY1Qvo990.mp4": 9, "pytorch+torchcodec/test/resources/nasa_13013.mp4": 8.5,
        "Zulko+moviepy/media/doc_medias/example3.mp4": 0, "Zulko+moviepy/media/fire2.mp4": 0,
        f"{MEDIA3}/mp4/sample_sef_slow_motion.mp4": 0, f"{MEDIA3}/mp4/sample_shorter_audio.mp4": 0,
        f"{MEDIA3}/vp9/bear-vp9.webm": 0, "intel-iot-devkit+sample-videos/asl_gestures/brother.mkv": 0,
        "mdn+learning-area/accessibility/multimedia/rabbit320.mp4": 0,
    },
    photographs=("camera", "coins", "hubble_deep_field", "immunohistochemistry", "moon", "retina", "stereo_motorcycle"),
    films=("mandelbrot=s=480x270", "testsrc2=s=480x270", "gradients=s=480x270:seed=1", "sierpinski=s=480x270:seed=1"),
)  # fmt: skip
SMOOTH = Sources(  # seeds and forms that nothing was chosen on; all move, some look like one another
    videos={}, photographs=(),
    films=(
        *(f"gradients=s=480x270:seed={seed}:speed=0.015" for seed in range(701, 707)),
        *(f"gradients=s=480x270:seed={seed}:speed=0.02:n=5" for seed in range(711, 714)),
        *(f"gradients=s=480x270:seed=721:speed=0.03:type={form}" for form in ("radial", "circular", "spiral")),
        *(
            f"nullsrc=s=480x270:r=25,geq=lum='120+50*sin(X/{a}+T)+40*cos(Y/{b}-{c}*T)+25*sin((X-Y)/{a + b}+T)':cb=128:cr=120"
            for a, b, c in ((55, 45, 1.2), (80, 40, 0.7), (65, 75, 1.6))
        ),
        *(
            f"nullsrc=s=480x270:r=25,geq=lum='30+180*exp(-(pow(X-240-130*cos({a}*T),2)+pow(Y-135-70*sin({b}*T),2))/{c})':cb=110:cr=128"
            for a, b, c in ((0.9, 1.3, 7000), (1.2, 0.8, 12000), (0.7, 1.1, 9000))
        ),
    ),
)  # fmt: skip
