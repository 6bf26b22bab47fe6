"""Photographs: samples that are always there, CIFAR-10, and the learner's own picture or folder of pictures.

Every function returns images as everywhere in the course: (N, 3, height, width), red, green, blue, float32
in [0, 1] unless uint8 is asked for. Only `cifar10` ever uses the network, and only when CIFAR-10 is neither
in the folder ``$VIZCOURSE_DATA`` nor downloaded already.
"""

import hashlib
import importlib.util
import io
import os
import socket
import tempfile
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.nn import functional
from tqdm.auto import tqdm

from vizcourse.worlds.checking import picture_type, whole

MAX_BYTES = 50_000_000
MAX_PIXELS = 64_000_000  # more than any telephone takes; 192 MB once decoded
MAX_SIDE = 1024  # a picture whose size was not asked for is not larger than this
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

_TIMEOUT = 10  # seconds without an answer before a download is given up
_HOW_TO_GET_CIFAR10 = (
    "connect to the network and call photos.cifar10(download=True), or set $VIZCOURSE_DATA to a folder that "
    "holds cifar10/train/<class>/*.jpg and cifar10/test/<class>/*.jpg"
)


class PhotosUnavailable(RuntimeError):
    """Photographs are neither on this computer nor could they be downloaded; the message says what to do."""


# ------------------------------------------------------------------------------------ the learner's picture


def load(file, size: int | None = None, *, square: bool = True) -> torch.Tensor:
    """The learner's own picture, (1, 3, height, width), float32 in [0, 1].

    JPEG, PNG, WebP and GIF (first frame) of any colour mode. It is turned as its orientation tag says, and
    what is transparent becomes white.

    Args:
        file: a path, the file's bytes, an open binary file, or the value of an ipywidgets ``FileUpload`` as
            versions 7 and 8 give it (of several files, the last).
        size: pixels of the longer side; None leaves the picture as it is, down to at most `MAX_SIDE`.
        square: cut out the square in the middle first.

    Raises:
        ValueError: one sentence, when it is no such picture, is damaged, has more than `MAX_BYTES` bytes or
            more than `MAX_PIXELS` pixels. The pixels are counted from the header, before any is decoded.
    """
    if size is not None:
        whole("size", size, 8, 4096, of="pixels", instead="None")
    name, content = _read(file)
    image = _open(name, content)
    return _to_tensor(_fit(_decode(name, image, size), size, square))


def _read(file) -> tuple[str, bytes]:
    """A name for messages, and the bytes."""
    file = getattr(file, "value", file)  # the upload control itself
    if isinstance(file, bytes | bytearray | memoryview):
        return "the picture", _limited("the picture", bytes(file))
    if isinstance(file, str | os.PathLike):
        return _read_path(Path(file).expanduser(), str(file))
    if hasattr(file, "read"):
        return "the picture", _limited("the picture", file.read(MAX_BYTES + 1))
    if isinstance(file, dict) and "content" not in file:  # ipywidgets 7: {name: {"content": …}}
        file = [{"name": name, **entry} for name, entry in file.items() if isinstance(entry, dict)]
    if isinstance(file, tuple | list):  # ipywidgets 8: ({"name": …, "content": …}, …)
        if not file:
            raise ValueError("no picture has been uploaded yet: choose a file first")
        file = file[-1]
    if isinstance(file, dict) and isinstance(file.get("content"), bytes | bytearray | memoryview):
        name = str(file.get("name") or "the picture")
        return name, _limited(name, bytes(file["content"]))
    raise ValueError(f"a picture must be a path, bytes or the value of a FileUpload control, not {type(file).__name__}")


def _read_path(path: Path, given: str) -> tuple[str, bytes]:
    name = path.name or given
    if given.startswith(("http:", "https:")):
        raise ValueError(f"{given} is an address: download the picture first, then give the path of the file")
    if path.is_dir():
        raise ValueError(f"{given} is a folder: give the path of a picture in it")
    try:
        if not path.is_file():
            raise ValueError(f"there is no file {given}: check the path")
        if path.stat().st_size > MAX_BYTES:
            return name, _limited(name, bytes(MAX_BYTES + 1))
        return name, _limited(name, path.read_bytes())
    except OSError as error:
        raise ValueError(f"{given} cannot be read ({error.strerror}): check the path and permissions") from None


