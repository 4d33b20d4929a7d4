"""Practice drawings: cats and dogs that only their shape tells apart, for trying things without photos.

What a picture looks like in every other way is a `Scene`, chosen before anybody knows which animal will
stand in it; so no colour, size, place, backdrop or extra can give the animal away.
"""

import cmath
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw, ImageOps
from PIL.ImageColor import getrgb

from catdog.errors import Refused
from catdog.files.folders import require_empty

SIDE = 200  # pixels, as in the real photos
OVERSAMPLING = 3  # drawn this much larger, then shrunk, for smooth edges

Colour = tuple[int, int, int]
Progress = Callable[[int, int], object]
INK, PAPER = (52, 42, 44), (252, 250, 245)
PAINTS = {"ink": INK, "paper": PAPER, "sun": (255, 220, 130), "leaf": (104, 150, 92), "tongue": (236, 122, 132)}
FURS = "e08f4a c46e3a f3e0be faf6ee d6b482 969498 6c7280 80583e 5c4034 3e383c beb6b8 a88a6c"
IRISES, NOSES = ("#7ab254", "#e2b23a", "#5c9ccc", "#96643a", "#c48034"), ("#342a2c", "#5c3c3a", "#de8084")

# The art is text, drawn line by line: a sign, a colour, a form, then points "x,y" (y downwards), with "|"
# between several of the same. Signs: "=" outlined, in one with its neighbours; "-" not outlined; "<" kept
# inside the last "="; with "~", mirrored too. Forms: curve (closed, smooth), corners, oval (centre, radii),
# or a number, the thickness of a smooth line. "@ name x,y percent degrees" draws other art at that place.

