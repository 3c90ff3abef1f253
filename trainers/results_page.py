"""Makes results/report.html: all results on one page that needs no network.

    python -m trainers.results_page

It is results/README.md with what each of its sections links to shown below
that section: tables, verdicts, figures and numbers of a folder, or a benchmark.
What no section links to comes last. Everything is in the one file, which
depends on the files of results/ alone.
"""

import base64
import collections
import csv
import html
import math
import pathlib
import re
import string
import typing

import markdown_it  # comes with myst-parser

from trainers.lifecycle import command_line

PAGE = "report.html"
_TEMPLATE = pathlib.Path(__file__).with_suffix(".html")
TITLES = {
  "figure2": "Figures 2, 3 and 5-11",
  "figure2_search": "A search on Beale and Bukin",
  "figure4": "Figure 4",
  "parameter_server": "Parameter servers",
  "table1_digits": "Table 1 on cluttered digits",
  "table1_digits_rates": "Table 1 on cluttered digits at a lower rate",
  "table1_games": "Table 1 on frames of games",
  "teachers": "Teachers of Figure 4",
  "theory": "Theorems, propositions, Remark 2, future work",
}
_LARGEST_TABLE = 100_000  # bytes of a CSV file that is shown as a table
# A verdict is one of these, with its p or as it stands.
_VERDICT = re.compile(
  r"(shown|not settled|contradicted|a difference) \(p = [^)]+\)"
  r"|(one seed only)"
)
_KINDS = {
  "shown": "shown",
  "not settled": "not settled",
  "contradicted": "contradicted",
  "a difference": "different where the paper is silent",
  "one seed only": "with one seed only",
  "holds": "within their bounds",
  "fails": "outside their bounds",
}
_INTERVAL = re.compile(r"<td>([\d.e+-]+) \(([\d.e+-]+) to ([\d.e+-]+)\)</td>")
_SLOPE, _MIDDLE = 13, 40  # pixels of a decade, and where the ratio is 1
_ROOT = "results"


class Unit(typing.NamedTuple):
  """What is shown together: the files of an experiment, or one benchmark.

  Attributes:
    name: its path below results/, without `.md`.
    facts: texts of its row in the first table of results/README.md.
    texts: paths of Markdown files.
    figures: paths of PNG files.
    data: paths of CSV files.
  """

  name: str
  facts: dict
  texts: list
  figures: list
  data: list

  @property
  def title(self):
    """A heading."""
    last = self.name.split("/")[-1]
    return TITLES.get(self.name, last.replace("_", " ").capitalize())

  @property
  def anchor(self):
    """Its place on the page."""
    return _anchor(f"results-{self.name}")


class Section(typing.NamedTuple):
  """A heading of results/README.md with its text and what that links to."""

  title: str
  text: str
  units: list


def make(root):
  """The page of a folder of results.

  Args:
    root: path of the folder, with README.md.

  Returns:
    A text, HTML.
  """
  root = pathlib.Path(root)
  first, *sections = _sections((root / "README.md").read_text("utf-8"))
  units = _units(root, _facts(first.text))
  sections = _place(units, sections)
  writer = _Writer(root, units)
  return string.Template(_TEMPLATE.read_text("utf-8")).substitute(
    contents=_contents(sections),
    overview=_overview(writer, units),
    body="\n".join(map(writer.section, sections)),
  )


def _sections(text):
  """Splits Markdown at headings of level 1 to 3."""
  parts = re.split(r"^#{1,3} +(.+)$", text, flags=re.M)[1:]
  return [
    Section(title, text, [])
    for title, text in zip(parts[::2], parts[1::2], strict=True)
  ]


def _facts(text):
  """dict from a folder to a dict of what the table of commands says of it."""
  lines = [line for line in text.splitlines() if line.startswith("|")]
  cells = [line.strip("|").split(" | ") for line in lines]
  head, _, *rows = [[cell.strip() for cell in row] for row in cells]
  found = {}
  for number, row in enumerate(rows):
    values = dict(zip(head[1:], row[1:], strict=True))
    where = values["where"]
    if where.startswith("the same") and number:
      values["where"] = rows[0][2] + where.removeprefix("the same")
    found[re.search(r"\((\w+)\)", row[0])[1]] = values
  return found


def _units(root, facts):
  """Everything below results/, in the order of the table of commands."""
  found = []
  for folder in sorted(
    (path for path in root.iterdir() if path.is_dir()),
    key=lambda path: [*facts, path.name].index(path.name),
  ):
    texts = sorted(folder.rglob("*.md"))
    figures = sorted(folder.rglob("*.png"), key=_by_number)
    data = sorted(folder.rglob("*.csv"))
    own = facts.get(folder.name, {})
    if folder.name != "benchmarks":
      found.append(Unit(folder.name, own, texts, figures, data))
      continue
    for text in texts:
      same = text.stem
      found.append(
        Unit(
          f"benchmarks/{same}",
          {name: own[name] for name in ("where", "time") if name in own},
          [text],
          [path for path in figures if path.stem.startswith(same)],
          [path for path in data if path.stem == same],
        )
      )
  return found


