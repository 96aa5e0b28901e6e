"""Records commands in a terminal and draws them as an animated SVG: docs/pictures/demo.svg.

    pip install pyte
    python3 docs/pictures/record.py docs/pictures/demo.scenario docs/pictures/demo.svg

A scenario is a text file: lines that start with `$ ` are typed and run, one after the other, in the current folder; a line
`# speed N` has what follows shown N times as fast. Each command runs in a terminal of 100 columns and 28 rows, what it writes
is kept with its time, and the screens are drawn as text, so that the picture stays small and sharp.
"""

import fcntl
import html
import os
import pty
import select
import struct
import sys
import termios
import time

import pyte

COLUMNS, ROWS = 100, 28
FRAME = 0.16  # Seconds between screens, at least.
TYPING = 0.03  # Seconds a character.
READING = 2.2  # Seconds that the end of a command's output stays.
LONGEST = 1.5  # Seconds that a silent terminal is shown, at most.
END = 5.0  # Seconds that the last screen stays.

WIDTH, HEIGHT, MARGIN = 8.4, 18, 14
PALETTE = {
    "default": "#d6deeb", "black": "#6b7a90", "red": "#ff6b6b", "green": "#8fd694", "brown": "#f2c55c", "yellow": "#f2c55c",
    "blue": "#82aaff", "magenta": "#d99bff", "cyan": "#7fdbca", "white": "#ffffff", "brightblack": "#8794a8",
    "brightred": "#ff8a8a", "brightgreen": "#a8e6ac", "brightbrown": "#ffd97a", "brightyellow": "#ffd97a",
    "brightblue": "#a3c0ff", "brightmagenta": "#e6bdff", "brightcyan": "#a8efe3", "brightwhite": "#ffffff",
}


class Recording:
    """The screens of a terminal, each with the time from which it is shown."""

    def __init__(self):
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)
        self.now = 0.0
        self.frames = []

    def write(self, data):
        self.stream.feed(data)
        lines = [self.line(y) for y in range(ROWS)]
        if self.frames and self.now - self.frames[-1][0] < FRAME:
            self.frames[-1] = (self.frames[-1][0], lines)
        elif not self.frames or self.frames[-1][1] != lines:
            self.frames.append((self.now, lines))

    def line(self, y):
        """A line as runs of text of one style: (column, text, colour, bold)."""
        runs, row = [], self.screen.buffer[y]
        for x in range(COLUMNS):
            cell = row[x]
            style = (cell.fg, cell.bold)
            if runs and (tuple(runs[-1][2:]) == style or not cell.data.strip()):
                runs[-1][1] += cell.data
            else:
                runs.append([x, cell.data, *style])
        return tuple((x, text.rstrip(), colour, bold) for x, text, colour, bold in runs if text.strip())

    def typed(self, command):
        self.write(b"\x1b[92m$\x1b[0m ")
        self.now += 0.5
        for character in command:
            self.now += TYPING
            self.write(character.encode())
        self.now += 0.4
        self.write(b"\r\n")

    def run(self, command, speed):
        process, terminal = pty.fork()
        if process == 0:
            os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(ROWS))
            os.execvp("sh", ["sh", "-c", command])
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        last = time.monotonic()
        while True:
            select.select([terminal], [], [])
            try:
                data = os.read(terminal, 65536)
            except OSError:  # The terminal is closed once the command has ended.
                data = b""
            now = time.monotonic()
            self.now += min((now - last) / speed, LONGEST)
            last = now
            if not data:
                break
            self.write(data)
        os.waitpid(process, 0)
        self.now += READING


def colour(name):
    return PALETTE.get(name, name if name.startswith("#") else f"#{name}")


def drawn(line):
    texts = []
    for x, text, fg, bold in line:
        style = "" if fg == "default" else f' fill="{colour(fg)}"'
        style += ' font-weight="600"' if bold else ""
        width = f' textLength="{len(text) * WIDTH:.1f}"' if len(text) > 1 else ""
        texts.append(f'<text x="{x * WIDTH:.1f}"{width}{style}>{html.escape(text, quote=False)}</text>')
    return "".join(texts)


def svg(recording):
    frames, total = recording.frames, recording.now + END
    width, height = COLUMNS * WIDTH, ROWS * HEIGHT
    pitch = height + 2 * HEIGHT  # From screen to screen, so that nothing of the next one shows.
    names, definitions, screens, steps = {}, [], [], []
    for number, (start, lines) in enumerate(frames):
        uses = []
        for y, line in enumerate(lines):
            if not line:
                continue
            if line not in names:
                names[line] = f"l{len(names)}"
                definitions.append(f'<g id="{names[line]}">{drawn(line)}</g>')
            uses.append(f'<use href="#{names[line]}" y="{y * HEIGHT}"/>')
        screens.append(f'<g transform="translate(0 {number * pitch})">{"".join(uses)}</g>')
        steps.append(f"{100 * start / total:.3f}%{{transform:translateY(-{number * pitch}px)}}")
    end = (len(frames) - 1) * pitch
    last = f"translateY(-{end}px)"
    outer = (width + 2 * MARGIN, height + 2 * MARGIN + 14)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {outer[0]:.0f} {outer[1]:.0f}" width="{outer[0]:.0f}" height="{outer[1]:.0f}" font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace" font-size="14" fill="{PALETTE['default']}" xml:space="preserve">
<style>text{{white-space:pre;dominant-baseline:hanging}}
.r{{animation:r {total:.2f}s step-end infinite}}
@keyframes r{{{"".join(steps)}100%{{transform:{last}}}}}
@media (prefers-reduced-motion:reduce){{.r{{animation:none;transform:{last}}}}}</style>
<defs>{"".join(definitions)}</defs>
<rect width="100%" height="100%" rx="8" fill="#0f1b2a"/>
<svg x="{MARGIN}" y="{MARGIN + 7}" width="{width:.0f}" height="{height}" viewBox="0 0 {width:.0f} {height}"><g class="r" transform="translate(0 -{end})">
{chr(10).join(screens)}
</g></svg></svg>
"""


def main():
    scenario, output = sys.argv[1:]
    recording, speed = Recording(), 1.0
    with open(scenario, encoding="utf-8") as file:
        for line in file.read().splitlines():
            if line.startswith("# speed "):
                speed = float(line.removeprefix("# speed "))
            elif line.startswith("$ "):
                recording.typed(line.removeprefix("$ "))
                recording.run(line.removeprefix("$ "), speed)
    recording.write(b"\x1b[92m$\x1b[0m ")
    with open(output, "w", encoding="utf-8") as file:
        file.write(svg(recording))
    print(f"{output}: {len(recording.frames)} screens, {recording.now:.0f} s")


main()
