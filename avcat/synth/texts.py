"""Texts of the rendered people. A text's split depends only on its letters, so splits share no text."""

import functools

import numpy as np

from avcat.seeding import seed_of

SPLITS = ("train", "val", "test")
_TRAIN, _VAL = 0.70, 0.80  # up to which fraction of all texts

_WORD_LIST = """
about above across afternoon again almost already although always animal another answer anybody apple arrive
autumn baby balance banana basket beautiful because become before began behind believe below beside better
between beyond bicycle birthday blanket bottom bottle branch bread breakfast bridge brother brown budget building
business butter button cabbage camera candle captain carpet castle central chamber change chapter chicken children
chocolate choose church circle coffee colour common company compare complete corner cotton country cousin cover
culture daughter decide degree deliver different dinner doctor dollar double dragon during early earth economy
education eleven elephant enough evening everybody everything example family famous farmer father favourite
february feeling fellow fifteen figure finger finish flower follow football forest forever forget former forty
forward fourteen freedom frozen funny future garden general gentle giant glasses golden government grandmother
gravel green hammer happen happy harbour harvest health heaven history holiday honey hospital hotel hundred
imagine important inside island january journey justice kitchen knowledge labour ladder language laughter leader
leather lemon lesson letter library listen little machine manage market matter maybe meadow measure member memory
middle million minute mirror modern moment money monkey morning mother mountain movement music myself narrow nation
nature neighbour nephew never nobody nothing november number ocean october office often olive open orange other
outside oven paper parent parliament party people pepper perfect person picture pillow planet plastic please pocket
policy police popular potato power present pretty price problem promise public purple question quiet rabbit
railway rainbow rather reason remember report river robin room rubber saddle sailor saturday school season second
september service seven several shadow shoulder silver simple singer sister sixteen smooth society something
somewhere spoon spring station stomach story strange student summer sunday support surprise table teacher
television theatre thirteen thousand thumb thunder together tomato tomorrow travel trouble twelve umbrella under
until upon valley village violin visit voice wagon warm water weather wedding welcome whisper window winter
without woman wonder wooden worker yellow yesterday young
"""
WORDS = tuple(_WORD_LIST.split())


def _phrases(text: str) -> tuple[str, ...]:
    """Those that a text has, separated by slashes."""
    return tuple(" ".join(phrase.split()) for phrase in text.split("/"))


_NAMES = _phrases("""
my brother / our teacher / the old farmer / a young doctor / the baker / everybody / my mother / the whole
village / nobody / a small boy / the woman next door / her father / the captain
""")
_VERBS = _phrases("""
bought / found / painted / moved / wanted / opened / remembered / borrowed / watched / fixed / carried / gave
away / talked about / looked for / brought home / finished / washed / imagined
""")
_QUALITIES = _phrases("""
big / yellow / wooden / famous / quiet / broken / warm / purple / beautiful / old / funny
""")
_THINGS = _phrases("""
table / boat / piano / map of the moon / pair of shoes / basket of apples / window / bicycle / five brown
bottles / picture book / birthday cake / umbrella / bag of flour / mushroom farm
""")
_PLACES = _phrases("""
by the river / before breakfast / above the market / in the open air / on a Monday morning / behind the theatre
/ for a long while / without a word / in the middle of summer / after the show
""")
_CLAUSES = _phrases("""
because it was warm / although nobody saw it / and we all laughed / but the bus was full / so she phoned a
friend / when the bell rang / while the water boiled / as far as I know
""")
_QUESTIONS = _phrases("""
Did you ever / Would you like to / Why should we / How often do they / Who could
""")
_DEEDS = _phrases("""
move house in February / follow a river to the sea / bake bread for a wedding / sing above the noise / travel
without a map / swim before the sun is up / open a shop by the harbour / whisper in a library / give a speech
about bees / walk over the long bridge / wash the windows of a tower / play the violin
""")


def split_of(text: str) -> str:
    """The split of a text, the same for all corpora: 70 % train, 10 % val, 20 % test."""
    position = seed_of("text", text) / 2**63
    return SPLITS[0] if position < _TRAIN else SPLITS[1] if position < _VAL else SPLITS[2]


@functools.cache
def words_of(split: str) -> tuple[str, ...]:
    """The words of `WORDS` that belong to a split, in alphabetical order."""
    return tuple(sorted(word for word in WORDS if split_of(word) == split))


def draw_sentence(random: np.random.Generator, split: str) -> str:
    """A sentence of the small grammar that belongs to `split`."""
    while True:
        sentence = _sentence(random)
        if split_of(sentence) == split:
            return sentence


def _sentence(random: np.random.Generator) -> str:
    def one_of(options: tuple[str, ...]) -> str:
        return options[int(random.integers(len(options)))]

    kind = random.random()
    if kind < 0.2:
        return f"{one_of(_QUESTIONS)} {one_of(_DEEDS)}?"
    plain = f"{one_of(_NAMES)} {one_of(_VERBS)} the {one_of(_QUALITIES)} {one_of(_THINGS)}"
    if kind < 0.6:
        plain = f"{plain} {one_of(_PLACES)}"
    if kind < 0.4 or kind > 0.85:
        plain = f"{plain}, {one_of(_CLAUSES)}"
    return f"{plain[0].upper()}{plain[1:]}."
