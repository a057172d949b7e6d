"use strict";
// Values of each frame, and what a sound looks like: a click shows that frame.

const WIDTH = 1000;
const HEIGHT = 100;

/** Return a chart whose cursor follows the player. `seekAt` is called with a place from 0 to 1. */
function chart(label, seekAt) {
  const svg = svgElement("svg", {
    class: "chart",
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": label,
  });
  svg.cursor = svgElement("line", { class: "here", x1: 0, x2: 0, y1: 0, y2: HEIGHT });
  svg.append(svg.cursor);
  svg.addEventListener("click", (event) => {
    const box = svg.getBoundingClientRect();
    seekAt(clamp((event.clientX - box.left) / box.width, 0, 1));
  });
  svg.moveTo = (place) => {
    svg.cursor.setAttribute("x1", place * WIDTH);
    svg.cursor.setAttribute("x2", place * WIDTH);
  };
  return svg;
}

class Curves {
  constructor(player) {
    this.player = player;
    this.charts = [];
    this.worst = null;
  }

  /** Show the curves of the sides that are seen; those of a single candidate also beside other files. */
  show(clip, sides) {
    this.charts = [];
    this.worst = null;
    const seen = clip.curves.filter((curve) => sides.includes(run.gates[curve.gate].side));
    find("curves").replaceChildren(...(seen.length ? seen : clip.curves).map((curve) => this.curve(curve)));
    const sounds = sides.flatMap((side) => {
      const entry = clip.media[side];
      return entry && entry.sound ? [this.sound(side, entry.sound)] : [];
    });
    find("sounds").replaceChildren(...sounds);
  }

  curve(curve) {
    const gate = run.gates[curve.gate];
    const known = curve.values.filter((value) => value !== null);
    const low = Math.min(...known);
    const high = Math.max(...known);
    const end = Math.max(curve.frames[curve.frames.length - 1] + 1, this.player.count);
    const x = (i) => ((curve.frames[i] + 0.5) / end) * WIDTH;
    const y = (value) => HEIGHT - 5 - ((value - low) / (high - low || 1)) * (HEIGHT - 10);
    const unit = gate.unit && ` ${gate.unit}`;
    const label = `${gate.label}, ${curve.name}: ${digits(low)} to ${digits(high)}${unit} over ${known.length} frames`;
    const svg = chart(label, (place) => this.player.step(Math.floor(place * end) - this.player.frame));
    let line = [];
    const draw = () => {
      if (line.length) svg.prepend(svgElement("polyline", { points: line.join(" ") }));
      line = [];
    };
    for (const [i, value] of curve.values.entries()) {
      if (value === null) draw();
      else line.push(`${x(i).toFixed(1)},${y(value).toFixed(1)}`);
    }
    draw();
    const worst = curve.frames[curve.values.indexOf((curve.high_is_bad ?? gate.sign < 0) ? high : low)];
    if (this.worst === null) this.worst = worst;
    const box = element("div", "curve");
    const title = element("h4", "", `${label}. `);
    const jump = element("button", "", `Worst: frame ${worst}`);
    jump.type = "button";
    jump.addEventListener("click", () => this.player.step(worst - this.player.frame));
    title.append(jump);
    box.append(title, svg, this.table(curve));
    this.charts.push(() => svg.moveTo((this.player.frame + 0.5) / end));
    return box;
  }

  table(curve) {
    const details = element("details");
    const pairs = curve.values.map((value, i) => `${curve.frames[i]}: ${digits(value)}`);
    const text = element("p", "", pairs.join(", "));
    details.append(element("summary", "", "as numbers"), text);
    return details;
  }

  sound(side, sound) {
    const seek = (place) => this.player.seekTime(place * sound.seconds);
    const box = element("div", "sound");
    const svg = chart(`waveform of the ${side}, ${digits(sound.seconds)} seconds`, seek);
    const count = sound.envelope.length / 2;
    const at = (i, which) => {
      const y = HEIGHT / 2 - (sound.envelope[2 * i + which] * HEIGHT) / 2;
      return `${(((i + 0.5) / count) * WIDTH).toFixed(1)},${y.toFixed(1)}`;
    };
    const upper = Array.from({ length: count }, (_, i) => at(i, 1));
    const lower = Array.from({ length: count }, (_, i) => at(count - 1 - i, 0));
    svg.prepend(svgElement("path", { class: "envelope", d: `M${[...upper, ...lower].join("L")}Z` }));
    const image = element("img");
    image.src = urlOf(sound.src);
    image.alt = `mel spectrogram of the ${side}, low tones below, −80 dB to full scale`;
    box.append(element("h4", "", `Sound of the ${side}`), svg, image);
    this.charts.push(() => svg.moveTo(clamp(this.seconds() / sound.seconds, 0, 1)));
    return box;
  }

  seconds() {
    const clock = this.player.clock;
    if (clock.count) return clock.timeOf(this.player.frame);
    return clock.media ? clock.media.currentTime : 0;
  }

  move() {
    for (const update of this.charts) update();
  }
}
