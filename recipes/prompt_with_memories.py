"""How do I put memories into a prompt within a token budget?

`context` gives what always holds first, the same bytes from turn to turn, then what this question found; as a text
or as messages of your framework.
"""

from __future__ import annotations

from memkit import Memory

memory = Memory(":memory:", llm=None, embedder="hash")
memory.add(
    [
        {"role": "user", "content": "From now on, answer in French.", "created_at": "2025-05-01"},
        {"role": "user", "content": "My sister Noor teaches physics in Ghent.", "created_at": "2025-05-02"},
        {"role": "assistant", "content": "Physics in Ghent, how nice.", "created_at": "2025-05-02"},
    ],
    user_id="ada",
)

context = memory.context("What does Noor teach?", user_id="ada", max_tokens=300, tokenizer="estimate")
print(context.tokens <= 300, "answer in French" in context.stable, "physics" in context.evidence)
# > True True True

again = memory.context("And where does she live?", user_id="ada", max_tokens=300, tokenizer="estimate")
print(again.stable == context.stable)
# > True

# For OpenAI and whatever takes its messages: what stays goes first, so that the prompt cache keeps it.
messages = [*context.to_openai(), {"role": "user", "content": "What does Noor teach?"}]
print([message["role"] for message in messages])
# > ['system', 'system', 'user']

# For Anthropic, `system=`: the stable part ends with a mark for the cache.
print(["cache_control" in block for block in context.to_anthropic()])
# > [True, False]

memory.close()
