import io
import os
import socket
import struct
import subprocess
import sys
import time
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from vizcourse.worlds import photos

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image, file_format="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def flat(colour, mode="RGB", size=(16, 16)):
    return Image.new(mode, size, colour)


def middle(tensor):
    """The colour in the middle, 0 to 255."""
    return (tensor[0, :, tensor.shape[2] // 2, tensor.shape[3] // 2] * 255).round().int().tolist()


def png_header(width, height):
    """A PNG that promises width x height pixels and holds none."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


# ------------------------------------------------------------------------------------------ formats, modes


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "GIF"])
def test_every_format_gives_its_colour(file_format):
    options = {"quality": 100} if file_format == "JPEG" else {"lossless": True} if file_format == "WEBP" else {}
    image = photos.load(encoded(flat((200, 40, 90)), file_format, **options))
    assert image.shape == (1, 3, 16, 16) and image.dtype == torch.float32
    assert np.abs(np.subtract(middle(image), (200, 40, 90))).max() <= 2


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (flat(128, "L"), (128, 128, 128)),
        (flat(1, "1"), WHITE),
        (flat(RED).convert("P"), RED),
        (flat((0, 0, 0, 0), "RGBA"), WHITE),
        (flat((255, 0, 0, 128), "RGBA"), (255, 127, 127)),
        (flat((0, 128), "LA"), (127, 127, 127)),
        (Image.fromarray(np.full((16, 16), 0x8000, dtype=np.uint16)), (128, 128, 128)),
        (Image.fromarray(np.full((16, 16), 0xFFFF, dtype=np.uint16)), WHITE),
    ],
    ids=["grey", "one bit", "palette", "clear", "half clear", "grey half clear", "16 bit half", "16 bit white"],
)
def test_every_colour_mode_becomes_rgb(image, colour):
    assert np.abs(np.subtract(middle(photos.load(encoded(image))), colour)).max() <= 1


def test_cmyk_jpeg():
    image = photos.load(encoded(flat((0, 255, 255, 0), "CMYK"), "JPEG", quality=100))
    assert np.abs(np.subtract(middle(image), RED)).max() <= 3


def test_a_transparent_palette_entry_becomes_white():
    image = flat(0, "P")
    image.putpalette([10, 20, 30, 255, 0, 0])
    for file_format in ("PNG", "GIF"):
        assert middle(photos.load(encoded(image, file_format, transparency=0))) == [255, 255, 255]


def test_first_frame_of_a_gif():
    frames = [flat(colour) for colour in (GREEN, RED, BLUE)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    assert middle(photos.load(content)) == list(GREEN)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_tag_ends_upright(orientation):
    """One picture with a red top left corner, stored in each of the eight ways: always the same."""
    upright = flat(WHITE, size=(32, 16))
    upright.paste(RED, (0, 0, 8, 8))
    upright.paste(BLUE, (24, 8, 32, 16))
    # The inverse of what the tag tells the reader to do.
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)  # fmt: skip
    tag = Image.Exif()
    tag[0x0112] = orientation
    image = photos.load(encoded(upright.transpose(stored) if stored is not None else upright, exif=tag), square=False)
    assert torch.equal(image, photos.load(encoded(upright), square=False))


# -------------------------------------------------------------------------------------------------- sizes


def test_the_square_is_cut_from_the_middle():
    image = flat(RED, size=(60, 20))
    image.paste(BLUE, (20, 0, 40, 20))
    loaded = photos.load(encoded(image))
    assert loaded.shape == (1, 3, 20, 20) and (loaded[0, 2] == 1).all() and (loaded[0, 0] == 0).all()


@pytest.mark.parametrize("given", [(60, 20), (20, 60), (7, 5000)])
def test_longer_side_is_the_size_when_not_square(given):
    loaded = photos.load(encoded(flat(RED, size=given)), 32, square=False)
    assert max(loaded.shape[2:]) == 32 and (loaded.shape[2] > loaded.shape[3]) == (given[1] > given[0])
    assert middle(loaded) == list(RED)


def test_a_size_is_exact_and_large_pictures_are_capped():
    assert photos.load(encoded(flat(RED, size=(50, 31))), 96).shape == (1, 3, 96, 96)
    assert photos.load(encoded(flat(RED, size=(3000, 1000))), square=False).shape == (1, 3, 341, 1024)


def test_a_large_jpeg_is_decoded_small_and_is_still_right():
    image = flat(RED, size=(4000, 3000))
    image.paste(BLUE, (2000, 0, 4000, 3000))
    loaded = photos.load(encoded(image, "JPEG"), 64)
    assert loaded[0, 0, :, :28].min() > 0.95 and loaded[0, 2, :, 36:].min() > 0.95


# ----------------------------------------------------------------------------------------- ways to give it


def test_path_bytes_stream_and_both_upload_forms_are_the_same_picture(tmp_path):
    content = encoded(flat((10, 20, 30)))
    path = tmp_path / "mine.png"
    path.write_bytes(content)
    seven = {"mine.png": {"metadata": {"name": "mine.png", "size": len(content)}, "content": content}}
    eight = ({"name": "mine.png", "type": "image/png", "size": len(content), "content": memoryview(content)},)

    class Upload:
        value = eight

    wanted = photos.load(content)
    for given in (path, str(path), bytearray(content), memoryview(content), io.BytesIO(content), seven, eight,
                  list(eight), eight[0], Upload()):  # fmt: skip
        assert torch.equal(photos.load(given), wanted)


def test_the_last_of_several_uploads_counts():
    contents = [encoded(flat(colour)) for colour in (RED, BLUE)]
    assert middle(photos.load(tuple({"name": "a", "content": content} for content in contents))) == list(BLUE)


def test_the_wrong_ending_does_not_matter(tmp_path):
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(encoded(flat(RED)))
    assert middle(photos.load(path)) == list(RED)


# ------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (b"", "is empty"),
        (b"I am a text, not a picture. " * 40, "is not a JPEG, PNG, WebP or GIF"),
        (b"\x89PNG\r\n\x1a\n", "is not a JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a JPEG"),
        (encoded(flat(RED, size=(64, 64)), "BMP"), "is not a JPEG"),
        (encoded(flat(RED, size=(64, 64)), "TIFF"), "is not a JPEG"),
        (png_header(30_000, 30_000), "more than 64 million pixels"),
        (png_header(10_000, 9_500), "more than 64 million pixels"),
        (png_header(0, 10), "damaged"),
        (png_header(100, 100), "damaged or cut short"),
        ((), "no picture has been uploaded"),
        ({}, "no picture has been uploaded"),
        (({"name": "a"},), "a picture must be"),
        (17, "a picture must be a path"),
        (None, "a picture must be a path"),
        ("https://example.org/cat.jpg", "download the picture first"),
        ("no/such/cat.jpg", "there is no file no/such/cat.jpg"),
        ("a\0b", "cannot be read|there is no file"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_sentence(given, message):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=message) as caught:
            photos.load(given)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 160


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_picture_cut_short_is_refused(file_format):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    content = encoded(noise, file_format)
    for part in (0.02, 0.3, 0.6):
        with pytest.raises(ValueError, match="damaged"):
            photos.load(content[: int(len(content) * part)])


def test_garbage_inside_a_picture_never_escapes_as_anything_but_a_value_error():
    rng = np.random.default_rng(0)
    for file_format in ("PNG", "JPEG", "WEBP", "GIF"):
        content = np.frombuffer(encoded(flat((1, 2, 3), size=(24, 24)), file_format), dtype=np.uint8)
        for _ in range(60):
            broken = content.copy()
            broken[rng.integers(0, len(broken), 4)] = rng.integers(0, 256, 4)
            try:
                assert photos.load(broken.tobytes()).isfinite().all()
            except ValueError as error:
                assert str(error).startswith("the picture ")


def test_a_folder_and_a_file_with_too_many_bytes(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="is a folder"):
        photos.load(tmp_path)
    monkeypatch.setattr(photos, "MAX_BYTES", 1_000_000)
    path = tmp_path / "long.png"
    path.write_bytes(b"x" * 1_000_001)
    content = path.read_bytes()
    for given in (path, content, io.BytesIO(content), ({"name": "u", "content": content},)):
        with pytest.raises(ValueError, match="larger than 1 MB"):
            photos.load(given)


def test_a_bomb_is_refused_from_its_header(tmp_path):
    """A whole, valid 30,000 x 30,000 PNG (900 million pixels in about 110 kB) is not decoded."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + 30_000 // 8)
    data = b"".join(packer.compress(row) for _ in range(30_000)) + packer.flush()
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    begin = time.perf_counter()
    with pytest.raises(ValueError, match="bomb.png has more than 64 million pixels"):
        photos.load(path)
    assert time.perf_counter() - begin < 0.5


@pytest.mark.parametrize("size", [0, -4, 1.5, "big", 100_000])
def test_sizes_out_of_range(size):
    with pytest.raises(ValueError, match="size must be a whole number"):
        photos.load(encoded(flat(RED)), size)


# --------------------------------------------------------------------------------------------------- samples


def test_samples_are_photographs_with_and_without_colours():
    colour, every = photos.samples(), photos.samples(grey=True)
    assert {"astronaut", "cat", "coffee", "rocket"} <= set(colour) < set(every)
    for name, sample in every.items():
        image = sample(64)
        assert image.shape == (1, 3, 64, 64) and 0 <= image.min() and image.max() <= 1, name
        assert image.std() > 0.03 and sample.caption
        assert ((image[:, 0] - image[:, 2]).abs().max() > 0.05) == sample.colour


def test_samples_are_the_pixels_of_scikit_image():
    from skimage import data

    image = (photos.samples()["astronaut"](size=None)[0] * 255).round().byte().permute(1, 2, 0)
    assert np.array_equal(image.numpy(), data.astronaut())


# ----------------------------------------------------------------------------------------------------- CIFAR-10


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A CIFAR-10 folder with 8 photographs a class; the red of a photograph is 20 * class, the green 30 * its
    number. PNG, so that the pixels are exact."""
    for split in ("train", "test"):
        for label, name in enumerate(photos.CIFAR10_CLASSES):
            folder = tmp_path / "data" / "cifar10" / split / name
            folder.mkdir(parents=True)
            for number in range(8):
                flat((20 * label, 30 * number, 7), size=(32, 32)).save(folder / f"{number:04d}.png")
    monkeypatch.setenv("VIZCOURSE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("VIZCOURSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data" / "cifar10"


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    """Neither a folder nor a download, and no network."""
    monkeypatch.delenv("VIZCOURSE_DATA", raising=False)
    monkeypatch.setenv("VIZCOURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(photos, "_download_failed", None)
    calls = []

    def refuse(*_, **__):
        calls.append(socket.getdefaulttimeout())
        raise OSError("no network here")

    monkeypatch.setattr("socket.create_connection", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    return calls


@pytest.mark.parametrize("limit", [None, 5, 30, 1000])
def test_the_folder_is_read_with_the_classes_in_turn(tree, limit):
    for _ in range(2):  # the second time from the cache, where there is one
        images, labels, classes = photos.cifar10("test", limit, dtype=torch.uint8)
        number = min(limit or 80, 80)
        assert images.shape == (number, 3, 32, 32) and classes == photos.CIFAR10_CLASSES
        assert labels.tolist() == [i % 10 for i in range(number)]
        assert images[:, 0, 5, 5].tolist() == [20 * (i % 10) for i in range(number)]
        assert images[:, 1, 5, 5].tolist() == [30 * (i // 10) for i in range(number)]


def test_floats_and_sizes(tree):
    whole, _, _ = photos.cifar10(dtype=torch.uint8)
    images, _, _ = photos.cifar10()
    assert images.dtype == torch.float32 and torch.equal((images * 255).round().byte(), whole)
    large, _, _ = photos.cifar10(limit=3, size=64)
    assert large.shape == (3, 3, 64, 64) and torch.allclose(large[:, :, ::2, ::2], images[:3], atol=1e-6)
    assert torch.equal(photos.cifar10(limit=3, size=16, dtype=torch.uint8).images, whole[:3, :, ::2, ::2])


def test_the_cache_is_used_and_made_anew_when_a_photograph_changes(tree, monkeypatch):
    photos.cifar10("train")
    assert (tree / ".vizcourse-train.npz").is_file()
    assert not [name for name in os.listdir(tree) if "partial" in name]
    decoded = []
    original = photos._decode_small
    monkeypatch.setattr(photos, "_decode_small", lambda *a: decoded.append(a) or original(*a))
    photos.cifar10("train")
    assert not decoded
    flat((255, 255, 255), size=(32, 32)).save(tree / "train" / "cat" / "0000.png")
    assert photos.cifar10("train", dtype=torch.uint8).images[3, 0, 0, 0] == 255
    assert len(decoded) == 80


def test_a_damaged_cache_is_made_anew(tree):
    before = photos.cifar10("train").images
    (tree / ".vizcourse-train.npz").write_bytes(b"not a cache")
    assert torch.equal(photos.cifar10("train").images, before)
    assert (tree / ".vizcourse-train.npz").stat().st_size > 1000


def test_a_folder_that_cannot_be_written_keeps_its_cache_elsewhere(tree, tmp_path, monkeypatch):
    make = photos.tempfile.mkstemp

    def refuse(dir, **options):  # chmod would not stop a test that runs as root
        if dir == tree:
            raise PermissionError("read-only")
        return make(dir=dir, **options)

    monkeypatch.setattr(photos.tempfile, "mkstemp", refuse)
    photos.cifar10("train")
    assert not (tree / ".vizcourse-train.npz").exists()
    assert len(list((tmp_path / "cache").glob("cifar10-train-*.npz"))) == 1
    monkeypatch.setattr(photos.tempfile, "mkstemp", lambda **_: (_ for _ in ()).throw(PermissionError()))
    assert len(photos.cifar10("test").images) == 80  # nowhere to write: still works


def test_a_broken_folder_says_what_is_wrong(tree):
    (tree / "test" / "dog" / "0003.png").write_bytes(b"x")
    with pytest.raises(photos.PhotosUnavailable, match="0003.png is damaged: unpack"):
        photos.cifar10()
    flat(RED, size=(64, 64)).save(tree / "test" / "dog" / "0003.png")
    with pytest.raises(photos.PhotosUnavailable, match="not 32 by 32"):
        photos.cifar10()
    (tree / "test" / "dog").rename(tree / "test" / "hound")
    with pytest.raises(photos.PhotosUnavailable, match="no readable folder 'dog'"):
        photos.cifar10()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "validation"}, "split"),
        ({"limit": 0}, "limit"),
        ({"limit": 2.5}, "limit"),
        ({"size": 4}, "size"),
        ({"dtype": torch.float64}, "dtype"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=f"{message} must be"):
        photos.cifar10(**arguments)


def test_without_folder_or_network_there_is_one_clear_sentence_and_one_attempt(nothing):
    before = socket.getdefaulttimeout()
    with pytest.raises(photos.PhotosUnavailable, match="could not be downloaded .*VIZCOURSE_DATA") as first:
        photos.cifar10()
    assert "\n" not in str(first.value)
    tried = len(nothing)
    assert tried and set(nothing) == {photos._TIMEOUT} and socket.getdefaulttimeout() == before
    with pytest.raises(photos.PhotosUnavailable, match="could not be downloaded"):
        photos.cifar10("train")
    assert len(nothing) == tried  # remembered
    with pytest.raises(photos.PhotosUnavailable):
        photos.cifar10(download=True)
    assert len(nothing) > tried  # asked for
    with pytest.raises(photos.PhotosUnavailable, match="is not on this computer"):
        photos.cifar10(download=False)


def test_a_damaged_download_says_so(nothing, tmp_path):
    folder = tmp_path / "cache" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    (folder / "batches.meta").write_bytes(b"half")
    with pytest.raises(photos.PhotosUnavailable, match="is damaged: delete that folder"):
        photos.cifar10()


def test_available_never_loads_and_never_touches_the_network(nothing):
    begin = time.perf_counter()
    assert photos.available() == {"samples": f"{len(photos.samples())} sample photographs", "cifar10": None}
    assert time.perf_counter() - begin < 0.1 and not nothing


def test_available_sees_the_folder(tree):
    assert photos.available()["cifar10"] == "$VIZCOURSE_DATA"


def test_importing_photos_needs_neither_scikit_image_nor_torchvision():
    code = (
        "import sys; from vizcourse.worlds import photos; photos.available(); "
        "sys.exit(bool({'skimage', 'torchvision', 'ipywidgets'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.skipif(
    not os.path.isdir(os.path.join(os.environ.get("VIZCOURSE_DATA", ""), "cifar10", "test", "cat")),
    reason="CIFAR-10 is not in $VIZCOURSE_DATA",
)
def test_the_real_cifar10():
    images, labels, classes = photos.cifar10("test")
    assert images.shape == (10_000, 3, 32, 32) and labels.bincount().tolist() == [1000] * 10
    # The known channel means of the test set.
    assert torch.allclose(images.mean((0, 2, 3)), torch.tensor([0.4942, 0.4851, 0.4504]), atol=2e-3)
    few = photos.cifar10("train", 40)
    assert few.images.shape == (40, 3, 32, 32) and few.labels.tolist() == list(range(10)) * 4


# ------------------------------------------------------------------------------------------------------ a gallery


@pytest.fixture
def album(tmp_path, monkeypatch):
    """Six photographs, in two folders and outside them; one is damaged."""
    for number, name in enumerate(["cats/a.jpg", "cats/b.png", "dogs/c.JPG", "my_garden.png", "deep/er/d.webp"]):
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (40 * number, 10, 200)).save(path, {".JPG": "JPEG"}.get(path.suffix))
    (tmp_path / "album" / "dogs" / "notes.txt").write_text("no photograph")
    monkeypatch.delenv("VIZCOURSE_PHOTOS", raising=False)
    return tmp_path / "album"


def test_a_folder_of_photographs_becomes_a_batch_with_names(album):
    found = photos.gallery(16, folder=album)
    assert found.images.shape == (5, 3, 16, 16)
    assert found.names == ("cats", "cats", "er", "dogs", "my garden")
    assert "album" in found.source
    reds = found.images[:, 0, 8, 8].mul(255).round().tolist()
    assert reds == pytest.approx([0, 40, 160, 80, 120], abs=4)  # the files in the order of their paths


def test_the_environment_names_the_learners_folder(album, monkeypatch):
    assert photos.gallery(16).source == "scikit-image's samples"
    assert "your own" not in photos.available()
    monkeypatch.setenv("VIZCOURSE_PHOTOS", str(album))
    assert len(photos.gallery(16).images) == 5 and photos.available()["your own"] == str(album)
    monkeypatch.setenv("VIZCOURSE_PHOTOS", str(album / "absent"))
    assert photos.available()["your own"] is None
    with pytest.raises(ValueError, match="there is no folder.*VIZCOURSE_PHOTOS"):
        photos.gallery(16)


def test_a_limit_takes_photographs_from_all_over(album):
    assert photos.gallery(16, limit=2, folder=album).names == ("cats", "er")
    assert len(photos.gallery(16, limit=99, folder=album).images) == 5
    assert len(photos.gallery(16, limit=3).names) == 3
    with pytest.raises(ValueError, match="limit must be a whole number"):
        photos.gallery(16, limit=0)


def test_what_cannot_be_read_is_left_out_and_named(album):
    (album / "cats" / "a.jpg").write_bytes(b"no picture")
    with pytest.warns(UserWarning, match="left out.*a.jpg"):
        assert len(photos.gallery(16, folder=album).images) == 4
    (album / "empty").mkdir()
    with pytest.raises(ValueError, match="no photograph that can be read"):
        photos.gallery(16, folder=album / "empty")