KINDS = {  # all that tells them apart: heads, 0,0 their middle and 100 half their width; tails, 0,0 their root
    "cat": {
        "face": """
            {ears}
            = fur curve 0,-80 50,-74 92,-30 106,20 76,60 36,80 0,84 -36,80 -76,60 -106,20 -92,-30 -50,-74
            -~ pink corners 84,-50 84,-98 38,-78
            @ coat 20,30 100 0
            < light oval 22,46 34,28 | -22,46 34,28 | 0,64 28,22
            @ eye 44,-8 100 0 | -44,-8 100 0
            @ tongue 0,56 70 0
            -~ mouth 5 28,46 14,56 0,44
            - nose curve -18,20 0,15 18,20 0,40
            -~ ink 2.5 40,26 90,16 136,8 | 40,40 90,34 140,36 | 40,54 90,54 134,64""",
        "face ears": """
            =~ ear corners 95,-6 98,-70 86,-128 50,-104 12,-68
            =~ ear corners 95,-6 104,-70 98,-142 58,-110 14,-68
            =~ ear corners 95,-6 96,-76 76,-146 46,-108 14,-68""",
        "profile": """
            = ear corners 10,-60 34,-96 56,-124 66,-84 70,-40
            {ears}
            = fur curve -4,-80 44,-68 78,-34 86,2 104,18 106,38 84,60 44,74 0,78 -50,66 -82,30 -86,-20 -60,-60
            - pink corners -44,-58 -36,-96 2,-74
            @ coat 20,30 100 0
            < light oval 84,42 38,30
            @ eye 46,-8 100 0
            @ tongue 82,52 70 0
            - mouth 5 60,50 80,52 98,36
            - nose curve 87,11 109,12 111,27 98,32
            - ink 2.5 72,30 34,34 -6,38 | 72,44 34,54 -2,66 | 90,32 120,30 148,24 | 90,44 120,52 146,60""",
        "profile ears": """
            = ear corners -62,-44 -60,-86 -38,-128 -4,-100 22,-66
            = ear corners -62,-44 -66,-86 -50,-142 -8,-102 22,-66
            = ear corners -62,-44 -58,-90 -28,-144 2,-104 22,-66""",
        "eye": """
            - ink curve -26,6 -10,-17 8,-19 25,-6 13,16 -8,17
            - iris curve -21,4 -9,-13 7,-15 20,-4 10,12 -6,13
            - ink oval 0,0 5.5,14
            - paper oval 6,-7 4,4""",
        "tails": """
            = fur 11 6,4 -34,2 -56,-34 -46,-84 -62,-112 -84,-106
            = fur 11 6,4 -40,6 -66,-20 -48,-62 -66,-100
            = fur 11 6,4 -30,8 -60,4 -88,-6 -100,-30 -84,-46""",
    },
    "dog": {
        "face": """
            = fur curve 0,-92 46,-84 78,-44 74,10 60,56 34,88 0,96 -34,88 -60,56 -74,10 -78,-44 -46,-84
            @ coat 20,30 90 0
            {ears}
            @ eye 34,-22 100 0 | -34,-22 100 0
            -~ pink oval 50,20 14,12
            -~ lid 5 26,-56 38,-60 48,-54
            @ tongue 6,78 100 0
            - light oval 0,46 48,42
            -~ mouth 5 34,58 18,74 0,62 0,36 | 30,46 30,47 | 22,52 22,53
            - nose curve -23,15 0,7 23,15 17,30 0,37 -17,30""",
        "face ears": """
            =~ ear curve 34,-88 74,-88 106,-40 118,20 102,60 78,50 64,-4 58,-48
            =~ ear curve 28,-88 66,-112 108,-84 126,-30 104,-26 78,-40 60,-46
            =~ ear curve 40,-86 88,-98 130,-70 138,-16 108,2 78,-20 64,-50""",
        "profile": """
            @ tongue 98,44 100 0
            = fur curve -20,-84 24,-78 50,-44 64,-20 110,-10 142,-4 150,20 138,40 92,52 0,78 -60,60 -84,0 -70,-56
            @ coat 10,30 90 0
            < light oval 118,36 46,26
            {ears}
            @ eye 32,-24 100 0
            - pink oval 40,22 18,14
            - lid 5 28,-58 42,-58
            - mouth 5 74,36 98,41 128,32 | 116,22 116,23 | 108,28 108,29
            - nose oval 140,2 16,14""",
        "profile ears": """
            = ear curve -46,-72 -14,-64 4,-20 0,40 -26,74 -54,56 -66,0 -64,-48
            = ear curve -60,-66 -44,-104 -12,-110 24,-74 30,-40 8,-42 -14,-58 -32,-54
            = ear curve -50,-74 -10,-70 8,-30 -6,10 -44,24 -76,-4 -74,-48""",
        "eye": """
            - ink oval 0,0 21,21
            - iris oval 0,0 17.5,17.5
            - ink oval 0,1 11,11
            - paper oval 4,-5 5,5""",
        "tails": """
            = fur curve 14,-6 -14,-16 -24,-62 -36,-64 -40,-20 -22,10 10,14
            = fur 18 10,6 -20,-14 -26,-42 -8,-56 8,-42
            = fur curve 12,-8 -26,-20 -62,-44 -70,-36 -44,0 -16,14 10,14""",
    },
}
POSES = {  # for both kinds, feet at 0,0, facing right
    "portrait": """
        = fur curve 0,-70 44,-52 78,0 92,80 96,320 -96,320 -92,80 -78,0 -44,-52
        @ coat 0,0 140 0
        < light oval 0,66 36,84
        @ neckwear 0,-26 56 0
        @ head 0,-98 80 0""",
    "facing": """
        - shadow oval 0,-1 78,9
        @ tail -40,-16 100 0
        = fur curve 0,-122 30,-106 40,-66 52,-26 44,-2 -44,-2 -52,-26 -40,-66 -30,-106
        =~ fur 16 36,-7 50,-6 | 13,-40 13,-7
        @ coat 0,0 100 0
        < light oval 0,-82 18,30
        -~ shade 3 24,-52 23,-30 23,-6 | 0,-40 0,-6
        @ neckwear 0,-98 34 0
        @ head 0,-138 48 0""",
    "sitting": """
        - shadow oval 0,-1 82,9
        @ tail -52,-14 100 0
        = shade 16 14,-60 18,-30 18,-7 | 18,-7 28,-6
        = fur curve 14,-124 38,-108 46,-70 42,-30 34,-6 -20,-1 -54,-4 -66,-30 -52,-66 -24,-100
        = fur 16 30,-70 34,-34 34,-8 | -20,-8 8,-7 | 34,-8 46,-7
        @ coat 0,0 100 0
        < light oval 40,-74 16,34
        - shade 3 -26,-58 0,-50 12,-30 8,-13 | 22,-56 24,-36 24,-12
        @ neckwear 20,-100 32 -8
        @ head 24,-140 46 0""",
    "standing": """
        - shadow oval 0,-1 92,9
        @ tail -74,-86 100 0
        = shade 16 -40,-60 -38,-8 | 26,-60 26,-8 | -36,-7 -30,-7 | 28,-7 36,-7
        = fur curve -66,-98 -24,-102 8,-104 40,-118 60,-112 72,-90 62,-62 24,-48 -26,-54 -60,-46 -80,-70
        = fur 17 -62,-66 -65,-34 -62,-8 | 51,-70 51,-8 | -60,-8 -51,-7 | 52,-8 62,-7
        @ coat 0,0 100 0
        < light oval -6,-50 40,14
        - shade 3 38,-72 40,-56 42,-48 | -54,-80 -44,-66 -50,-50
        @ neckwear 58,-100 30 24
        @ head 66,-132 45 0""",
    "lying": """
        - shadow oval 0,-1 108,9
        @ tail -80,-16 100 0
        = shade 16 50,-14 92,-11
        = fur curve -86,-26 -72,-58 -30,-70 16,-70 46,-80 66,-62 66,-20 54,-1 -78,-1
        = fur 16 38,-9 84,-8 | -46,-9 -16,-8
        @ coat 0,0 100 0
        < light oval 64,-44 20,26
        - shade 3 -56,-50 -28,-44 -22,-18 | 40,-46 32,-28 36,-17
        @ neckwear 54,-66 30 8
        @ head 60,-102 46 0""",
}
COATS = (  # nothing, spots, stripes, patches; on the body and on the head
    "",
    "< coat oval -60,-60 13,11 | -34,-86 9,9 | -30,-30 12,12 | 0,-70 9,10 | 30,-40 10,9 | 20,-96 8,8",
    "< coat 8 -70,-120 -66,-64 | -46,-120 -44,-72 | -22,-120 -22,-64 | 2,-120 0,-72 | 26,-120 22,-76",
    "< coat oval -50,-70 36,30 | 34,-74 24,20",
)
NECKWEAR = (
    "",
    "= thing 26 -92,-8 0,26 92,-8\n= sun oval 0,52 20,20",
    "= thing corners -60,20 60,20 10,120\n= thing 34 -92,-8 0,26 92,-8\n- pale 6 -80,-4 0,28 80,-4",
    "=~ thing corners 0,30 70,-4 70,66\n- pale oval 0,30 16,16",
)
EXTRAS = {
    "ball": "= thing oval 0,-26 26,26\n- pale 5 -22,-36 0,-24 22,-34 | -16,-9 0,-16 18,-11",
    "bowl": "= thing curve -38,-26 38,-26 46,0 -46,0\n= pale oval 0,-26 38,8\n- fur oval 0,-24 30,5",
    "plant": """
        - leaf curve 0,-34 -22,-66 -44,-96 -16,-78 | 0,-34 30,-70 66,-74 36,-50 | 0,-30 -4,-70 8,-120 18,-70
        = thing corners -26,-40 26,-40 18,0 -18,0""",
    "butterfly": "=~ thing oval 14,-150 14,12\n=~ pale oval 10,-132 9,9\n- ink 5 0,-158 0,-128",
}
BACKDROPS = {  # 0,0 the middle of the horizon, 100 the side of the picture, with something to spare
    "plain": "",
    "fade": "",
    "stripes": "- mist 11 -66,-99 -66,99 | -44,-99 -44,99 | -22,-99 -22,99 | 0,-99 0,99 | 22,-99 22,99 | 44,-99 44,99",
    "dots": "@ row 0,0 100 0 | 9,-15 100 0 | 0,-30 100 0 | 9,-45 100 0 | 0,-60 100 0 | 9,15 100 0 | 0,30 100 0",
    "row": "- mist oval -63,0 4,4 | -45,0 4,4 | -27,0 4,4 | -9,0 4,4 | 9,0 4,4 | 27,0 4,4 | 45,0 4,4 | 63,0 4,4",
    "hills": """
        - sun oval 22,-40 9,9
        - far oval -30,14 50,28 | 60,10 44,18
        - ground oval 20,60 120,52 | -60,40 50,40""",
    "room": """
        - ground corners -200,0 200,0 200,200 -200,200
        - edge corners -200,-3 200,-3 200,0 -200,0
        - paper corners -34,-48 -4,-48 -4,-14 -34,-14
        - far corners -32,-46 -20,-46 -20,-16 -32,-16 | -18,-46 -6,-46 -6,-16 -18,-16""",
    "grass": """
        - ground corners -200,0 200,0 200,200 -200,200
        @ tuft -52,5 100 0 | -38,24 150 0 | -20,9 110 0 | 0,28 160 0 | 16,5 90 0 | 36,20 140 0 | 54,8 110 0""",
    "tuft": "- edge 1 -2,-4 0,1 | 1,-5 1,1 | 4,-4 2,1",
}