def _limited(name: str, content: bytes) -> bytes:
    if not content:
        raise ValueError(f"{name} is empty: choose another picture")
    if len(content) > MAX_BYTES:
        raise ValueError(f"{name} is larger than {MAX_BYTES // 1_000_000} MB: make the picture smaller and try again")
    return content


@contextmanager
def _without_pillows_bomb_warning():
    """Pillow warns above its own limit on pixels; here a sentence of ours says it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _open(name: str, content: bytes) -> Image.Image:
    """The picture with its header read and nothing decoded."""
    too_large = ValueError(
        f"{name} has more than {MAX_PIXELS // 1_000_000} million pixels: make it smaller and try again"
    )
    try:
        with _without_pillows_bomb_warning():
            # MPO is what many telephones write into a .jpg: a JPEG with a second one behind.
            image = Image.open(io.BytesIO(content), formats=(*FORMATS, "MPO"))
    except Image.DecompressionBombError:
        raise too_large from None
    except Exception:  # a damaged header raises almost anything
        raise ValueError(
            f"{name} is not a JPEG, PNG, WebP or GIF picture, or its beginning is damaged: save it as JPEG or PNG"
        ) from None
    if image.width * image.height > MAX_PIXELS:
        raise too_large
    return image


def _decode(name: str, image: Image.Image, size: int | None) -> Image.Image:
    """The first frame, upright, as RGB."""
    try:
        with _without_pillows_bomb_warning():
            if size is not None:
                image.draft(None, (size, size))  # a large JPEG is decoded straight at a half, quarter or eighth
            image.load()
            image = _upright(image)
            return _as_rgb(image)
    except Exception:  # decoders raise OSError, SyntaxError, EOFError, struct.error, MemoryError …
        raise ValueError(f"{name} is damaged or cut short: save it again, or choose another picture") from None


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a damaged orientation tag is no reason to refuse the picture
        return image


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey; Pillow's own conversion would clip them
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _fit(image: Image.Image, size: int | None, square: bool) -> Image.Image:
    """Cut out the middle square if wanted, and bring the longer side to ``size``."""
    if square:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    longer = max(image.size)
    scale = (min(longer, MAX_SIDE) if size is None else size) / longer
    if scale == 1:
        return image
    wanted = tuple(max(1, round(side * scale)) for side in image.size)
    return image.resize(wanted, Image.Resampling.BICUBIC)


def _to_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255


# ------------------------------------------------------------------------------------------ sample photographs

_SAMPLES = {  # name: file inside scikit-image, in colour, what it shows
    "astronaut": ("astronaut.png", True, "An astronaut in an orange suit, smiling, in front of a shuttle model"),
    "cat": ("chelsea.png", True, "The face of a ginger tabby cat"),
    "coffee": ("coffee.png", True, "A cup of coffee on a saucer with a spoon, on a wooden table"),
    "rocket": ("rocket.jpg", True, "A rocket on its launch pad at dusk, between lightning towers"),
    "motorcycle": ("motorcycle_left.png", True, "A red motorcycle standing in a workshop"),
    "galaxies": ("hubble_deep_field.jpg", True, "Hundreds of galaxies on a black sky"),
    "retina": ("retina.jpg", True, "The inside of a human eye with its blood vessels"),
    "tissue": ("ihc.png", True, "Stained tissue under a microscope, brown and blue"),
    "camera": ("camera.png", False, "A man in a coat with a camera on a tripod, in grey"),
    "coins": ("coins.png", False, "Rows of ancient coins, in grey"),
    "moon": ("moon.png", False, "The surface of the moon with craters, in grey"),
    "brick": ("brick.png", False, "A brick wall, in grey"),
    "grass": ("grass.png", False, "Grass from close by, in grey"),
    "gravel": ("gravel.png", False, "Gravel from close by, in grey"),
}


@dataclass(frozen=True)
class Sample:
    """A photograph that is always there; call it to load it.

    Attributes:
        name, caption: what it is called, and one line for an alternative text.
        colour: whether it is in colour.
        path: the file.
    """

    name: str
    caption: str
    colour: bool
    path: Path

    def __call__(self, size: int | None = 224, *, square: bool = True) -> torch.Tensor:
        """The photograph, (1, 3, size, size), float32 in [0, 1]; arguments as in `load`."""
        return load(self.path, size, square=square)


def samples(*, grey: bool = False) -> dict[str, Sample]:
    """Photographs that come inside the scikit-image package, by name: ``samples()["cat"](size=96)``.

    Nothing is downloaded, and nothing is read before a sample is called. With ``grey``, those without
    colours are listed too. One that the installed scikit-image lacks is left out.
    """
    # Looked up rather than imported: importing scikit-image takes much longer than reading a photograph.
    found = importlib.util.find_spec("skimage")
    folder = Path(found.origin).parent / "data" if found and found.origin else Path()
    listed = {}
    for name, (file, colour, caption) in _SAMPLES.items():
        path = folder / file
        if (colour or grey) and found and path.is_file():
            listed[name] = Sample(name, caption, colour, path)
    return listed


class Gallery(NamedTuple):
    """Images (N, 3, size, size), what each is called (N), and in words where they come from."""

    images: torch.Tensor
    names: tuple[str, ...]
    source: str


def gallery(size: int = 224, *, limit: int | None = None, folder: str | os.PathLike | None = None) -> Gallery:
    """Photographs to show a network of photographs: the learner's own folder, else the samples in colour.

    A folder is searched with all folders in it, so that any ImageFolder will do. Photographs are called by their file, or
    by their folder where they stand in one. What cannot be read is left out, and a warning names it.

    Args:
        size: height and width; the middle square of each photograph.
        limit: at most so many, evenly from the sorted list.
        folder: where to look; ``$VIZCOURSE_PHOTOS`` when not given, and the samples of scikit-image when that is not set.

    Raises:
        ValueError: the folder is not there or holds no photograph that can be read.
    """
    whole("size", size, 8, 1024, of="pixels")
    if limit is not None:
        whole("limit", limit, 1, instead="None for all")
    named = folder or os.environ.get("VIZCOURSE_PHOTOS")
    if not named:
        found = list(samples().values())
        found = [found[number] for number in _evenly(len(found), limit)]
        if not found:
            raise ValueError("scikit-image's photographs are not here: set $VIZCOURSE_PHOTOS to a folder of photographs")
        images = torch.cat([sample(size) for sample in found])
        return Gallery(images, tuple(sample.name for sample in found), "scikit-image's samples")
    root = Path(named).expanduser()
    if not root.is_dir():
        raise ValueError(f"there is no folder {named}: set $VIZCOURSE_PHOTOS to a folder of photographs, or unset it")
    endings = {f".{kind.lower()}" for kind in FORMATS} | {".jpg"}
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in endings and path.is_file())
    images, names, damaged = [], [], []
    for number in _evenly(len(files), limit):
        try:
            images.append(load(files[number], size))
        except ValueError:
            damaged.append(files[number].name)
        else:
            own = files[number].parent.name if files[number].parent != root else files[number].stem
            names.append(own.replace("_", " "))
    if damaged:
        warnings.warn(f"left out, since they cannot be read: {', '.join(damaged[:5])}{' …' * (len(damaged) > 5)}", stacklevel=2)
    if not images:
        raise ValueError(f"the folder {named} has no photograph that can be read: JPEG, PNG, WebP or GIF")
    return Gallery(torch.cat(images), tuple(names), f"{len(images)} photographs of {root.name}")


def _evenly(count: int, limit: int | None) -> list[int]:
    """At most so many numbers below ``count``, as far apart as they can be."""
    wanted = min(count, limit or count)
    return [number * count // wanted for number in range(wanted)]


# ---------------------------------------------------------------------------------------------------- CIFAR-10


class Photographs(NamedTuple):
    """Images (N, 3, height, width), labels (N,), and the names of the classes."""

    images: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]


def _cache_folder() -> Path:
    return Path(os.environ.get("VIZCOURSE_CACHE") or Path.home() / ".cache" / "vizcourse")


def _tree(split: str) -> Path | None:
    """``$VIZCOURSE_DATA/cifar10/<split>``, if it is there."""
    root = os.environ.get("VIZCOURSE_DATA")
    path = Path(root).expanduser() / "cifar10" / split if root else None
    return path if path and path.is_dir() else None


def _downloaded() -> Path | None:
    """The folder in which torchvision's copy of CIFAR-10 stands, if there is one."""
    root = os.environ.get("VIZCOURSE_DATA")
    candidates = [Path(root).expanduser()] if root else []
    for folder in (*candidates, _cache_folder()):
        if (folder / "cifar-10-batches-py" / "batches.meta").is_file():
            return folder
    return None


