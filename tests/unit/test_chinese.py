"""Mandarin texts become Chinese characters: every row of every rule, and whole sentences."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.stock import load_plugin
from voxcpm_openai import Settings
from voxcpm_openai.chinese.numbers import amount, cardinal, number
from voxcpm_openai.chinese.words import GROUPS, to_words

ROWS = [row for group in GROUPS for rule in group.rules for row in rule.rows]

SENTENCES = [
    ("定于2025-09-28 14:30在302室。", "定于二零二五年九月二十八日十四点三十分在三零二室。"),
    ("截止日期：2025/9/8。", "截止日期：二零二五年九月八日。"),
    ("今天是2025年9月28日，星期日。", "今天是二零二五年九月二十八日，星期日。"),
    ("他1990年出生。", "他一九九零年出生。"),
    ("20世纪90年代的歌。", "二十世纪九十年代的歌。"),
    ("2月2日是第33天。", "二月二日是第三十三天。"),
    ("放假1个月，不是1月。", "放假一个月，不是一月。"),
    ("2个月后见。", "两个月后见。"),
    ("2020-2025年的计划", "二零二零到二零二五年的计划"),
    ("9-10月有雨。", "九到十月有雨。"),
    ("火车14:30开。", "火车十四点三十分开。"),
    ("早上9:05到。", "早上九点零五分到。"),
    ("下午2:00见。", "下午两点见。"),
    ("营业时间9:00-18:00。", "营业时间九点到十八点。"),
    ("现在是23：59：59。", "现在是二十三点五十九分五十九秒。"),
    ("我等了2小时30分钟。", "我等了两小时三十分钟。"),
    ("一共1228.61元。", "一共一千二百二十八点六一元。"),
    ("门票¥5，很便宜。", "门票五元，很便宜。"),
    ("咖啡$3.50一杯。", "咖啡三点五美元一杯。"),
    ("月薪3.5万元。", "月薪三点五万元。"),
    ("奖金$1,000,000！", "奖金一百万美元！"),
    ("票价￥25/人。", "票价二十五元每人。"),
    ("增长3.5%。", "增长百分之三点五。"),
    ("打折10%~20%。", "打折百分之十到百分之二十。"),
    ("下跌了-2.5%。", "下跌了负百分之二点五。"),
    ("今天气温-3℃。", "今天气温零下三摄氏度。"),
    ("今天气温-3°C。", "今天气温零下三摄氏度。"),
    ("明天5℃~8℃。", "明天五摄氏度到八摄氏度。"),
    ("体温37.5℃。", "体温三十七点五摄氏度。"),
    ("需要3-5天。", "需要三到五天。"),
    ("大约100~200人。", "大约一百到两百人。"),
    ("请拨打13800138000。", "请拨打幺三八零零幺三八零零零。"),
    ("电话010-62770000。", "电话零幺零，六二七七零零零零。"),
    ("报警电话110。", "报警电话幺幺零。"),
    ("我住1108房间。", "我住幺幺零八房间。"),
    ("升级到3.12.1版本。", "升级到三点一二点一版本。"),
    ("重5kg，长2m。", "重五千克，长两米。"),
    ("面积20m²。", "面积二十平方米。"),
    ("限速60km/h。", "限速六十千米每小时。"),
    ("容量500mL的2个杯子", "容量五百毫升的两个杯子"),
    ("吃了1/2。", "吃了二分之一。"),
    ("中国队3:2获胜。", "中国队三比二获胜。"),
    ("看第3章第2节。", "看第三章第二节。"),
    ("编号是007。", "编号是零零七。"),
    ("写信到zhang@qq.com。", "写信到zhang艾特qq点com。"),
    ("打开www.baidu.com。", "打开www点baidu点com。"),
    ("3+5=8，9-4=5。", "三加五等于八，九减四等于五。"),
    ("2×3=6，8÷2=4。", "二乘三等于六，八除以二等于四。"),
    ("x<3且y≥5", "x小于三且y大于等于五"),
    ("GPT-4很强。", "GPT四很强。"),
    ("连上WiFi了吗？", "连上WiFi了吗？"),
    ("我用Python写代码。", "我用Python写代码。"),
    ("5G网络和4K电视", "五G网络和四K电视"),
    ("打印在A4纸上。", "打印在A四纸上。"),
    ("有2只猫、22个人、2000多本书。", "有两只猫、二十二个人、两千多本书。"),
    ("人口14.1亿。", "人口十四点一亿。"),
    ("大约10010人", "大约一万零一十人"),
    ("他说：“1号楼（新）很高。”", "他说：一号楼，新，很高。"),
    ("读《三国演义》第2版", "读三国演义第二版"),
    ("② 第二点", "二 第二点"),
    ("海拔-154.31米", "海拔负一百五十四点三一米"),
    ("１２３人ＡＢＣ", "一百二十三人ABC"),
    ("等等...好吧", "等等…好吧"),
    ("R&D部门", "R和D部门"),
    ("二〇二五年", "二零二五年"),
    ("海拔-5m，亏损-2万元", "海拔负五米，亏损负两万元"),
    ("1万-2万元，3天~5天", "一万到两万元，三天到五天"),
    ("坐标(3,5)，[1,2]。", "坐标，三，五，一，二。"),
    ("住8号楼3单元1201室", "住八号楼三单元幺二零幺室"),
    ("zqaqz有3个zqbqz", "zqaqz有三个zqbqz"),  # stands for a pronunciation
    ("Let's go, 我们走吧", "Let's go，我们走吧"),
]  # fmt: skip

HAN = "的一是了我不人在他有这个上们来到时大地为子中你说生国年着就那和要她出也得里后自以会家"
MARKS = "，。！？；：、…"
LEFT = re.compile(r"(?<=[A-Za-z])[-' ](?=[A-Za-z])")
WRITTEN = st.sampled_from(
    "2025-09-28|14:30|3.5%|-3℃|¥5|$3.50|1,234|3-5|10~20|1/2|3:2|GPT-4|13800138000|010-62770000|5kg"
    "|20m²|60km/h|3.12.1|a@b.com|www.x.cn|+|-|×|=|<|&|#|@|007|①|Ⅳ|½|x²|10⁶|(|)|“|”|《|》|C++|1.|~5|2"
    "|100%|9/28|T2|v2.0|--|...|\"|'|1e5|2^3|45°|A/B|12:3:4|0.50元".split("|")
)
MIXED = st.lists(st.one_of(WRITTEN, st.text(HAN, min_size=1, max_size=4)), max_size=12)
DENSE = st.text("0123456789.:：/-~+*'\"()$¥%°C²½年月日点个第x aAkmg#&@_=<>，。\n", max_size=200)
ANY_TEXT = st.text(st.characters(max_codepoint=0x1FFFF), max_size=200)


def assert_is_words(text: str) -> None:
    spoken = to_words(text)
    rest = LEFT.sub("", spoken)
    wrong = [c for c in rest if not (c.isalpha() or c in f"{MARKS}— " or ord(c) > 0x2FF)]
    assert not wrong, (text, spoken)
    assert not any(char.isdigit() or char in "%#@&*~^_<>=+|/\\" for char in spoken)
    assert to_words(spoken) == spoken


@pytest.mark.parametrize(("text", "words"), SENTENCES)
def test_a_sentence_is_read_as_a_person_would(text: str, words: str) -> None:
    assert to_words(text) == words
    assert to_words(words) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0", "零"),
        ("10", "十"),
        ("110", "一百一十"),
        ("1010", "一千零一十"),
        ("10001", "一万零一"),
        ("100000", "十万"),
        ("10010000", "一千零一万"),
        ("1000000010", "十亿零一十"),
        ("123456789", "一亿二千三百四十五万六千七百八十九"),
        ("100100000", "一亿零一十万"),
        ("1000000000000", "一万亿"),
        ("007", "零零七"),
    ],
)
def test_cardinals(value: str, words: str) -> None:
    assert cardinal(value) == words


def test_two_is_liang_before_what_is_counted() -> None:
    counted = [amount(value) for value in ("2", "12", "200", "2000", "22000", "2.5")]
    assert counted == ["两", "十二", "两百", "两千", "两万二千", "二点五"]
    assert number("-2.50") == "负二点五零"


@given(st.text(HAN + MARKS, max_size=80))
def test_plain_prose_comes_out_unchanged(text: str) -> None:
    assert to_words(text) == text


@given(st.text(HAN, min_size=1, max_size=20), st.sampled_from(["WiFi", "Python", "A", "don't"]))
def test_latin_words_stay(text: str, word: str) -> None:
    assert to_words(f"{text}{word}{text}。") == f"{text}{word}{text}。"


@given(MIXED)
@settings(max_examples=300, deadline=None)
def test_no_digit_or_sign_is_left(parts: list[str]) -> None:
    assert_is_words("".join(parts))


@given(DENSE)
@settings(max_examples=300, deadline=None)
def test_dense_forms_become_words(text: str) -> None:
    assert_is_words(text)


@given(MIXED)
@settings(deadline=None)
def test_no_character_of_the_prose_is_lost(parts: list[str]) -> None:
    spoken = iter(to_words("".join(parts)))
    prose = [char for part in parts for char in part if char in HAN]
    assert all(char in spoken for char in prose)


@given(ANY_TEXT)
@settings(max_examples=300, deadline=None)
def test_any_text_is_read(text: str) -> None:
    spoken = to_words(text)
    assert to_words(spoken) == spoken
    assert not any(char.isdigit() for char in spoken)


def test_the_plugin_offers_it() -> None:
    plugin = load_plugin("chinese_normalizer")
    (spec,) = plugin.register_normalizers()
    assert spec.language == "zh"
    assert spec.start(Settings())("2个") == "两个"
