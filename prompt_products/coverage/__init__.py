"""Coverage of the sky by the images of a view.

Read `keeping` (what is kept of a view, and by which triggers), `reading` (what there is, as MOCs), `files`
(FITS, JSON, ASCII, space-time MOCs) and `maps` (pictures of the sky).
"""
