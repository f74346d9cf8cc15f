"""Abbreviations, by what may follow their full stop within a sentence."""

from __future__ import annotations

import re


def _words(text: str) -> re.Pattern[str]:
    """Return a pattern of any of the words of a text."""
    return re.compile("|".join(re.escape(word) for word in text.split()))


TITLE = _words(
    "Dr Drs Mr Mrs Ms Mx Messrs Prof Profs Rev Hon Gen Col Capt Cpt Lt Sgt Cpl Maj Cmdr Cdr Adm"
    " Brig Pvt Pte Ens Det Insp Supt Gov Sen Sens Rep Reps Pres Amb Atty Asst Assoc Bp Msgr Mgr"
    " Ven Mme Mmes Mlle MM Hr Hrn Fr Dipl Ing Mag Sr Sra Sres Srta Dra Dña Gral Lic Excmo Ud Uds"
    " MR MRS MS DR PROF REV GEN MT dr mr mrs ms prof sr sra srta mme mlle St Ste Sta Sto Mt Ft"
)
"""Before a name, never the end of a sentence."""

NEVER = _words(
    "vs cf viz ca approx resp bzw vgl evtl ggf inkl zzgl exkl sog bspw Vs Cf Ca Approx Bzw Vgl"
    " e.g i.e E.g I.e z.B u.a d.h z.T o.ä p.ex p.ej c.-à-d incl esp ej"
)
"""Never the end of a sentence."""

STREET = _words("St Ave Av Blvd Rd Dr Ln Ct Pl Sq Hwy Pkwy Ter Cir Str")
"""After the name of a street."""

MAYBE = re.compile(
    r"(?i:al|inc|ltd|co|corp|jr|sr|dept|univ|assn|bros|ave|blvd|rd|ln|hwy|pkwy|gmbh|llc|plc|est"
    r"|esq|ph\.?d|ed|eds|trans|cit|ibid|govt|intl|natl|mfg|ee|uu|av)"
    r"|(?:[^\W\d_]\.)+[^\W\d_]"
)
"""The end of a sentence only before a word that starts one: ``U.S.``, ``p.m.``, ``J. K.``."""

NUMBERED = _words(
    "No Nos no nos Nr nr Vol vol Vols vols Fig Figs fig figs Eq Eqs eq eqs Sec Secs sec Sect sect"
    " Ch Chs ch chs Chap chap Art Arts art Arts p pp Pg pg Pgs pgs Tel tel Ext ext Op op Opp App"
    " Par par Para para Ex ex Pt pt Bk bk Ver ver v Rm rm Apt apt Ste Bd Abb Abs Kap Tab Taf"
    " Rs rs c ca Max max Min min Avg avg Approx approx Est est Bldg bldg Temp temp Pop pop Anm Zl"
    " Rn pág Pág págs Págs cap Cap núm Núm Cat cat Prop prop Thm Lem Def Rev rev Prob"
)
"""Not the end of a sentence before a number."""

PART = _words("Vol vol Ch ch Chap chap Sec Art Pt Bk Op Kap cap Cap App Bd")
"""Not the end of a sentence before a Roman number."""

MONTH = _words(
    "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mär Okt Dez ene abr ago dic janv févr avr"
    " juil déc Ene Abr Ago Dic jan feb mar apr jun jul aug sep sept oct nov dec"
)
"""Not the end of a sentence before a number."""

DAY = _words("Mon Tue Tues Wed Weds Thu Thur Thurs Fri Sat Sun Mo Di Mi Do Sa So")
"""Not the end of a sentence before a number or a month."""

MONTH_NAME = _words(
    "January February March April May June July August September October November December"
    " Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec"
    " Januar Jänner Februar März Mai Juni Juli Oktober Dezember Mär Okt Dez"
)

ORDINAL_BEFORE = _words(
    "der die das dem den des am im vom zum zur bis ab seit Der Die Das Am Im Vom Zum Zur Bis Ab"
    " Seit jeder jede jedes dieser ihr sein mein unser"
)
"""Before an ordinal such as ``3.`` in German."""

STARTER = _words(
    "The This That These Those There Then They He She It We You My Our His Her Its Your Their I A"
    " An But And So If When What Why How Who Where While However Although After Before Since"
    " Because In On At As For From With Now Yes No Not One Some Many Most All Is Are Was Were Do"
    " Does Did Can Could Will Would Should By To Of Or Here Today Later Soon Once Even Just Still"
    " Each Every Both Another Other Such Please Thanks Maybe Perhaps It's I'm I've He's She's"
)
"""Words that start a sentence rather than continue a name."""