def _by_number(path):
  """Sorts figure2 before figure10."""
  parts = re.split(r"(\d+)", str(path))
  return [int(part) if part.isdigit() else part for part in parts]


def _place(units, sections):
  """Gives each unit to the first section that links to it."""
  left = list(units)
  placed = []
  for section in sections:
    links = re.findall(r"\]\(([^)#]+)", section.text)
    own = [unit for unit in left if any(_is_in(link, unit) for link in links)]
    left = [unit for unit in left if unit not in own]
    placed.append(section._replace(units=own))
  if left:
    placed.append(Section("Further tables and figures", "", left))
  return placed


def _is_in(link, unit):
  return link.removesuffix(".md") == unit.name or link.startswith(
    unit.name + "/"
  )


class _Writer:
  """Turns texts, tables and figures into HTML."""

  def __init__(self, root, units):
    self._root, self._units = root, units
    self._markdown = markdown_it.MarkdownIt("commonmark", {"html": False})
    self._markdown.enable("table")

  def section(self, section):
    """A section and all that it shows."""
    parts = [
      f'<section><h2 id="{_anchor(section.title)}">'
      f"{html.escape(section.title)}</h2>",
      self._text(section.text, self._root),
      *(self._unit(unit) for unit in section.units),
      '<p class="up"><a href="#contents">Contents</a></p></section>',
    ]
    return "\n".join(part for part in parts if part)

  def verdicts(self, unit):
    """How often the texts of a unit pass each verdict: a Counter."""
    text = "\n".join(path.read_text("utf-8") for path in unit.texts)
    found = [m[1] or m[2] for m in _VERDICT.finditer(text)]
    bounds = re.findall(r"\| (yes|no) \|$", text, re.M)
    found += ["holds" if cell == "yes" else "fails" for cell in bounds]
    return collections.Counter(found)

  def _unit(self, unit):
    parts = [f'<h3 id="{unit.anchor}">{html.escape(unit.title)}</h3>']
    if unit.facts:
      items = "".join(
        f"<dt>{name}</dt><dd>{self.inline(text)}</dd>"
        for name, text in unit.facts.items()
      )
      parts.append(f"<dl>{items}</dl>")
    body = [
      self._text(re.sub(r"\A# .+\n", "", path.read_text("utf-8")), path.parent)
      for path in unit.texts
    ]
    shown = "".join(body)
    for path in unit.figures:
      if f'id="{self._figure_anchor(path)}"' not in shown:
        body.append(self._figure(path, path.stem.replace("_", " ")))
    body += [self._data(path) for path in unit.data]
    return "\n".join(parts + body)

  def _text(self, text, folder):
    tokens = self._markdown.parse(text)
    self._mend(tokens, folder)
    found = self._markdown.renderer.render(tokens, self._markdown.options, {})
    found = re.sub(r"<p>(<figure.*?</figure>)</p>", r"\1", found, flags=re.S)
    found = found.replace("<table>", '<div class="wide"><table>')
    found = found.replace("</table>", "</table></div>")
    found = found.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")
    return _mark_intervals(_mark_verdicts(found))

  def inline(self, text):
    """A line of Markdown as HTML."""
    tokens = self._markdown.parseInline(text)
    self._mend(tokens, self._root)
    return self._markdown.renderer.render(tokens, self._markdown.options, {})

  def _mend(self, tokens, folder):
    """Links lead to places on the page; pictures are in it."""
    closing = []
    for token in tokens:
      if token.type in ("heading_open", "heading_close"):
        token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
      elif token.type == "link_open":
        place = self._target(token.attrs["href"], folder)
        closing.append(place)
        token.attrs = {"href": place} if place else {}
        token.tag = "a" if place else "span"
      elif token.type == "link_close":
        token.tag = "a" if closing.pop() else "span"
      elif token.type == "image":
        path = (folder / token.attrs["src"]).resolve()
        token.type, token.content = (
          "html_inline",
          self._figure(path, token.content),
        )
        token.children = None
      if token.children:
        self._mend(token.children, folder)

  def _target(self, link, folder):
    """Where a link leads on this page; None if what it names is not here."""
    if re.match(r"https?:", link):
      return link
    path, _, place = link.partition("#")
    if not path:
      return f"#{place}"
    found = (folder / path).resolve()
    if found.suffix == ".png" and found.exists():
      return f"#{self._figure_anchor(found)}"
    root = self._root.resolve()
    for unit in self._units:
      own = root / unit.name
      if found in (own, own.with_suffix(".md")) or own in found.parents:
        return f"#{unit.anchor}"
    return None

  def _figure_anchor(self, path):
    below = path.resolve().relative_to(self._root.resolve())
    return _anchor(str(below.with_suffix("")))

  def _figure(self, path, words):
    below = path.resolve().relative_to(self._root.resolve())
    data = base64.b64encode(path.read_bytes()).decode()
    words = html.escape(words)
    return (
      f'<figure id="{self._figure_anchor(path)}"><label>'
      '<input type="checkbox" aria-label="full size">'
      f'<img loading="lazy" alt="{words}" src="data:image/png;base64,{data}">'
      f"</label><figcaption>{words} <code>{_ROOT}/{below}</code></figcaption>"
      "</figure>"
    )

  def _data(self, path):
    """A CSV file as a table that opens, or its name if it is large."""
    below = path.resolve().relative_to(self._root.resolve())
    with open(path, encoding="utf-8", newline="") as file:
      head, *rows = csv.reader(file)
    name = f"<code>{_ROOT}/{below}</code>, {len(rows):,} rows"
    if path.stat().st_size > _LARGEST_TABLE:
      return f"<p>{name}</p>"
    lines = [_row("th", head), *(_row("td", row) for row in rows)]
    return (
      f"<details><summary>{name}</summary>"
      f'<div class="wide"><table>{"".join(lines)}</table></div></details>'
    )


