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
    " Pt Gt Wm Chas Thos Jas Ofc Ofcr Fa Hl hl Hrsg hrsg éd Éd MR MRS MS DR PROF REV GEN MT dr"
    " mr mrs ms prof sr sra srta mme mlle St Ste Sta Sto Mt Ft"
)
"""Before a name, never the end of a sentence."""

NEVER = _words(
    "vs cf viz ca approx resp bzw vgl evtl ggf inkl zzgl exkl sog bspw Vs Cf Ca Approx Bzw Vgl"
    " Zt RR FF e.g i.e E.g I.e z.B u.a d.h z.T o.ä p.ex p.ej c.-à-d incl esp ej"
)
"""Never the end of a sentence."""

STREET = _words("St Ave Av Blvd Rd Dr Ln Ct Pl Sq Hwy Pkwy Ter Cir Str")
"""After the name of a street."""

MAYBE = re.compile(
    r"(?i:al|inc|ltd|co|corp|jr|sr|dept|univ|assn|bros|ave|blvd|rd|ln|hwy|pkwy|gmbh|llc|plc|est"
    r"|esq|ph\.?d|ed|eds|exec|trans|cit|ibid|govt|intl|natl|mfg|ee|uu|hh|cc|av)"
    r"|(?:[^\W\d_]\.)+[^\W\d_]"
)
"""The end of a sentence only before a word that starts one: ``U.S.``, ``p.m.``, ``J. K.``."""

NUMBERED = _words(
    "No Nos no nos Nr nr Vol vol Vols vols Fig Figs fig figs Eq Eqs eq eqs Sec Secs sec Sect sect"
    " Ch Chs ch chs Chap chap Art Arts art Arts p pp Pg pg Pgs pgs Tel tel Ext ext Op op Opp App"
    " Par par Para para Ex ex Pt pt Bk bk Ver ver v Rm rm Apt apt Ste Bd Abb Abs Kap Tab Taf"
    " Rs rs c ca Max max Min min Avg avg Approx approx Est est Bldg bldg Temp temp Pop pop Anm Zl"
    " Rn Fl fl Rte rte Appx appx Supp Reg Str str Ps Pss Cor Thess Deut Exod Isa tél Tél pág Pág"
    " págs Págs cap Cap núm Núm Cat cat Prop prop Thm Lem Def Rev rev Prob"
)
"""Not the end of a sentence before a number."""

BOOK = _words(
    "Gen Ex Lev Num Josh Judg Sam Kgs Chr Chron Neh Esth Job Prov Eccl Jer Lam Ezek Dan Hos Joel"
    " Obad Mic Nah Hab Zeph Hag Zech Mal Matt Mt Mk Lk Jn Rom Gal Eph Phil Col Tim Tit Philem Heb"
    " Jas Pet Rev"
)
"""Books of the Bible, some of which are names: before ``5:3``."""

UNIT = _words("ft in lb lbs oz yd yds mi hr hrs min mins sec secs pt pts qt qts gal")
"""Not the end of a sentence between numbers: ``5 ft. 4 in.``"""

LIFE = _words("b d r fl")
"""Born, died, reigned, flourished: before a year."""

PAIR = re.compile(
    r"(?:Fed (?:Reg|R|Appx|App|Cir|Cl|Cas|Supp)|R (?:Civ|Crim|App|Evid|Bankr)|F (?:Supp|App)"
    r"|(?:Civ|Crim|App) P|Pub L|Stat Ann|[vn] Chr|z (?:Zt|Hd|Zw)|i (?:V|R|A|Allg)|o (?:Ä|B)"
    r"|(?:apr|av|Apr|Av) J|(?:art|Art) [LRD]|EE UU|HH CC|SS MM)"
)
"""Two parts of an abbreviation, without their full stops."""

PART = _words("Vol vol Ch ch Chap chap Sec Art Pt Bk Op Kap cap Cap App Bd")
"""Not the end of a sentence before a Roman number."""

LETTERED = _words("App Appx Exh Apt Bldg Rm Sched")
"""Not the end of a sentence before a single letter."""

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

ORDINAL = _words(
    "Stockwerk Etage Obergeschoss Untergeschoss OG UG Spieltag Spieltages Spieltage Liga Bundesliga"
    " Platz Klasse Weltkrieg Weltkriegs Halbzeit Runde Kapitel Auflage Jahrhundert Jahrhunderts"
    " Jahrtausend Quartal Semester Bezirk Advent Geburtstag Lebensjahr Schuljahr Hälfte"
)
"""German nouns after an ordinal such as ``3.``"""

