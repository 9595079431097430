"""Moving memories between stores and programs: memkit's own export, and the transcripts of others.

`memkit.transcripts` reads the formats of other programs; here is what is done with them, and memkit's own format.
"""
