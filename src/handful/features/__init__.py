"""One cached pass of every photo through the frozen network.

Gives `Features(float32 (n, views, d), row ids)`. The cache lies in the user's cache folder: one small file
per photo and network, checksummed, published by rename, needing no lock. May import `engines`, `data`,
`config`, `progress`, `files` and `errors`; the head is no business of this room.
"""