def available() -> dict[str, str | None]:
    """What is on this computer, without loading it and without the network: for the set-up line.

    Returns:
        "samples": how many sample photographs, in words; "cifar10": where CIFAR-10 would be taken from, or
        None; where ``$VIZCOURSE_PHOTOS`` is set, "your own": its folder. ``$VIZCOURSE_DATA`` counts when it holds the test
        photographs.
    """
    number = len(samples())
    cifar10_from = "$VIZCOURSE_DATA" if _tree("test") else "downloaded" if _downloaded() else None
    found = {"samples": f"{number} sample photographs" if number else None, "cifar10": cifar10_from}
    own = os.environ.get("VIZCOURSE_PHOTOS")
    return found | {"your own": own if Path(own).expanduser().is_dir() else None} if own else found


def cifar10(
    split: str = "test",
    limit: int | None = None,
    *,
    size: int | None = None,
    dtype: torch.dtype = torch.float32,
    download: bool | None = None,
) -> Photographs:
    """CIFAR-10 (Krizhevsky 2009): small photographs of ten classes, 50,000 for training and 10,000 for test.

    Taken from the folders ``$VIZCOURSE_DATA/cifar10/{train,test}/<class>/`` if they are there, else from
    torchvision's download. The folders are decoded once and kept in one file beside them (or in the user's
    cache folder, where that cannot be written), which is made anew when a photograph changes.

    Args:
        split: "train" or "test".
        limit: only the first so many. The classes come in turn, so any number is balanced.
        size: height and width, if not 32 (bilinear).
        dtype: torch.float32 for [0, 1], torch.uint8 for 0 to 255.
        download: None tries the network once a session, True tries again, False never does.

    Raises:
        PhotosUnavailable: when CIFAR-10 is not there and cannot be downloaded.
    """
    if split not in ("train", "test"):
        raise ValueError(f'split must be "train" or "test", not {split!r}')
    if limit is not None:
        whole("limit", limit, 1, instead="None for all")
    if size is not None:
        whole("size", size, 8, 512, of="pixels", instead="None for 32")
    picture_type(dtype)

    tree = _tree(split)
    pixels, numbers = _from_tree(tree, limit) if tree else _from_torchvision(split, limit, download)
    images, labels = torch.from_numpy(pixels), torch.from_numpy(numbers.astype(np.int64))
    if dtype == torch.float32:
        images = images.float() / 255
    if size is not None and size != images.shape[-1]:
        resized = functional.interpolate(images.float(), size=(size, size), mode="bilinear", antialias=True)
        images = resized.round().clamp(0, 255).to(dtype) if dtype == torch.uint8 else resized.clamp(0, 1)
    return Photographs(images, labels, CIFAR10_CLASSES)


