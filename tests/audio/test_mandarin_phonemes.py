"""Mandarin text to pinyin and Kokoro's phonemes."""

from __future__ import annotations

import importlib
import logging
import tempfile
import threading
from pathlib import Path

import pytest

from voxcpm_openai.chinese.words import to_words
from voxcpm_openai.embedded import mandarin
from voxcpm_openai.embedded.kokoro import clauses
from voxcpm_openai.embedded.mandarin import MandarinPhonemizer
from voxcpm_openai.embedded.readings import READINGS

PINYIN = [
    # Characters of several readings.
    ("他在银行工作。", "ta1 zai4 yin2 hang2 gong1 zuo4"),
    ("他在路上行走。", "ta1 zai4 lu4 shang4 xing2 zou3"),
    ("行长来了。", "hang2 zhang3 lai2 le5"),
    ("这很重要。", "zhe4 hen3 zhong4 yao4"),
    ("请重复一遍。", "qing3 chong2 fu4 yi2 bian4"),
    ("孩子长大了。", "hai2 zi5 zhang3 da4 le5"),
    ("长度是多少？", "chang2 du4 shi4 duo1 shao3"),
    ("这条路很长。", "zhe4 tiao2 lu4 hen3 chang2"),
    ("我爱音乐。", "wo3 ai4 yin1 yue4"),
    ("祝你快乐。", "zhu4 ni3 kuai4 le4"),
    ("我了解他。", "wo3 liao3 jie3 ta1"),
    ("他吃了饭。", "ta1 chi1 le5 fan4"),
    ("他得到了奖。", "ta1 de2 dao4 le5 jiang3"),
    ("他跑得快。", "ta1 pao3 de5 kuai4"),
    ("我得走了。", "wo3 dei3 zou3 le5"),
    ("我觉得好。", "wo3 jue2 de5 hao3"),
    ("他看着我。", "ta1 kan4 zhe5 wo3"),
    ("别着急。", "bie2 zhao2 ji2"),
    ("他睡着了。", "ta1 shui4 zhao2 le5"),
    ("他还是来了。", "ta1 hai2 shi4 lai2 le5"),
    ("我去还书。", "wo3 qu4 huan2 shu1"),
    ("他慢慢地走。", "ta1 man4 man4 de5 zou3"),
    ("这片土地。", "zhe4 pian4 tu3 di4"),
    ("他们都来。", "ta1 men5 dou1 lai2"),
    ("北京是首都。", "bei3 jing1 shi4 shou3 du1"),
    ("东西很便宜。", "dong1 xi1 hen3 pian2 yi5"),
    ("这里很方便。", "zhe4 li3 hen3 fang1 bian4"),
    ("我去睡觉。", "wo3 qu4 shui4 jiao4"),
    ("头发长了。", "tou2 fa4 zhang3 le5"),
    ("经济发展。", "jing1 ji4 fa1 zhan3"),
    ("会计开会议。", "kuai4 ji4 kai1 hui4 yi4"),
    ("主要角色。", "zhu3 yao4 jue2 se4"),
    ("他出差了。", "ta1 chu1 chai1 le5"),
    ("差不多。", "cha4 bu5 duo1"),
    ("天气暖和。", "tian1 qi4 nuan3 huo5"),
    ("他参与了。", "ta1 can1 yu4 le5"),
    ("我很高兴。", "wo3 hen3 gao1 xing4"),
    ("请打开空调。", "qing3 da3 kai1 kong1 tiao2"),
    ("做个调查。", "zuo4 ge4 diao4 cha2"),
    ("重庆和厦门。", "chong2 qing4 he2 xia4 men2"),
    ("一只猫。", "yi4 zhi1 mao1"),
    ("老师教我。", "lao3 shi1 jiao1 wo3"),
    ("一行人来了。", "yi4 xing2 ren2 lai2 le5"),
    ("获得成功，赢得比赛。", "huo4 de2 cheng2 gong1 ying2 de2 bi3 sai4"),
    ("他们各得其所。", "ta1 men5 ge4 de2 qi2 suo3"),
    ("这是目的地。", "zhe4 shi4 mu4 di4 di4"),
    ("我还了解他。", "wo3 hai2 liao3 jie3 ta1"),
    ("受不了了。", "shou4 bu4 liao3 le5"),
    ("只有一个。", "zhi3 you3 yi2 ge4"),
    # Tones of 一 and 不 before other syllables; third tones stay.
    ("一样的天气。", "yi2 yang4 de5 tian1 qi4"),
    ("等一下。", "deng3 yi2 xia4"),
    ("买一件衣服。", "mai3 yi2 jian4 yi1 fu2"),
    ("一天一夜。", "yi4 tian1 yi2 ye4"),
    ("过了一年。", "guo4 le5 yi4 nian2"),
    ("看一本书。", "kan4 yi4 ben3 shu1"),
    ("我们一起去。", "wo3 men5 yi4 qi3 qu4"),
    ("另一个人和另一天", "ling4 yi2 ge4 ren2 he2 ling4 yi4 tian1"),
    ("第一次", "di4 yi1 ci4"),
    ("统一战线", "tong3 yi1 zhan4 xian4"),
    ("万一下雨", "wan4 yi1 xia4 yu3"),
    ("周一上午", "zhou1 yi1 shang4 wu3"),
    ("当初一个人", "dang1 chu1 yi2 ge4 ren2"),
    ("天一亮", "tian1 yi2 liang4"),
    ("一周一次", "yi4 zhou1 yi2 ci4"),
    ("张三一定来", "zhang1 san1 yi2 ding4 lai2"),
    ("独一无二", "du2 yi1 wu2 er4"),
    ("是其中之一。", "shi4 qi2 zhong1 zhi1 yi1"),
    ("三点一刻", "san1 dian3 yi2 ke4"),
    ("1月1日", "yi1 yue4 yi1 ri4"),
    ("11点", "shi2 yi1 dian3"),
    ("2021年", "er4 ling2 er4 yi1 nian2"),
    ("1110元", "yi4 qian1 yi4 bai3 yi1 shi2 yuan2"),
    ("1.5米", "yi1 dian3 wu3 mi3"),
    ("3.1米", "san1 dian3 yi1 mi3"),
    ("1万人", "yi2 wan4 ren2"),
    ("我不去。", "wo3 bu2 qu4"),
    ("不客气。", "bu2 ke4 qi4"),
    ("这件不贵，那件不便宜。", "zhe4 jian4 bu2 gui4 na4 jian4 bu4 pian2 yi5"),
    ("他来不来？", "ta1 lai2 bu4 lai2"),
    ("不三不四", "bu4 san1 bu2 si4"),
    ("不一样", "bu4 yi2 yang4"),
    ("你好，我很好。", "ni3 hao3 wo3 hen3 hao3"),
    # Written forms.
    ("2025-09-28", "er4 ling2 er4 wu3 nian2 jiu3 yue4 er4 shi2 ba1 ri4"),
    ("14:30", "shi2 si4 dian3 san1 shi2 fen1"),
    ("9:05", "jiu3 dian3 ling2 wu3 fen1"),
    ("-3℃", "ling2 xia4 san1 she4 shi4 du4"),
    ("1228.61元", "yi4 qian1 er4 bai3 er4 shi2 ba1 dian3 liu4 yi1 yuan2"),
    ("3.5%", "bai3 fen1 zhi1 san1 dian3 wu3"),
    ("2个", "liang3 ge4"),
    ("2点", "liang3 dian3"),
    ("第2", "di4 er4"),
    ("2月", "er4 yue4"),
    ("3-5天", "san1 dao4 wu3 tian1"),
    ("1/2", "er4 fen1 zhi1 yi1"),
    ("3:2", "san1 bi3 er4"),
    ("拨打110", "bo1 da3 yao1 yao1 ling2"),
    ("13800138000", "yao1 san1 ba1 ling2 ling2 yao1 san1 ba1 ling2 ling2 ling2"),
    ("5kg", "wu3 qian1 ke4"),
    ("20m²", "er4 shi2 ping2 fang1 mi3"),
    ("速度为60km/h", "su4 du4 wei2 liu4 shi2 qian1 mi3 mei3 xiao3 shi2"),
    ("3.12.1", "san1 dian3 yi1 er4 dian3 yi1"),
    ("GPT-4", "si4"),
    ("¥5", "wu3 yuan2"),
    ("$3.50", "san1 dian3 wu3 mei3 yuan2"),
    ("2万元", "liang3 wan4 yuan2"),
    ("第3章", "di4 san1 zhang1"),
    ("3+5=8", "san1 jia1 wu3 deng3 yu2 ba1"),
]