def _row(tag, cells):
  inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
  return f"<tr>{inner}</tr>"


def _anchor(text):
  """What GitHub calls a heading, so that links between texts hold here."""
  words = re.sub(r"[^\w -]", "", text.replace("/", "-").lower())
  return words.replace(" ", "-")


def _mark_verdicts(text):
  def mark(match):
    kind = (match[1] or match[2]).replace(" ", "-")
    return f'<span class="verdict {kind}">{match[0]}</span>'

  return _VERDICT.sub(mark, text)


def _mark_intervals(text):
  """Draws an interval of ratios beside its numbers, on a log axis."""

  def draw(match):
    value, low, high = (_at(float(number)) for number in match.groups())
    return (
      f'<td class="interval"><svg width="{2 * _MIDDLE}" height="12">'
      f'<path d="M{_MIDDLE} 0V12" stroke="#999"/>'
      f'<path d="M{low} 6H{high}" stroke="#0072B2" stroke-width="2"/>'
      f'<circle cx="{value}" cy="6" r="3" fill="#0072B2"/></svg> '
      f"{match[0][4:]}"
    )

  return _INTERVAL.sub(draw, text)


def _at(ratio):
  """Where a ratio stands, in pixels; what is too far is at the edge."""
  place = _MIDDLE + _SLOPE * math.log10(max(ratio, 1e-9))
  return round(min(max(place, 3), 2 * _MIDDLE - 3), 1)


def _contents(sections):
  lines = ['<li><a href="#at-a-glance">At a glance</a></li>']
  for section in sections:
    units = "".join(
      f'<li><a href="#{unit.anchor}">{html.escape(unit.title)}</a></li>'
      for unit in section.units
    )
    lines.append(
      f'<li><a href="#{_anchor(section.title)}">{html.escape(section.title)}'
      f"</a>{f'<ul>{units}</ul>' if units else ''}</li>"
    )
  return "\n".join(lines)


def _overview(writer, units):
  """One line per experiment: its verdicts, and what it took."""
  rows = []
  for unit in units:
    counts = writer.verdicts(unit)
    if not counts:
      continue
    bar = "".join(
      f'<i class="{kind.replace(" ", "-")}" style="flex:{counts[kind]}"></i>'
      for kind in _KINDS
      if counts[kind]
    )
    words = ", ".join(
      f"{counts[kind]} {word}" for kind, word in _KINDS.items() if counts[kind]
    )
    rows.append(
      f'<li><a href="#{unit.anchor}">{html.escape(unit.title)}</a>'
      f'<span class="bar">{bar}</span><span>{words}</span>'
      f"<small>{writer.inline(unit.facts.get('time', ''))}</small></li>"
    )
  return f'<ul class="overview">{"".join(rows)}</ul>'


def main(argv):
  """Writes the page; returns the exit code."""
  del argv
  path = pathlib.Path(_ROOT) / PAGE
  path.write_text(make(_ROOT), encoding="utf-8")
  print(f"{path}: {path.stat().st_size / 1e6:.1f} MB; open it in a browser.")
  return 0


if __name__ == "__main__":
  command_line.run_main(main)