def _classes_in_turn(labels: np.ndarray) -> np.ndarray:
    """An order in which the first of every class come first, then the second of every class, and so on."""
    turn = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        mine = labels == label
        turn[mine] = np.arange(mine.sum())
    return np.lexsort((labels, turn))


def _from_tree(tree: Path, limit: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 3, 32, 32) uint8 and labels (N,) of a folder of folders, through the cache."""
    files = []
    for label, name in enumerate(CIFAR10_CLASSES):
        try:
            entries = sorted(os.scandir(tree / name), key=lambda entry: entry.name)
        except OSError:
            raise PhotosUnavailable(
                f"the CIFAR-10 folder {tree} has no readable folder {name!r}: unpack it again"
            ) from None
        files += [(label, entry) for entry in entries if entry.name.lower().endswith((".jpg", ".jpeg", ".png"))]
    if not files:
        raise PhotosUnavailable(f"the CIFAR-10 folder {tree} has no photographs in it: unpack it again")

    labels = np.array([label for label, _ in files], dtype=np.uint8)
    order = _classes_in_turn(labels)[:limit]

    # Names, sizes and dates tell whether the cache still holds these files.
    print_of_files = hashlib.sha256()
    for label, entry in files:
        status = entry.stat()
        print_of_files.update(f"{label}/{entry.name}/{status.st_size}/{status.st_mtime_ns}\n".encode())
    fingerprint = print_of_files.hexdigest()

    place = hashlib.sha256(str(tree.resolve()).encode()).hexdigest()[:16]
    caches = [tree.parent / f".vizcourse-{tree.name}.npz", _cache_folder() / f"cifar10-{tree.name}-{place}.npz"]
    for cache in caches:
        pixels = _read_cache(cache, fingerprint)
        if pixels is not None:
            return pixels[order], labels[order]
    few = len(order) <= len(files) // 4  # then decoding the others would only keep the learner waiting
    wanted = order if few else np.arange(len(files))
    pixels = np.stack([
        _decode_small(tree, Path(files[position][1].path))
        for position in tqdm(wanted, f"CIFAR-10 {tree.name}", unit="photo", disable=len(wanted) < 5000)
    ])  # fmt: skip
    if few:
        return pixels, labels[order]
    for cache in caches:
        if _write_cache(cache, pixels=pixels, fingerprint=np.array(fingerprint)):
            break
    return pixels[order], labels[order]


def _decode_small(tree: Path, path: Path) -> np.ndarray:
    """One photograph of a tree, (3, 32, 32) uint8."""
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except Exception:
        raise PhotosUnavailable(f"{path} is damaged: unpack the CIFAR-10 folder again") from None
    if pixels.shape != (32, 32, 3):
        raise PhotosUnavailable(f"{path} is not 32 by 32 pixels: {tree} does not hold CIFAR-10")
    return pixels.transpose(2, 0, 1)


def _read_cache(cache: Path, fingerprint: str) -> np.ndarray | None:
    try:
        with np.load(cache, allow_pickle=False) as kept:
            if str(kept["fingerprint"]) == fingerprint:
                return kept["pixels"]
    except Exception:  # not there, or damaged: it is made anew
        pass
    return None


def _write_cache(cache: Path, **arrays: np.ndarray) -> bool:
    """Write beside it and rename, so that a reader never meets half a file. False where writing fails."""
    partial = None
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=cache.parent, prefix=cache.name, suffix=".partial")
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, **arrays)
        os.chmod(partial, 0o644)  # a classroom shares the folder
        os.replace(partial, cache)
        return True
    except OSError:
        if partial:
            Path(partial).unlink(missing_ok=True)
        return False


_download_failed: str | None = None


def _from_torchvision(split: str, limit: int | None, download: bool | None) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 3, 32, 32) uint8 and labels (N,) of torchvision's copy, downloading it where allowed."""
    global _download_failed
    from torchvision.datasets import CIFAR10  # late: importing it takes seconds

    folder = _downloaded()
    if folder is None:
        if download is False:
            raise PhotosUnavailable(f"CIFAR-10 is not on this computer: {_HOW_TO_GET_CIFAR10}")
        if _download_failed and download is None:
            raise PhotosUnavailable(_download_failed)
        folder = _cache_folder()
        _download(lambda: CIFAR10(str(folder), download=True))
    try:
        data = CIFAR10(str(folder), train=split == "train", download=False)
    except Exception:
        raise PhotosUnavailable(
            f"the CIFAR-10 in {folder / 'cifar-10-batches-py'} is damaged: delete that folder and try again"
        ) from None
    labels = np.array(data.targets, dtype=np.uint8)
    order = _classes_in_turn(labels)[:limit]
    return np.ascontiguousarray(data.data[order].transpose(0, 3, 1, 2)), labels[order]


def _download(fetch: Callable[[], object]) -> None:
    """Run a download that gives up when the other side is silent; remember that it failed."""
    global _download_failed
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)
    try:
        fetch()
        _download_failed = None
    except Exception as error:
        cause = getattr(error, "reason", None)  # what urllib's own error wraps
        reason = (getattr(cause, "strerror", None) or str(cause or error) or type(error).__name__).splitlines()[0]
        _download_failed = f"CIFAR-10 could not be downloaded ({reason}): {_HOW_TO_GET_CIFAR10}"
        raise PhotosUnavailable(_download_failed) from None
    finally:
        socket.setdefaulttimeout(before)