@pytest.fixture(scope="module")
def phonemizer() -> MandarinPhonemizer:
    return MandarinPhonemizer(lambda text: f"<{text}>")


@pytest.mark.parametrize(("text", "pinyin"), PINYIN)
def test_pinyin(phonemizer: MandarinPhonemizer, text: str, pinyin: str) -> None:
    assert " ".join(phonemizer.pinyin(to_words(text))) == pinyin


@pytest.mark.parametrize(("pattern", "pinyin", "texts"), READINGS)
def test_a_reading_is_that_of_its_texts(
    phonemizer: MandarinPhonemizer, pattern: object, pinyin: str, texts: tuple[str, ...]
) -> None:
    assert texts
    assert all(pinyin in phonemizer.pinyin(text) for text in texts)


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("你好，世界！", "ni↓xau↓, ʂɨ↘ʨje↘!"),
        ("绿色女儿", "ly↘sɤ↘ ny↓ɚ↗"),
        ("走了……", "ʦou↓ lɤ…"),
        ("，好", "xau↓"),
        ("", ""),
        ("\U0001f600\u3042", ""),
    ],
)
def test_phonemes(phonemizer: MandarinPhonemizer, text: str, phonemes: str) -> None:
    assert phonemizer(text) == phonemes


@pytest.mark.parametrize("text", ["你好，世界！", "我在银行工作。", "请问去火车站怎么走？"])
def test_plain_text_has_the_phonemes_of_misaki(phonemizer: MandarinPhonemizer, text: str) -> None:
    logging.getLogger("jieba").setLevel(logging.ERROR)
    zh = importlib.import_module("misaki.zh")
    assert phonemizer(text) == zh.ZHG2P()(text)[0]


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("GPT四", "<G\u00a0P\u00a0T>"),
        ("用Python写", "<Python>"),
        ("A股", "<A>"),
        ("x轴", "<X>"),
        ("Hello world，你好", "<Hello world>"),
    ],
)
def test_latin_words_are_english(english: str, text: str) -> None:
    asked: list[str] = []

    def phonemize(words: str) -> str:
        asked.append(f"<{words.rstrip('.')}>")
        return "əə."

    assert "əə" in MandarinPhonemizer(phonemize)(text)
    assert asked == [english]


def test_words_are_the_text(phonemizer: MandarinPhonemizer) -> None:
    text = "我在北京大学 学习Python，很好。"
    assert "".join(mandarin.words(text)) == text
    assert mandarin.words("我爱北京大学") == ["我", "爱", "北京大学"]


def test_many_threads_load_once_without_output_or_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mandarin._tools.cache_clear()
    heard: list[str] = []
    unmarked = "我们打算去公园散步然后在附近的餐厅吃午饭"

    def speak() -> None:
        assert len(list(clauses.cut(unmarked, "zh"))) == 2
        heard.append(MandarinPhonemizer(str)("你好"))

    threads = [threading.Thread(target=speak) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == ["ni↓xau↓"] * 4
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert mandarin._tools.cache_info().misses == 1


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mandarin, "PACKAGES", ("json", "no_such_package"))
    assert mandarin.missing() == "no_such_package"
    monkeypatch.setattr(mandarin, "PACKAGES", ("json",))
    assert mandarin.missing() is None
