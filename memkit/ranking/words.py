"""Word tables: what is not searched for, what is one word in two shapes, what everybody says.

Three lists of general English. They are part of the tokenizer (`memkit.ranking.text.TOKENIZER_VERSION`): changing
one changes stored keyword rows.
"""

from __future__ import annotations

# The NLTK list of English stop words (179), contractions left out: the word pattern splits them at the apostrophe.
STOP_WORDS = frozenset(
    """
    a about above after again against ain all am an and any are aren as at be because been before being below between
    both but by can couldn d did didn do does doesn doing don down during each few for from further had hadn has hasn
    have haven having he her here hers herself him himself his how i if in into is isn it its itself just ll m ma me
    mightn more most mustn my myself needn no nor not now o of off on once only or other our ours ourselves out over
    own re s same shan she should shouldn so some such t than that the their theirs them themselves then there these
    they this those through to too under until up ve very was wasn we were weren what when where which while who whom
    why will with won wouldn y you your yours yourself yourselves
    """.split()
)

# Shapes that the stemmer cannot fold. "base: other shapes". Shapes that are common words of their own (rose, saw the
# tool aside, ground, wound, bore) are left out.
_IRREGULAR = """
    arise: arose arisen; awake: awoke awoken; beat: beaten; become: became; begin: began begun; bend: bent;
    bet: betting; bind: bound; bite: bit bitten; bleed: bled; blow: blew blown; break: broke broken; breed: bred;
    bring: brought; build: built; burn: burnt; buy: bought; catch: caught; choose: chose chosen; come: came;
    creep: crept; cut: cutting; deal: dealt; dig: dug; draw: drew drawn; dream: dreamt; drink: drank drunk;
    drive: drove driven; eat: ate eaten; fall: fell fallen; feed: fed; feel: felt; fight: fought; find: found;
    flee: fled; fly: flew flown flies; forbid: forbade forbidden; forget: forgot forgotten; forgive: forgave forgiven;
    freeze: froze frozen; get: got gotten getting; give: gave given; go: went gone goes; grow: grew grown;
    hang: hung; hear: heard; hide: hid hidden; hold: held; keep: kept; kneel: knelt; know: knew known; lay: laid;
    lead: led; lean: leant; leap: leapt; learn: learnt; leave: left; lend: lent; light: lit; lose: lost; make: made;
    mean: meant; meet: met; mistake: mistook mistaken; pay: paid; prove: proven; put: putting; quit: quitting;
    ride: rode ridden; ring: rang rung; rise: risen; run: ran running; say: said; see: saw seen; seek: sought;
    sell: sold; send: sent; set: setting; sew: sewn; shake: shook shaken; shoot: shot; show: shown; shrink: shrank;
    sing: sang sung; sink: sank sunk; sit: sat; sleep: slept; slide: slid; speak: spoke spoken; spend: spent;
    spill: spilt; spin: spun; spread: spreading; stand: stood; steal: stole stolen; stick: stuck; strike: struck;
    swear: swore sworn; sweep: swept; swim: swam swum; swing: swung; take: took taken; teach: taught;
    tear: tore torn; tell: told; think: thought; throw: threw thrown; understand: understood; wake: woke woken;
    wear: wore worn; weave: wove woven; weep: wept; win: winning; write: wrote written;
    child: children kid kids; foot: feet; goose: geese; knife: knives; loaf: loaves; man: men;
    mouse: mice; person: people; shelf: shelves; thief: thieves; tooth: teeth; wife: wives; wolf: wolves; woman: women;
    half: halves; mother: mom mum mommy mummy moms mama; father: dad daddy dads papa; grandmother: grandma granny;
    grandfather: grandpa; bicycle: bike bikes; photograph: photo photos pic pics; television: tv; refrigerator: fridge;
    film: movie movies; favorite: favourite favourites fav; color: colour colours; worse: worst; far: farther further
"""

IRREGULAR: dict[str, str] = {
    shape: base.strip()
    for line in _IRREGULAR.replace("\n", " ").split(";")
    for base, _, shapes in [line.partition(":")]
    for shape in shapes.split()
}

# What share of any person's memories a word is in, before a single one was read: three bands for words that everybody
# uses all the time; `RARE` for all others. It keeps a chance match on "time" or "good" in a scope of one memory from
# looking like an answer (`memkit.ranking.calibration`).
COMMON: dict[float, str] = {
    0.08: """
        go get know think like good great make see time thing really want feel say one day new work love look come
        take need tell help much way would could today lot always yes yeah hey hi thanks thank well also back still
        even keep try people friend sure sound definitely nice amazing wow glad happy
    """,
    0.03: """
        life year week month last next first two many something anything everything someone anyone everyone home
        family find give talk ask call let put use start show enjoy hope fun long little big bad best better right
        name place world man woman child kid person live play read watch eat meet plan change move stay run leave
        keep end since ever never often sometimes recently currently maybe probably actually kind bit pretty super
        awesome important special favorite favourite different old young happen remember believe understand learn
        support share spend bring buy become mean seem may might must around away together
        idea question answer problem job
    """,
    0.01: """
        morning night evening afternoon weekend tomorrow yesterday hour minute second early late soon ago city town
        country house room car food drink book movie music song game team group school class student teacher company
        business project office money pay cost price buy sell mother father parent brother sister son daughter
        husband wife partner boy girl dog cat pet water phone email message call photograph picture story part side
        hand head eye heart health body mind reason result example number list type kind sort point fact case line
        current recent past future upcoming main several various three four five six seven eight nine ten
        hundred thousand half full whole every another else without within might able possible likely easy hard
        difficult simple fast slow high low large small short real true open close turn hold send receive write
        speak hear listen wait wear cook travel visit trip drive walk sit stand sleep wake win lose build create
        develop improve increase reduce decide choose consider discuss mention describe explain suggest recommend
        prefer include involve relate regard detail information experience opportunity activity event goal
    """,
}
RARE = 0.001