class Scene:
    """All of a picture but the kind of animal in it: the random choices that `seed` leads to."""

    def __init__(self, seed: int | str):
        random = Random(seed)
        pick, between = random.choice, random.uniform
        backdrop = pick(("plain", "fade", "stripes", "dots", "hills", "room", "grass"))
        value = pick((45, 86, 90, 94, 97))
        sky = getrgb(f"hsv({random.randrange(360)}, {between(12, 40)}%, {value}%)")
        hue = between(70, 150) if backdrop in ("hills", "grass") else random.randrange(360)
        ground = getrgb(f"hsv({hue}, {between(20, 50)}%, {value * between(0.65, 0.95)}%)")
        # One of the half of the furs that stands out better from the backdrop.
        furs = [getrgb(f"#{fur}") for fur in FURS.split()]
        furs.sort(key=lambda fur: min(math.dist(fur, sky), math.dist(fur, ground)))
        fur = _blend(pick(furs[-6:]), getrgb(f"hsv({random.randrange(360)}, 50%, 50%)"), between(0, 0.15))
        light, thing = _blend(fur, PAPER, between(0.35, 0.8)), getrgb(f"hsv({random.randrange(360)}, 65%, 85%)")
        self.line, self.line_width = pick((INK, INK, _blend(fur, INK, 0.3), PAPER, None)), between(0.8, 2.4)
        self.colours = PAINTS | {
            "sky": sky,
            "low sky": {"plain": sky, "fade": ground}.get(backdrop, _blend(sky, PAPER, 0.25)),
            "mist": _blend(sky, PAPER, 0.4),
            "ground": ground,
            "far": _blend(ground, sky, 0.5),
            "edge": _blend(ground, INK, 0.2),
            "shadow": _blend(sky if backdrop in ("plain", "stripes", "dots") else ground, INK, 0.25),
            "fur": fur,
            "shade": _blend(fur, INK, 0.22),
            "coat": _blend(fur, pick((INK, PAPER, (150, 90, 50))), between(0.3, 0.6)),
            "light": light,
            "ear": _blend(fur, INK, pick((0, 0.22)) if self.line else 0.22),
            "pink": _blend(fur, (232, 150, 150), 0.6),
            "iris": getrgb(pick(IRISES)),
            "nose": getrgb(pick(NOSES)),
            "mouth": INK if sum(light) > 300 else _blend(INK, PAPER, 0.7),
            "lid": INK if sum(fur) > 300 else _blend(INK, PAPER, 0.7),
            "thing": thing,
            "pale": _blend(thing, PAPER, 0.5),
        }
        self.flipped, self.eyes_open = random.random() < 0.5, random.random() < 0.85
        self.ears, self.tail = random.randint(1, 3), random.randint(1, 3)  # which line of its kind's
        pose, horizon, x, y = pick(list(POSES)), between(46, 72), between(36, 58), between(84, 95)
        self.view = "face" if pose == "facing" else pick(("face", "profile"))
        picture = [f"@ {backdrop} {between(40, 60)},{horizon} 100 {between(-3, 3)}"]
        for name in random.sample(list(EXTRAS), pick((0, 0, 1, 1, 2))):
            picture.append(f"@ {name} {pick((between(5, 20), between(80, 95)))},{y - between(4, 12)} 30 0")
        picture.append(f"@ {pose} {x},{y} {between(29, 39)} {between(-5, 5)}")
        self.art = {**POSES, **EXTRAS, **BACKDROPS} | {
            "picture": "\n".join(picture),
            "coat": pick(COATS),
            "neckwear": pick(NECKWEAR),
            "head": f"@ skull 0,0 {between(95, 120)} {between(-16, 16)}",
            "tongue": "= tongue 30 0,0 0,24" if random.random() < 0.4 else "",
        }


