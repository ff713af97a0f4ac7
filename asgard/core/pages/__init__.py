"""Pages for everything that shows something: reports as one file, and served pages, from the same templates and stylesheet.

parts.py     what a page is made of, as data: a verdict, figures, a table, a timeline, a chart, a form's field …
render.py    a list of parts to one self-contained file; the same templates for Flask
draw.py      a chart to positions of lines, bars, ticks and marks
scale.py     ticks and numbers as people read them
templates/   Jinja2, always escaped; `asgard/components.html` has one macro a part
static/      one stylesheet and one script
"""
