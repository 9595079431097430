"""How does Claude extract what is remembered, and what does a turn cost?

Needs anthropic: pip install -e ".[anthropic]". A local server stands in for Anthropic's, so that the recipe needs no
key; `Memory(llm="anthropic")` with `ANTHROPIC_API_KEY` set is the real thing.
"""

from __future__ import annotations

from memkit import Memory
from memkit.testing import AnthropicServer, extraction, fact

lisbon = extraction(fact("The user lives in Lisbon.", "I live in Lisbon"))
moved = fact("The user lives in Porto.", "I moved to Porto", action="supersede", replaces="m1")

with AnthropicServer([lisbon, extraction(moved)]) as server:
    claude = {
        "provider": "anthropic",
        "config": {"model": "claude-sonnet-4-6", "api_key": "any", "anthropic_base_url": server.base_url},
    }
    with Memory(":memory:", llm=claude, embedder="hash") as memory:
        for text in ("I live in Lisbon.", "I moved to Porto!"):
            done = memory.add(text, user_id="ada")
            print([(outcome.event, outcome.memory) for outcome in done.results])
            # > [('ADD', 'The user lives in Lisbon.')]
            # > [('SUPERSEDE', 'The user lives in Porto.')]

    # One call for each turn. What never changes, the tool and the instructions, comes out of the prompt cache.
    (first, second) = server.messages
    print(first["tool_choice"]["type"], first["system"][-1]["cache_control"])
    # > tool {'type': 'ephemeral'}
    print((first["tools"], first["system"]) == (second["tools"], second["system"]))
    # > True
