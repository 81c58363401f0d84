"""Words that decide what other words mean: denials, titles, kinds of things, names of places."""

from __future__ import annotations

__all__ = [
    "ARTICLES",
    "DENIALS",
    "FIELDS",
    "KINDS",
    "NAMESAKES",
    "OLD_TOWNS",
    "PARTICLES",
    "PLACES",
    "QUALIFIERS",
    "SHORT",
    "STATES",
    "SYNONYMS",
    "TITLES",
    "VERBS",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ARTICLES = _words("the a an")
#: What denies.
DENIALS = _words(
    """
    not no never none neither nor without isn't aren't wasn't weren't doesn't don't didn't can't cannot won't false
    incorrect untrue wrong impossible except unlike non nobody nothing
    """
)
#: What makes another place or thing of the name behind it.
QUALIFIERS = _words(
    """
    middle blue white black red green yellow golden grand royal holy common dead triple dark giant dwarf false true
    st mt ft north south east west northern southern eastern western new old great greater upper lower central saint
    san santa los las el la le non anti pre post semi sub super inner outer first second third young elder little
    big equatorial papua democratic republic french british american dutch
    """
)
#: Kinds of things, which may stand beside a name.
KINDS = _words(
    """
    ocean sea river lake mountain mount mountains city town island islands country state states kingdom republic
    treaty battle disease syndrome war dynasty desert empire period era age virus galaxy nebula constellation
    infection disorder mellitus genotype genotypes allele alleles phenotype
    """
)
#: Kinds of ideas, which may be left out beside a name, but not added: Euler is no theorem.
FIELDS = _words(
    """
    theorem law effect principle equation method algorithm cycle process reaction conjecture lemma rule model theory
    test prize constant formula
    """
)
#: What stands before the name of a person.
TITLES = _words(
    """
    mr mrs ms dr prof professor sir lady lord king queen president emperor pope general captain doctor mister prince
    princess chancellor senator
    """
)
#: Small words within names of persons.
PARTICLES = _words(
    """
    van von de da di der den la le du del della dos ter zu bin ibn al
    """
)
#: What makes a sentence of words.
VERBS = _words(
    """
    is are was were be been has have had does did do can could will would should must occurs happens takes made
    makes wrote discovered invented won wins became lies means refers called known named produces contains uses
    divide divides located found born died ruled lived painted composed built founded
    """
)
#: Countries, states of the USA, continents: they may stand behind the name of a place in them.
PLACES = frozenset(
    " ".join(name.split())
    for name in """
    afghanistan, albania, algeria, andorra, angola, argentina, armenia, australia, austria, azerbaijan, bahamas,
    bahrain, bangladesh, barbados, belarus, belgium, belize, benin, bhutan, bolivia, bosnia, botswana, brazil,
    brunei, bulgaria, burkina faso, burundi, cambodia, cameroon, canada, chad, chile, china, colombia, congo, costa
    rica, croatia, cuba, cyprus, czech republic, czechia, denmark, djibouti, dominica, ecuador, egypt, el salvador,
    eritrea, estonia, eswatini, ethiopia, fiji, finland, france, gabon, gambia, georgia, germany, ghana, greece,
    grenada, guatemala, guinea, guyana, haiti, honduras, hungary, iceland, india, indonesia, iran, iraq, ireland,
    israel, italy, jamaica, japan, jordan, kazakhstan, kenya, kiribati, kosovo, kuwait, kyrgyzstan, laos, latvia,
    lebanon, lesotho, liberia, libya, liechtenstein, lithuania, luxembourg, madagascar, malawi, malaysia, maldives,
    mali, malta, mauritania, mauritius, mexico, micronesia, moldova, monaco, mongolia, montenegro, morocco,
    mozambique, myanmar, namibia, nauru, nepal, netherlands, new zealand, nicaragua, niger, nigeria, north korea,
    north macedonia, norway, oman, pakistan, palau, palestine, panama, papua new guinea, paraguay, peru,
    philippines, poland, portugal, qatar, romania, russia, rwanda, samoa, san marino, saudi arabia, senegal, serbia,
    seychelles, sierra leone, singapore, slovakia, slovenia, somalia, south africa, south korea, south sudan, spain,
    sri lanka, sudan, suriname, sweden, switzerland, syria, taiwan, tajikistan, tanzania, thailand, togo, tonga,
    tunisia, turkey, turkiye, turkmenistan, tuvalu, uganda, ukraine, united arab emirates, uae, united kingdom, uk,
    united states, usa, us, u.s., u.s.a., united states of america, uruguay, uzbekistan, vanuatu, venezuela,
    vietnam, yemen, zambia, zimbabwe, england, scotland, wales, northern ireland, alabama, alaska, arizona,
    arkansas, california, colorado, connecticut, delaware, florida, hawaii, idaho, illinois, indiana, iowa, kansas,
    kentucky, louisiana, maine, maryland, massachusetts, michigan, minnesota, mississippi, missouri, montana,
    nebraska, nevada, new hampshire, new jersey, new mexico, new york, north carolina, north dakota, ohio, oklahoma,
    oregon, pennsylvania, rhode island, south carolina, south dakota, tennessee, texas, utah, vermont, virginia,
    washington, west virginia, wisconsin, wyoming, europe, asia, africa, north america, south america
    """.split(",")
)
#: States of the USA and provinces of Canada.
STATES = frozenset(
    " ".join(name.split())
    for name in """
    alabama, alaska, arizona, arkansas, california, colorado, connecticut, delaware, florida, georgia, hawaii, idaho,
    illinois, indiana, iowa, kansas, kentucky, louisiana, maine, maryland, massachusetts, michigan, minnesota,
    mississippi, missouri, montana, nebraska, nevada, new hampshire, new jersey, new mexico, new york, north carolina,
    north dakota, ohio, oklahoma, oregon, pennsylvania, rhode island, south carolina, south dakota, tennessee, texas,
    utah, vermont, virginia, washington, west virginia, wisconsin, wyoming, ontario, quebec, british columbia, alberta,
    manitoba, nova scotia, new brunswick, newfoundland, saskatchewan
    """.split(",")
)
#: Towns of the old world that have namesakes in the new one.
OLD_TOWNS = _words(
    """
    paris london rome athens berlin moscow dublin manchester birmingham cambridge oxford vienna naples venice florence
    milan cairo lima delhi lisbon madrid bristol bath plymouth hanover dresden frankfurt geneva odessa warsaw damascus
    sparta corinth carthage alexandria cordoba valencia norwich worcester
    gloucester glasgow edinburgh perth belfast melbourne sydney versailles marseilles bordeaux lyon stockholm bergen
    copenhagen budapest prague belgrade palermo verona pisa genoa mantua parma hamburg bremen potsdam
    """
)
#: Names that father and son share but for an initial or a name between.
NAMESAKES = frozenset(("george bush", "john adams", "alexandre dumas", "johann strauss"))
#: Other names of the same, by name: groups of countries, wars, molecules, verdicts.
SYNONYMS = {
    " ".join(name.split()): number
    for number, names in enumerate(
        (
            "us, usa, united states, united states of america, america",
            "uk, united kingdom, great britain, britain",
            "ussr, soviet union",
            "uae, united arab emirates",
            "netherlands, holland",
            "czechia, czech republic",
            "myanmar, burma",
            "world war i, world war 1, wwi, ww1, first world war, great war",
            "world war ii, world war 2, wwii, ww2, second world war",
            "dna, deoxyribonucleic acid",
            "rna, ribonucleic acid",
            "atp, adenosine triphosphate",
            "cannot be determined, can not be determined, not enough information, insufficient information",
            "none of above, none of these",
            "all of above, all of these",
        )
    )
    for name in names.split(",")
}
#: Abbreviations.
SHORT = {
    "st": "saint", "mt": "mount", "dr": "doctor", "mr": "mister", "prof": "professor", "no": "no", "vs": "versus",
    "&": "and", "jr": "junior", "sr": "senior", "ft": "fort", "govt": "government", "dept": "department",
}  # fmt: skip