def draw_animal(kind: str, scene: Scene) -> Image.Image:
    """Return the picture of a "cat" or a "dog" in `scene`, RGB, SIDE by SIDE pixels."""
    side, own = SIDE * OVERSAMPLING, KINDS[kind]
    art = scene.art | {
        "skull": own[scene.view].format(ears=own[f"{scene.view} ears"].split("\n")[scene.ears]),
        "eye": own["eye"] if scene.eyes_open else "- lid 6 -20,0 0,11 20,0",
        "tail": own["tails"].split("\n")[scene.tail],
    }
    image = Image.new("RGB", (side, side), scene.colours["sky"])
    image.paste(scene.colours["low sky"], mask=Image.linear_gradient("L").resize(image.size))
    Pencil(image, scene, art, origin=0, scale=side / 100).draw("picture")
    if scene.flipped:
        image = ImageOps.mirror(image)
    return image.resize((SIDE, SIDE), Image.Resampling.BOX)


def draw_photo_set(
    folder: Path, *, train: int = 240, validation: int = 80, seed: int = 0, on_progress: Progress | None = None
) -> None:
    """Fill `folder`/{train,validation}/{cats,dogs}/ with so many JPEGs of both kinds together, half of them cats.

    Calls `on_progress(done, total)` after each. Raises `Refused` where `folder` holds something or can't be written.
    """
    require_empty(folder)
    target = folder.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Drawn beside the target and moved there whole, so that nobody ever finds half a photo set.
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as beside:
            drawn = Path(beside, target.name)
            turns = [("train", n) for n in range(train)] + [("validation", n) for n in range(validation)]
            for done, (split, number) in enumerate(turns, 1):
                scene = Scene(f"{seed} {split} {number}")
                kind = ("cat", "dog")[number % 2]
                path = drawn / split / f"{kind}s" / f"{kind}_{number // 2 + 1:03}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                draw_animal(kind, scene).save(path, quality=90)
                if on_progress:
                    on_progress(done, len(turns))
            if target.exists():
                target.rmdir()  # not every system renames onto a folder, be it empty
            drawn.rename(target)
    except OSError as error:
        why = error.strerror or error
        raise Refused(f"The drawings can't be written to {folder} ({why}): choose another folder.") from error


