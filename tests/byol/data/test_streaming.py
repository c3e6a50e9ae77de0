import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import InterpolationMode, resized_crop

from byol.config import OnBroken
from byol.data import DataError, ImageData, StreamedImages, load_data, streaming
from byol.data.image_files import FolderImages
from byol.data.streaming import StreamedBatch, streamed_batches
from byol.presets import from_settings
from byol.seeding import stream
from byol.views import crop_boxes, draw, make_view
from tests.byol.data.image_sources import save

CONFIG = from_settings({"batch_size": 8, "image_size": 16, "seed": 3, "view2.crop_scale_min": 0.5})


def photo(height: int, width: int, seed: int) -> Image.Image:
    """A smooth colour picture."""
    noise = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for index in range(40):
        path = folder / ("test" if index % 5 == 0 else "train") / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        photo(30 + index, 50, index).save(path)
    return folder


def streamed(folder: Path, on_broken: OnBroken = "fail") -> StreamedImages:
    data = load_data(f"folder:{folder}", image_size=16, memory_limit=0, on_broken=on_broken)
    assert isinstance(data, StreamedImages)
    return data


def assert_same(first: list[StreamedBatch], second: list[StreamedBatch]) -> None:
    assert len(first) == len(second)
    for batches in zip(first, second, strict=True):
        for a, b in zip(*batches, strict=True):
            if isinstance(a, Tensor) and isinstance(b, Tensor):
                assert torch.equal(a, b)
            else:
                assert a == b


def test_batches_do_not_depend_on_workers_nor_on_where_the_run_began(photos: Path) -> None:
    data = streamed(photos)
    whole = list(streamed_batches(CONFIG, data, start=0, total=7, workers=0))
    assert_same(list(streamed_batches(CONFIG, data, start=0, total=7, workers=2)), whole)
    assert_same(list(streamed_batches(CONFIG, data, start=5, total=7, workers=2)), whole[5:])
    assert not torch.equal(whole[0].crops[0], whole[4].crops[0]), "the second epoch has an order of its own"


def test_each_epoch_is_a_permutation_in_the_order_of_the_trainer(tmp_path: Path) -> None:
    for index in range(20):
        save(tmp_path / "train" / f"{index}.png", (index, 0, 0))
    save(tmp_path / "test" / "0.png", 0)
    data = streamed(tmp_path)
    color = [int(data.train_images.name(index).removesuffix(".png")) for index in range(20)]
    epochs = list(
        streamed_batches(CONFIG, data, start=0, total=4, workers=0)
    )  # two steps each; 4 images do not fill a batch
    for epoch in (0, 1):
        order = torch.randperm(20, generator=stream(CONFIG.seed, "order", epoch))[:16].tolist()
        seen = torch.cat([epochs[2 * epoch + step].crops[0, :, 0, 0, 0] for step in (0, 1)])
        assert seen.tolist() == [color[index] for index in order]


def test_crops_are_those_of_torchvision(photos: Path) -> None:
    data = streamed(photos)
    batch = next(streamed_batches(CONFIG, data, start=2, total=3, workers=0))
    indices = torch.randperm(32, generator=stream(CONFIG.seed, "order", 0))[16:24].tolist()
    two = ((CONFIG.view1, batch.crops[0], batch.draws[0]), (CONFIG.view2, batch.crops[1], batch.draws[1]))
    for settings, crops, draws in two:
        for row, index in enumerate(indices):
            image = data.train_images.open(index)
            box = crop_boxes(draws[row : row + 1], image.height, image.width, settings)[0].tolist()
            expected = resized_crop(image, *box, [16, 16], InterpolationMode.BICUBIC)
            np.testing.assert_array_equal(crops[row].permute(1, 2, 0), expected)


def test_further_views_are_cropped_like_the_first_two_in_turn_with_draws_of_their_own(photos: Path) -> None:
    data = streamed(photos)
    config = replace(CONFIG, view_count=4)
    two = next(streamed_batches(CONFIG, data, start=2, total=3, workers=0))
    four = next(streamed_batches(config, data, start=2, total=3, workers=0))
    assert_same([next(streamed_batches(config, data, start=2, total=3, workers=1))], [four])
    assert torch.equal(four.crops[:2], two.crops)
    assert torch.equal(four.draws[:2], two.draws)
    index = int(torch.randperm(32, generator=stream(CONFIG.seed, "order", 0))[16])
    image = data.train_images.open(index)
    for view, settings in ((2, CONFIG.view1), (3, CONFIG.view2)):
        table = draw(stream(CONFIG.seed, f"view{view + 1}", 2), 8)
        assert torch.equal(four.draws[view], table)
        box = crop_boxes(table[:1], image.height, image.width, settings)[0].tolist()
        expected = resized_crop(image, *box, [16, 16], InterpolationMode.BICUBIC)
        np.testing.assert_array_equal(four.crops[view, 0].permute(1, 2, 0), expected)


