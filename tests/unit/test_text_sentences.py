"""Where sentences end: not after abbreviations and numbers that go on."""

import pytest

from voxcpm_openai.text import split

WHOLE = [
    "See No. 5 and no. 6, Nos. 1 and Nr. 3.",
    "See Fig. 3, figs. 4 and ch. 4, Ch. 5, vol. 2, Vol. II, Sec. III, p. 5 and pp. 6.",
    "The U.S. President and the U.K. Parliament met at the U.N. Assembly.",
    "Meet at 5 p.m. Monday or at 6 a.m. on Tuesday.",
    "J.K. Rowling, J. R. R. Tolkien, George W. Bush and Samuel L. Jackson met.",
    "Dr. Smith, Prof. Jones, Gen. Lee, Lt. Col. Brown, Sgt. Pepper and Rev. King met.",
    "Mr. and Mrs. Lee, Ms. Fox, Gov. Long, Sen. Warren, Capt. Hook, Adm. Nelson met.",
    "Alice vs. Bob, e.g. Berlin, i.e. the city, cf. Smith, approx. Five.",
    "Acme Inc. said, Acme Corp. Germany and Foo Ltd. UK agreed.",
    "On Jan. 5, Sept. 6, Mon. Jan. 7 and Sat. at noon in Dec. 2024.",
    "St. Mary's, St. Anna and Mt. Everest, Ft. Worth.",
    "He has a Ph.D. in physics and a B.A. from Yale.",
    "He lives at 5 Main St. Apt. 3, on 5th Ave. New York.",
    "Am 3. Oktober, bis 4. Mai, der 5. Mann, im 19. Jahrhundert, 3. 10. 2024.",
    "Das ist z. B. Berlin, u. a. Köln, d. h. Wir, bzw. Sie, ca. Zehn.",
    "Ludwig der XIV. König.",
    "M. Dupont, Mme. Curie et MM. Dupond.",
    "El Sr. López, la Sra. García y Dra. Ruiz, pág. 5, núm. 3.",
    "Well... I think so.",
    "I… I’m not sure… maybe.",
    "Wait... what? he said.",
    "Is it? yes.",
    "Smith et al. Nature wrote.",
    "No. #5, Nos. “7” and No. (8).",
    "on Main Dr. Anna",
    "ch. IV, Art. I, Bd. II",
    "Rm. 5, Ext. 7, Tel. 555, Op. 27, Apt. 3",
    "Rs. 1,500 and (c. 1450), min. 5, max. 10, est. 1990",
    "Mr. & Mrs. Smith",
    "Henry V. Poor and Charles I. Lee.",
    "MR. SMITH AND DR. LEE GO",
    "Peter C. Smith, J. K. Rowling, Henry V. Poor and George W. Bush met.",
    "I said J. Smith met A. Lincoln.",
    "A book by J. Smith and P. Miller, (T. Hanks), — S. King.",
    "Meet at 5 p.m. Monday, 6 p.m. EST, 7 a.m. Eastern or 8 p.m. London time.",
    "He lives in Washington, D.C. Mary knows.",
    "He lives at 123 N. Main St.",
    "In Oracle v. Google and Apple Inc. v. Samsung.",
    "See 42 U.S.C. § 1983, 17 C.F.R. § 240, 88 Fed. Reg. 100 and Fed. R. Civ. P. 12.",
    "See Pub. L. 117-58, 123 F.3d 5 and 9 F. Supp. 2d 7.",
    "It is on Fl. 3, Rte. 9, Cat. 4, Appx. B, P.O. #5 and P.O. # 6.",
    "Pt. Reyes, Gt. Britain, Wm. Shakespeare, an Exec. VP and Ofc. Lee.",
    "Lee (b. 1985) reads Ps. 23, 1 Cor. 13:4 and Matt. 5:3.",
    "He is 5 ft. 4 in. tall, and it weighs 1 lb. 4 oz. or so.",
    "Goethestr. 5, 2. Stock, in der Str. 5 am 3. Spieltag.",
    "Im Jahr 44 v. Chr. und 5 n. Chr. kostet es 5 Mrd. Euro oder 3 Mio. Dollar.",
    "Die Fa. Müller, der Hl. Geist, Hrsg. Meier und z. Zt. Berlin.",
    "Avec M. Dupont, p. ex. Paris, éd. Gallimard, art. 5, art. L. 121-1, tél. 01, apr. J.-C. aussi",
    "Los RR. HH. Marista.",
    "« Vraiment ? » demanda-t-elle.",
    "« Vraiment ? », dit-il.",
    "( oui ! ) dit-il",
    "「危ない！」と叫んだ",
    "「本当？」って言った",
    "ええ…、そうです",
]

CUT = [
    ("He lives on Main St.", "The house is old."),
    ("It is on 5th Ave.", "He lives there."),
    ("We met on Sunset Blvd.", "Then we left."),
    ("Turn at Oak Rd.", "It is near."),
    ("It stops on Main Dr.", "The bus waits."),
    ("We met at 5 p.m.", "The train left."),
    ("We met at 5 p.m.", "I left."),
    ("He lived in the U.S.", "He said so."),
    ("He said no.", "I met Jan."),
    ("I met Jan.", "We ate a fig."),
    ("We ate a fig.", "I was full."),
    ("Look at the Sun.", "Call Ed."),
    ("She has a Ph.D.", "She teaches."),
    ("Take vitamin C.", "I like it."),
    ("Solve for x.", "Then y."),
    ("We sell tea, etc.", "Prices vary."),
    ("Äpfel, Birnen usw.", "Er ging."),
    ("I like it.", "iPhones are good."),
    ("You are 1.", "Then me."),
    ("It was 1990.", "He left."),
    ("He works at Acme Inc.", "It is big."),
    ("He sat.", "Then he left."),
    ("I have a part.", "I like it."),
    ("Wait...", "The end."),
    ("So…", "Bob left."),
    ("The answer is C.", "Paris is the capital"),
    ("He got an A.", "Vitamin A is good"),
    ("We need plan B.", "Nobody cared"),
    ("Take Vitamin D.", "Doctors say"),
    ("I read Malcolm X.", "Spike Lee"),
    ("It is the iPhone X.", "Apple said"),
    ("It starts at 5 p.m.", "Bring snacks"),
    ("Heat to 425 degrees F.", "Bake"),
    ("So did I.", "Mary left."),
    ("Go from A to B.", "Nobody knows."),
    ("It is written in C.", "Nobody cared."),
    ("Solve for v.", "Nobody can."),
    ("The Fed.", "Nobody cared."),
    ("I met Matt.", "5 people came."),
    ("Es kostet 5 Mio.", "Das ist viel."),
    ("« Vraiment ? »", "Elle partit."),
    ("Er kam.", "»Hallo«, sagte er."),
    ("It is state of the art.", "I like it."),
]


def test_a_quotation_in_japanese_ends_a_sentence() -> None:
    assert [s.text for s in split("「危ない！」彼は叫んだ。")] == ["「危ない！」", "彼は叫んだ。"]


@pytest.mark.parametrize("text", WHOLE)
def test_one_sentence(text: str) -> None:
    assert [segment.text for segment in split(text)] == [text]


@pytest.mark.parametrize(("first", "second"), CUT)
def test_two_sentences(first: str, second: str) -> None:
    assert [segment.text for segment in split(f"{first} {second}")] == [first, second]
