"""Draws the house of inside.md from the imports as they are, and lists its rooms: python docs/draw_house.py

A room is a package of `catdog`, or a module that stands beside the packages. Each stands as low as its imports let it;
an arrow whose way others go already is left out, and so are those to the ground floor, which all may use. The sentence
of a room is its own docstring's first line.
"""

import ast
import sys
from collections import defaultdict
from functools import cache
from html import escape
from pathlib import Path

import grimp

REPOSITORY = Path(__file__).parents[1]
PICTURE, PAGE = REPOSITORY / "docs" / "house.svg", REPOSITORY / "docs" / "inside.md"
MARKS = "<!-- rooms -->\n", "<!-- end -->"
WIDTH, FLOOR, HEIGHT, GAP, ROOF = 760, 62, 34, 16, 46
STYLE = """
rect { fill: #f4f6f6; stroke: #0f7f7a } text { font: 14px sans-serif; fill: #1d2626; text-anchor: middle }
.count { font-size: 11px; fill: #5b6b6b } path { fill: none; stroke: #8fa3a3 } .wall { fill: #ffffff; stroke: #d9e0e0 }
"""


class House:
    """Which room imports which, and how high each stands."""

    def __init__(self) -> None:
        graph = grimp.build_graph("catdog", exclude_type_checking_imports=True, cache_dir=None)
        self.modules = defaultdict(set)
        self.imports = defaultdict(set)
        for module in sorted(graph.modules - {"catdog"}):
            room = module.split(".")[1]
            self.modules[room].add(module)
            # The door itself, which knows the version, is no room.
            for imported in graph.find_modules_directly_imported_by(module) - {"catdog"}:
                other = imported.split(".")[1]
                if other != room:
                    self.imports[room].add(other)
        self.floor = cache(lambda room: 1 + max(map(self.floor, self.imports[room]), default=-1))
        self.below = cache(
            lambda room: frozenset(self.imports[room]).union(*(self.below(other) for other in self.imports[room]))
        )

    def floors(self) -> list[list[str]]:
        """The rooms of each floor, the highest first."""
        levels = defaultdict(list)
        for room in sorted(self.modules):
            levels[self.floor(room)].append(room)
        return [levels[level] for level in sorted(levels, reverse=True)]

    def arrows(self) -> list[tuple[str, str]]:
        """Each import of a room by another that no other way leads to, but for those of the ground floor."""
        return [
            (room, other)
            for room in sorted(self.imports)
            for other in sorted(self.imports[room])
            if self.floor(other) and not any(other in self.below(between) for between in self.imports[room])
        ]

    def sentence(self, room: str) -> str:
        """What a room is for, in its own words."""
        path = REPOSITORY / "catdog" / room
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        return ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))).splitlines()[0]

    def count(self, room: str) -> int:
        """How many modules stand in a room, but for its own `__init__`; 0 where it is a module itself."""
        return sum(
            (REPOSITORY / "catdog" / room).is_dir() and not each.endswith(f".{room}") for each in self.modules[room]
        )


def draw(house: House) -> str:
    """The house as an SVG: a row a floor, a box a room."""
    floors = house.floors()
    places, boxes = {}, []
    for row, rooms in enumerate(floors):
        size = min(170, (WIDTH - 40) // len(rooms) - GAP)
        left = (WIDTH - len(rooms) * size - (len(rooms) - 1) * GAP) / 2
        for number, room in enumerate(rooms):
            x, y = left + number * (size + GAP), ROOF + 14 + row * FLOOR
            places[room] = x + size / 2, y
            count = f' <tspan class="count">{house.count(room)}</tspan>' if house.count(room) else ""
            boxes.append(f'<rect x="{x:.0f}" y="{y}" width="{size:.0f}" height="{HEIGHT}" rx="6"/>')
            boxes.append(f'<text x="{x + size / 2:.0f}" y="{y + 22}">{escape(room)}{count}</text>')
    lines = []
    for room, other in house.arrows():
        (x1, y1), (x2, y2) = places[room], places[other]
        lines.append(f'<path d="M{x1:.0f} {y1 + HEIGHT} L{x2:.0f} {y2 - 2}" marker-end="url(#tip)"/>')
    height = ROOF + 14 + len(floors) * FLOOR
    outline = f"M10 {ROOF} L{WIDTH // 2} 6 L{WIDTH - 10} {ROOF} V{height - 6} H10 Z"
    tip = (
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M1 1 L7 4 L1 7"/></marker>'
    )
    title = "The rooms of the package catdog, each above those that it imports"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">',
            f"<style>{STYLE}</style><defs>{tip}</defs>",
            f'<path class="wall" d="{outline}"/>',
            *lines,
            *boxes,
            "</svg>\n",
        ]
    )


def with_rooms(text: str, house: House) -> str:
    """The page with the list of rooms between its marks made anew."""
    rooms = [room for floor in house.floors() for room in floor]
    lines = [f"- `{room}{'/' if house.count(room) else '.py'}`: {house.sentence(room)}\n" for room in rooms]
    before, _, rest = text.partition(MARKS[0])
    return before + MARKS[0] + "".join(lines) + rest[rest.index(MARKS[1]) :]


if __name__ == "__main__":
    sys.path.insert(0, str(REPOSITORY))
    house = House()
    PICTURE.write_text(draw(house), encoding="utf-8")
    PAGE.write_text(with_rooms(PAGE.read_text(encoding="utf-8"), house), encoding="utf-8")
