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
    "MR. SMITH AND DR. LEE GO",
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
    ("It is state of the art.", "I like it."),
]


@pytest.mark.parametrize("text", WHOLE)
def test_one_sentence(text: str) -> None:
    assert [segment.text for segment in split(text)] == [text]


@pytest.mark.parametrize(("first", "second"), CUT)
def test_two_sentences(first: str, second: str) -> None:
    assert [segment.text for segment in split(f"{first} {second}")] == [first, second]