def test_views_are_those_of_the_same_images_in_memory(tmp_path: Path) -> None:
    for index in range(20):
        path = tmp_path / ("train" if index < 16 else "test") / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        photo(40, 40, index).save(path)
    in_memory = load_data(f"folder:{tmp_path}", image_size=16)
    assert isinstance(in_memory, ImageData)
    data = streamed(tmp_path)
    plain = replace(CONFIG.view1, jitter_p=0, grayscale_p=0, blur_p=0)
    order = torch.randperm(16, generator=stream(CONFIG.seed, "order", 0))[8:]
    images, draws = torch.from_numpy(in_memory.train_images)[order], draw(stream(CONFIG.seed, "view1", 1), 8)
    expected = make_view(images, draws, plain, size=16, mean=in_memory.mean, std=in_memory.std)
    config = replace(CONFIG, view1=plain)
    batch = next(streamed_batches(config, data, start=1, total=2, workers=0))
    assert torch.equal(batch.draws[0], draws)
    view = make_view(
        batch.crops[0], draws, plain, size=16, mean=in_memory.mean, std=in_memory.std, cropped=True
    )
    difference = (view - expected).abs() * min(in_memory.std) * 255
    assert difference.max() <= 3, "Pillow rounds to 8 bits between its two passes"


def test_no_more_batches_are_made_than_prefetched(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "opened"
    log.touch()
    opened = FolderImages.open

    def counted(self: FolderImages, index: int) -> Image.Image:
        with log.open("a") as file:
            file.write(".")
        return opened(self, index)

    data = streamed(photos)
    monkeypatch.setattr(FolderImages, "open", counted)
    taken = streamed_batches(CONFIG, data, start=0, total=200, workers=1)
    next(taken)
    made, until = 0, time.monotonic() + 10
    while made < (1 + streaming.PREFETCH) * 8 and time.monotonic() < until:
        time.sleep(0.05)
        made = log.stat().st_size
    time.sleep(0.5)
    assert log.stat().st_size == (1 + streaming.PREFETCH) * 8, (
        "the batch that was taken, and those made ahead"
    )


def test_the_global_generator_does_not_change(photos: Path) -> None:
    data = streamed(photos)
    before = torch.random.get_rng_state()
    next(streamed_batches(CONFIG, data, start=0, total=1, workers=0))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.fixture
def broken_photo(photos: Path, tmp_path: Path) -> tuple[Path, str]:
    """A copy of the photos in which a file that only step 1 reads is cut short, and its name."""
    for path in photos.rglob("*.png"):
        target = tmp_path / path.relative_to(photos)
        target.parent.mkdir(exist_ok=True)
        os.link(path, target)
    data = load_data(f"folder:{tmp_path}", image_size=16, memory_limit=0, evaluation_limit=4)
    order = torch.randperm(32, generator=stream(CONFIG.seed, "order", 0))[8:16].tolist()
    name = data.train_images.name(next(index for index in order if 4 <= index < 31))  # type: ignore[union-attr]
    content = (tmp_path / "train" / name).read_bytes()
    (tmp_path / "train" / name).unlink()
    (tmp_path / "train" / name).write_bytes(content[: len(content) // 2])
    return tmp_path, name


def few_in_memory(folder: Path, on_broken: OnBroken) -> StreamedImages:
    data = load_data(
        f"folder:{folder}", image_size=16, memory_limit=0, evaluation_limit=4, on_broken=on_broken
    )
    assert isinstance(data, StreamedImages)
    return data


@pytest.mark.parametrize("workers", [0, 1])
def test_broken_training_image_ends_the_stream(broken_photo: tuple[Path, str], workers: int) -> None:
    folder, name = broken_photo
    taken = streamed_batches(CONFIG, few_in_memory(folder, "fail"), start=0, total=3, workers=workers)
    next(taken)
    with pytest.raises(DataError) as caught:
        next(taken)
    assert str(caught.value) == f"folder:{folder}: images must be readable, but got {name}"


def test_next_image_takes_the_place_of_a_broken_one(broken_photo: tuple[Path, str]) -> None:
    folder, name = broken_photo
    data = few_in_memory(folder, "skip")
    names = [data.train_images.name(index) for index in range(32)]
    taken = streamed_batches(CONFIG, data, start=1, total=2, workers=0)
    with pytest.warns(UserWarning, match="cannot be read; another image takes its place"):
        batch = next(taken)
    assert batch.broken == [name]
    order = torch.randperm(32, generator=stream(CONFIG.seed, "order", 0))[8:16].tolist()
    row = order.index(names.index(name))
    image = data.train_images.open(names.index(name) + 1)
    box = crop_boxes(batch.draws[0][row : row + 1], image.height, image.width, CONFIG.view1)[0].tolist()
    expected = resized_crop(image, *box, [16, 16], InterpolationMode.BICUBIC)
    np.testing.assert_array_equal(batch.crops[0][row].permute(1, 2, 0), expected)


def test_parquet_streams_as_its_folder_does(tmp_path: Path, photos: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for split in ("train", "test"):
        files = sorted((photos / split).iterdir())
        column = pa.array([{"bytes": file.read_bytes(), "path": file.name} for file in files])
        pq.write_table(pa.table({"image": column}), tmp_path / f"{split}.parquet")
    data = load_data(f"parquet:{tmp_path}", root=tmp_path, image_size=16, memory_limit=0)
    assert isinstance(data, StreamedImages)
    assert data.test_images.shape == (8, 3, 16, 16)
    unshared, by_worker = (list(streamed_batches(CONFIG, data, start=0, total=2, workers=n)) for n in (0, 1))
    assert_same(unshared, by_worker)
    originals = {(photos / "train" / file.name).read_bytes() for file in (photos / "train").iterdir()}
    sizes = sorted(data.train_images.size(index) for index in range(len(data.train_images)))
    assert sizes == sorted(len(content) for content in originals)
