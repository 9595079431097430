"""The pipeline, written once as `async def`: what happens to a memory from arrival to erasure."""
