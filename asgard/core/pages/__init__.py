"""Pages for reports (one file each) and for served pages, from the same templates and stylesheet.

parts.py     the parts of a page, as data: a verdict, figures, a table, a timeline, a chart, a form's field …
render.py    a list of parts to one self-contained file; the same templates for Flask
draw.py      a chart to positions of lines, bars, ticks and marks
scale.py     ticks and numbers as people read them
templates/   Jinja2, always escaped; `asgard/components.html` has one macro a part
static/      one stylesheet and one script
"""
