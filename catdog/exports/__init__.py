"""A classifier or a run handed on: in which formats, how it is made and compared, and how a page asks for it."""