@dataclass(frozen=True)
class Pencil:
    """Draws art in the colours of `scene` onto `image`, each point times `scale` plus `origin`."""

    image: Image.Image
    scene: Scene
    art: dict[str, str]
    origin: complex  # x + yj: turning and scaling is then one multiplication
    scale: complex

    def draw(self, name: str, border: list[tuple] = ()) -> None:
        """Draw the art of that name; its "<" stays inside the parts of `border` until it has an "=" of its own."""
        rows = [line.split(maxsplit=2) for line in self.art[name].strip().splitlines()]
        for sign, group in groupby(rows, key=lambda row: row[0][0]):
            if sign == "@":
                for _, other, places in group:
                    for place in places.split("|"):
                        self._move(*place.split()).draw(other, border)
                continue
            parts = [part for row in group for part in self._read(*row)]
            if sign == "=":
                border = parts
                if self.scene.line:
                    _paint(self.image, parts, self.scene.line, self.scene.line_width * OVERSAMPLING)
            before, mask = self.image.copy(), Image.new("L", self.image.size, 255)
            _paint(self.image, parts)
            if sign == "<":
                _paint(mask, border, 0)
                self.image.paste(before, mask=mask)

    def _move(self, point: str, percent: str, degrees: str) -> "Pencil":
        scale = self.scale * cmath.rect(float(percent) / 100, math.radians(float(degrees)))
        return replace(self, origin=self.origin + self.scale * _read_points(point)[0], scale=scale)

    def _read(self, sign: str, colour: str, shapes: str) -> Iterator[tuple]:
        """Yield colour, pixels and thickness (0: filled) of each shape in a line of art."""
        form, shapes = shapes.split(maxsplit=1)
        for shape in shapes.split("|"):
            points, thickness = _read_points(shape), 0
            if form == "oval":
                middle, radii = points
                turns = [cmath.rect(1, math.tau * step / 40) for step in range(40)]
                points = [middle + complex(radii.real * turn.real, radii.imag * turn.imag) for turn in turns]
            elif form == "curve":
                points = _smooth([points[-1], *points, *points[:2]])
            elif form != "corners":
                thickness = float(form) * abs(self.scale)
                points = _smooth([points[0], *points, points[-1]])
            mirrored = [-point.conjugate() for point in points]
            for side in (points, mirrored) if sign.endswith("~") else (points,):
                placed = [self.origin + self.scale * point for point in side]
                yield self.scene.colours[colour], [(point.real, point.imag) for point in placed], thickness


