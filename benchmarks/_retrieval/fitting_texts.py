"""Questions that fit no conversation, and memories with a question in other words: written for the fit."""

from __future__ import annotations

_GENERAL = """
What is the capital of Mongolia?|How does photosynthesis work?|Who won the world cup in 1998?
How do I reset my router?|What is the boiling point of ethanol?|Explain the theory of relativity
Which planet has the most moons?|How do I remove rust from cast iron?
When was the Magna Carta signed?|What is the exchange rate of the yen?
Who painted the ceiling of the Sistine Chapel?|How many bones does a shark have?|What is a monad?
When does the next train to Zurich leave?|What is the tallest mountain in Africa?
Who discovered penicillin?|What is the password of the staging server?
Where are the spare keys of the boat?|What blood type does Igor have?
Which tyres does the tractor need?|What is my passport number?|When is the dentist appointment?
What did the surgeon say about the knee?|How much did we pay for the violin?
Which visa do I need for Brazil?|Is the goldfish still alive?|What allergy does the landlord have?
Who repaired the chimney?|What is the name of the parrot?|Which brand of skis did Olga buy?
How old is the volcano?|What does the contract with the brewery say?|When was the piano tuned?
Which vaccine did the horse get?|What is the recipe for sauerkraut?
Who is the prime minister of Norway?|How far is the moon?|What causes earthquakes?
Translate good morning into Finnish|How long do I boil an ostrich egg?
"""

GENERAL: tuple[str, ...] = tuple(_GENERAL.strip().replace("\n", "|").split("|"))
"""General knowledge, and other people's affairs."""

_REQUESTS = """
How can I learn to juggle?|Help me plan a surprise party|What should I cook for six guests?
Can you write me a poem about autumn?|I need an excuse for being late|Which laptop should I buy?
How do we split a bill fairly?|Give me ten ideas for a blog|My code throws a null pointer, why?
Tell me a joke|Do I need a jacket in Dublin in May?|Summarise this article for me
How long should I marinate chicken?|Proofread my essay, please|What do I say at an interview?
I want to invest a little money|Explain recursion to me|Should I water a cactus in winter?
How do I tie a bow tie?|Convert my recipe to metric units|Recommend me a film for tonight
What does my horoscope say?|Can I deduct a home office?|How often should I change the oil?
Write me an invitation to a housewarming|How do I calm a crying baby?|Teach me some chess openings
Which vitamins do I get from spinach?|Make me a packing list for a week at sea|How do I unclog a sink?
Does Saturn have a solid surface?|When did Cleopatra rule Egypt?|How tall is Goliath in the story?
Why did Hannibal cross the Alps?|Does Portugal border Morocco?|What did Newton discover?
"""

REQUESTS: tuple[str, ...] = tuple(_REQUESTS.strip().replace("\n", "|").split("|"))
"""What people who speak of themselves want to be told, and what is asked of people whom nobody knows."""

_PARAPHRASES = """
I adopted a tabby from the shelter last week. | Which pet lives with me?
My sister works as a nurse in Lisbon. | Where is my sibling employed?
I can't eat peanuts, they make my throat swell. | What food am I allergic to?
We got married in Verona in front of forty guests. | Where did my wedding take place?
I quit smoking two years ago. | When did I give up cigarettes?
My new job starts on Monday at the shipyard. | Where will I be employed soon?
I drive an old Volvo. | What car do I own?
I practise the cello every Thursday evening. | Which instrument do I play?
My flat is on the fourth floor without a lift. | Where is my apartment in the building?
I run ten kilometres before breakfast. | What exercise do I do in the mornings?
The doctor says my blood pressure is too high. | What health problem was I diagnosed with?
I'd rather sit by the window when I fly. | Which seat do I prefer on planes?
My grandfather built boats for a living. | What was grandpa's profession?
I speak Polish and a little Dutch. | Which languages do I know?
I was born in Tallinn. | Where do I come from?
Our son is called Emil. | What is my child's name?
I dropped out of law school after a year. | Did I finish my university degree?
I'm saving up for a trip to Patagonia. | Where do I want to travel?
My favourite dish is lasagne. | What meal do I like most?
I sleep badly when the moon is full. | When do I have insomnia?
I lost my wallet on the tram. | What went missing on public transport?
My boss rejected the pay rise I asked for. | Was my salary increased?
I read mostly crime novels. | What kind of books do I enjoy?
I hate coriander. | Which herb do I dislike?
We moved here because rents in London were too expensive. | Why did we leave our former home?
I take the ferry to the office. | How do I commute to work?
My laptop's screen cracked yesterday. | What happened to my computer?
I paint with watercolours at weekends. | What is my hobby?
Grandma turned ninety in March. | How old is my grandmother?
I'm terrified of spiders. | What is my phobia?
We painted the nursery yellow. | What colour is the baby's room?
I vote for the Greens. | Which political party do I support?
My brother and I haven't spoken since the funeral. | Who am I estranged from?
I broke my ankle skiing. | How did I get injured?
I keep bees behind the house. | Which insects do I raise?
My landlord wants us out by June. | By when do we have to leave the apartment?
I go to mass every Sunday. | Am I religious?
I make my own bread with sourdough. | What do I bake at home?
I'm studying for the bar exam. | What test am I preparing for?
The plumber charged me 240 euros for the boiler. | How expensive was fixing the heating?
"""


def paraphrases() -> list[tuple[str, str]]:
    """Return (memory, question) pairs that share few words or none."""
    pairs = (line.split(" | ") for line in _PARAPHRASES.strip().splitlines())
    return [(memory, question) for memory, question in pairs]
