"""Makes ``voxcpm_openai/embedded/kokoro``'s ``voices.npz`` and ``gains.json``.

    pip install 'voxcpm-openai[mandarin,spanish]'
    npm pack kokoro-js && tar -xzf kokoro-js-*.tgz package/voices
    python tools/make_kokoro_voices.py package/voices

The gains make each voice as loud as hibari's alloy on a sentence of its own language.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from voxcpm_openai.embedded.kokoro import model, vocabulary, voices
from voxcpm_openai.embedded.kokoro.loudness import trim, voiced_level
from voxcpm_openai.embedded.spanish import SpanishPhonemizer

FOLDER = Path(model.__file__).parent
IDS = (
    "af_alloy af_bella af_heart af_nova af_sarah af_sky am_adam am_echo am_michael am_onyx am_puck "
    "bf_emma bm_fable bm_george "
    "ef_dora em_alex em_santa "
    "zf_xiaobei zf_xiaoxiao zf_xiaoyi zm_yunjian zm_yunxi zm_yunxia zm_yunyang"
).split()
ENGLISH = (
    "We were away all year long, and nobody had closed the door.",
    "The train to the city leaves at nine in the morning each day.",
)
SPANISH = (
    "Vivimos en este país desde hace más de diez años.",
    "El tren a la ciudad sale todos los días a las nueve de la mañana.",
)
MANDARIN = (
    "请问去火车站怎么走，我们想坐下午三点的火车。",
    "今天天气很好，大家打算一起去公园散步。",
    "你们昨天晚上为什么没有来参加我的生日聚会呢？",
    "他把那本新买的书放在桌子上就出去了。",
    "图书馆每天早上八点开门，晚上九点关门。",
    "我觉得这个问题其实没有那么简单。",
)


def tables(source: Path) -> dict[str, Any]:
    """Return every fourth row of each voice, shape (128, 256), float16."""
    whole = {
        id_: np.fromfile(source / f"{id_}.bin", "<f4").reshape(-1, voices.STYLE) for id_ in IDS
    }
    return {id_: table[:: voices.STEP].astype(np.float16) for id_, table in whole.items()}


def sentences() -> tuple[dict[str, list[str]], float]:
    """Return phonemes by the first letter of an id, and the level of hibari's alloy, in dB."""
    from hibari import Hibari
    from hibari.g2p import G2P
    from misaki.zh import ZHG2P

    hibari, british, mandarin = Hibari(threads=1), G2P(british=True), ZHG2P()
    spanish = SpanishPhonemizer()
    heard = [trim(np.asarray(hibari(text, seed=0), np.float32)) for text in ENGLISH]
    phonemes = {
        "a": [str(hibari.g2p(text)) for text in ENGLISH],
        "b": [str(british(text)) for text in ENGLISH],
        "e": [spanish(text) for text in SPANISH],
        "z": [mandarin(text)[0] for text in MANDARIN],
    }
    return phonemes, float(np.mean([voiced_level(samples) for samples in heard]))


@click.command()
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(source: Path) -> None:
    """Read the tables in SOURCE."""
    np.savez(FOLDER / "voices.npz", **tables(source))
    (FOLDER / "gains.json").write_text(json.dumps(dict.fromkeys(IDS, 0.0)))
    phonemes, wanted = sentences()
    network = model.load(None, threads=2)
    gains = {}
    for id_ in IDS:
        spoken = [vocabulary.ids_of(text) for text in phonemes[id_[0]]]
        made = [trim(network(ids, voices.style(id_, len(ids)), 1.0)) for ids in spoken]
        levels = [voiced_level(samples) for samples in made]
        gains[id_] = round(wanted - float(np.mean(levels)), 1)
        loudest = float(np.abs(np.concatenate(made)).max()) * 10 ** (gains[id_] / 20)
        click.echo(
            f"{id_}: {gains[id_]:+.1f} dB, sentences differ by {np.ptp(levels):.1f} dB, "
            f"highest sample {loudest:.2f}"
        )
    (FOLDER / "gains.json").write_text(json.dumps(gains, indent=0) + "\n")


if __name__ == "__main__":
    main()
