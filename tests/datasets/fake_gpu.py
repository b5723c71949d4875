"""Stand-ins with the signatures of CuPy, nvImageCodec 0.9 and PyNvVideoCodec 2.2; they decode on the CPU."""

import ctypes
import io
from enum import IntEnum
from types import ModuleType, SimpleNamespace

import numpy as np


def cupy(log, devices=1):
    """NumPy under CuPy's names; what is done to streams is written to ``log``."""
    made = ModuleType("cupy")
    for name in ("empty", "asarray", "ascontiguousarray"):
        setattr(made, name, getattr(np, name))
    made.from_dlpack = lambda image: image.pixels

    class Stream:
        def __init__(self, non_blocking=False):
            self.ptr = 7 if non_blocking else 0
            self.name = "own" if non_blocking else "current"

        def record(self):
            log.append(f"{self.name} records")
            return self.name

        def wait_event(self, event):
            log.append(f"{self.name} waits for {event}")

        def __enter__(self):
            log.append(f"enter {self.name}")
            return self

        def __exit__(self, *error):
            log.append(f"leave {self.name}")

    class Device:
        def __init__(self, number=0):
            self.id = int(number)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

    runtime = SimpleNamespace(getDeviceCount=lambda: devices, runtimeGetVersion=lambda: 13000)
    made.cuda = SimpleNamespace(Stream=Stream, Device=Device, get_current_stream=Stream, runtime=runtime)
    return made


class ColorSpec(IntEnum):
    SRGB = 1
    GRAY = 2


def nvimgcodec(log):
    """As ``nvidia.nvimgcodec``; JPEG is decoded by Pillow, and what it cannot decode is None."""
    import simplejpeg
    from PIL import Image

    made = ModuleType("nvidia.nvimgcodec")

    class CodeStream:
        def __init__(self, data, bitstream_offset=None):
            assert isinstance(data, bytes)
            try:
                self.height, self.width, space, _ = simplejpeg.decode_jpeg_header(data)
            except ValueError as error:
                raise RuntimeError("Failed to get image info") from error
            self.num_channels = 1 if space == "Gray" else 3
            self.data = data

    class DecodeParams:
        def __init__(self, apply_exif_orientation=True, color_spec=ColorSpec.SRGB, allow_any_depth=False):
            self.color_spec = color_spec
            assert not apply_exif_orientation  # the CPU decoder does not turn pictures either
            assert not allow_any_depth

    class Decoder:
        def __init__(self, device_id=-1, max_num_cpu_threads=0, backends=None, options=""):
            log.append(("Decoder", device_id, [kind for (kind,) in backends], options))

        def decode(self, srcs, *, images=None, params=None, cuda_stream=0):
            assert images is None
            log.append(("decode", len(srcs), params.color_spec.name, cuda_stream))
            return [self._one(src.data, "RGB" if params.color_spec is ColorSpec.SRGB else "L") for src in srcs]

        def _one(self, data, mode):
            try:
                with Image.open(io.BytesIO(data)) as image:
                    found = np.asarray(image.convert(mode))
            except (OSError, SyntaxError):
                return None
            padded = np.zeros((found.shape[0], found.shape[1] + 5, 3 if mode == "RGB" else 1), np.uint8)
            padded[:, : found.shape[1]] = found.reshape(*found.shape[:2], -1)
            return SimpleNamespace(pixels=padded[:, : found.shape[1]])

    made.CodeStream, made.DecodeParams, made.Decoder, made.ColorSpec = CodeStream, DecodeParams, Decoder, ColorSpec
    made.Backend = lambda backend_kind, load_hint=1.0, load_hint_policy=2: (backend_kind,)
    made.BackendKind = SimpleNamespace(GPU_ONLY="GPU_ONLY", HYBRID_CPU_GPU="HYBRID_CPU_GPU")
    package = ModuleType("nvidia")
    package.nvimgcodec, package.__path__ = made, []
    made.__spec__ = package.__spec__ = SimpleNamespace(submodule_search_locations=[])
    return {"nvidia": package, "nvidia.nvimgcodec": made}


class VideoPacketFlag(IntEnum):
    ENDOFSTREAM = 1


class PacketData:
    def __init__(self):
        self.bsl = self.bsl_data = self.pts = self.dts = self.decode_flag = 0


class PyNvVCException(Exception):
    pass


class PyNvVCExceptionUnsupported(Exception):
    pass


CAPS = {"supported": 1, "width_min": 16, "width_max": 8192, "height_min": 16, "height_max": 8192}


def pynvvideocodec(log, caps=CAPS):
    """As ``PyNvVideoCodec``: packets by address, surfaces by address, each good until the next packet."""
    import av

    made = ModuleType("PyNvVideoCodec")

    class Decoder:
        def __init__(self, codec):
            self._codec, self._surfaces = codec, []
            self._begin()

        def _begin(self):
            self._context = av.CodecContext.create({"H264": "h264", "AV1": "libdav1d"}[self._codec], "r")

        def Decode(self, packet):
            for old in self._surfaces:
                old[...] = 255  # what is read too late is seen
            if packet.bsl:
                assert packet.decode_flag == 0
                given = av.Packet(ctypes.string_at(packet.bsl_data, packet.bsl))
                given.pts = given.dts = packet.pts
                frames = self._context.decode(given)
            else:
                assert packet.decode_flag == VideoPacketFlag.ENDOFSTREAM
                frames = self._context.decode(None)
                self._begin()
            log.append(("Decode", packet.bsl > 0, [frame.pts for frame in frames]))
            return [self._surface(frame) for frame in frames]

        def _surface(self, frame):
            height, width = frame.height, frame.width
            memory = np.ascontiguousarray(frame.to_ndarray(format="nv12"))
            self._surfaces.append(memory)
            start = memory.ctypes.data
            views = [
                SimpleNamespace(shape=[height, width, 1], stride=[width, 1, 1], dataptr=start),
                SimpleNamespace(
                    shape=[height // 2, width // 2, 2], stride=[width, 2, 1], dataptr=start + height * width
                ),
            ]
            return SimpleNamespace(timestamp=frame.pts, cuda=lambda: views)

    def create(
        gpuid=0, codec="H264", cudacontext=0, cudastream=0, usedevicememory=0, maxwidth=0, maxheight=0,
        outputColorType=0, enableSEIMessage=0, bWaitForSessionWarmUp=0, latency=0, enableDecodeStats=0,
    ):  # fmt: skip
        assert (usedevicememory, outputColorType) == (True, "NATIVE")
        log.append(("CreateDecoder", gpuid, codec, cudastream))
        return Decoder(codec)

    made.CreateDecoder = create
    made.GetDecoderCaps = lambda gpuid=0, codec="H264", chromaformat="420", bitdepth=8: dict(caps)
    made.cudaVideoChromaFormat = SimpleNamespace(**{"420": "420"})
    made.cudaVideoCodec = SimpleNamespace(H264="H264", AV1="AV1")
    made.OutputColorType = SimpleNamespace(NATIVE="NATIVE")
    made.PacketData, made.VideoPacketFlag = PacketData, VideoPacketFlag
    made.PyNvVCException, made.PyNvVCExceptionUnsupported = PyNvVCException, PyNvVCExceptionUnsupported
    made.__spec__ = SimpleNamespace()
    return {"PyNvVideoCodec": made}


def plane(pointer, height, width, pitch):
    """Memory at an address as an array."""
    rows = np.ctypeslib.as_array((ctypes.c_uint8 * (height * pitch)).from_address(pointer)).reshape(height, pitch)
    return rows[:, :width]