def _read_points(text: str) -> list[complex]:
    return [complex(*map(float, pair.split(","))) for pair in text.split()]


def _smooth(points: list[complex]) -> list[complex]:
    """Return a Catmull-Rom spline from the second point to the last but one, in eighths."""
    return [
        b + (t * (c - a) + t**2 * (2 * a - 5 * b + 4 * c - d) + t**3 * (3 * b - a - 3 * c + d)) / 2
        for a, b, c, d in zip(points, points[1:], points[2:], points[3:], strict=False)
        for t in (step / 8 for step in range(9))
    ]


def _paint(canvas: Image.Image, parts: list[tuple], paint: Colour | int | None = None, margin: float = 0) -> None:
    """Paint `parts` in their own colours or all in `paint`, `margin` pixels larger on every side."""
    draw = ImageDraw.Draw(canvas)
    for own, points, thickness in parts:
        fill, width = own if paint is None else paint, thickness + 2 * margin
        if not thickness:
            draw.polygon(points, fill)
        if width:
            draw.line(points if thickness else [*points, points[0]], fill, max(2, round(width)))
            for point in points:  # Pillow's own joints leave teeth in a tight bend
                draw.circle(point, width / 2, fill)


def _blend(colour: Colour, other: Colour, share: float) -> Colour:
    """Return `colour` with a `share`, 0 to 1, of the other in it."""
    return tuple(round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