ORDINAL_SHARED = _words("Stock Band Tag Teil Minute Rang Akt Mal Satz")
"""Such nouns that are also words of other languages: not after a word in lower case."""

LARGE = _words("Mio Mrd Mill Tsd")
"""Large numbers in German; they end a sentence only before ``GERMAN_STARTER``."""

GERMAN_STARTER = _words(
    "Der Die Das Er Sie Es Wir Ich Ihr Ein Eine Und Aber Doch Denn Im In Am An Auf Bei Mit Nach"
    " Dann Damit Dabei Danach Diese Dieser Dieses Dies Heute Jetzt Hier So Wenn Als Auch Nun"
)

NOON = re.compile(r"[ap]\.m|[AP]\.M")
"""A time of day."""

AFTER_NOON = re.compile(
    r"(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?s?\b"
    r"|(?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sept?|Oct|Nov|Dec)(?:\b|[a-z]*(?:ary|ch|il|ust|ber)\b)"
    r"|(?:[ECMP][SD]?T|AK[SD]T|HST|GMT|UTC|BST|WES?T|CES?T|EES?T|MSK|IST|JST|KST|SGT|HKT|A[CEW][SD]T"
    r"|AE[SD]?T|NZ[SD]T|Z)\b"
    r"|(?:Eastern|Central|Mountain|Pacific|Greenwich|Zulu|Universal)\b"
    r"|(?:\w+ ){1,2}[Tt]ime\b"
)
"""What goes on after a time of day: a day, a month or a time zone."""

LETTER_LABEL = re.compile(
    r"(?i:plans?|vitamins?|grades?|types?|class|section|sections|level|exhibit|option|answer|choice"
    r"|letters?|part|point|group|team|size|gate|terminal|platform|row|block|building|wing|zone|lot"
    r"|room|apartment|suite|unit|appendix|figure|table|chart|column|hepatitis|influenza|factor"
    r"|model|series|generation|gen|channel|league|division|tier|phase|stage|step|variant|version"
    r"|planet|route|line|schedule|article|chapter|category|item|question|key|note|string|degrees?"
    r"|celsius|fahrenheit|an?|is|was|are|were|be|iphone|malcolm|os|windows|xbox|agent|product"
    r"|student|patient|person|company|party|witness|brand|project|operation|drive|formula"
    r"|side|track|round|paragraph|clause|annex|form|title|bus|train|studio|hall|pod|blood|world)"
)
"""Before a single letter that is a name of its own, not an initial: ``plan B``."""

BEFORE_NAME = re.compile(
    r"(?:by|and|with|from|to|of|for|or|as|but|than|that|when|while|where|if|because|whether|about"
    r"|against|after|before|via|per|near|at|on|who|like|named|called|said|says|say|asked|told|writes"
    r"|wrote|met|see|author|authors|actor|actress|director|producer|senator|president|professor"
    r"|lawyer|attorney|judge|justice|coach|player|writer|singer|poet|novelist|journalist|physicist"
    r"|chemist|historian|scientist|engineer|architect|composer|painter|artist|editor|detective"
    r"|officer|captain|sergeant|general|doctor|dr|nurse|teacher|founder|chairman|secretary|minister"
    r"|candidate|defendant|plaintiff|brother|sister|father|mother|uncle|aunt|son|wife|husband|friend"
    r"|von|vom|zu|und|mit|bei|für|oder|dass|et|par|de|du|des|le|la|les|que|avec|chez|pour|à|dit|y|e"
    r"|con|por|para|el|di|da|del|della|il|lo|per|van|en|och|com|der|den|dem|die|das|im|am)"
)
"""Words in lower case after which a single letter is an initial: ``by J. Smith``."""

STARTER = _words(
    "The This That These Those There Then They He She It We You My Our His Her Its Your Their I A"
    " An But And So If When What Why How Who Where While However Although After Before Since"
    " Because In On At As For From With Now Yes No Not One Some Many Most All Is Are Was Were Do"
    " Does Did Can Could Will Would Should By To Of Or Here Today Later Soon Once Even Just Still"
    " Each Every Both Another Other Such Please Thanks Maybe Perhaps It's I'm I've He's She's"
)
"""Words that start a sentence rather than continue a name."""
