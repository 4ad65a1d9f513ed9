// Curves of the last hour, as SVG that is updated in place.

import { h, mark, put } from "./dom.js";
import { clock } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 58;
const BOTTOM = 20;
const TOP = 8;

function s(tag, attributes = {}) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    node.setAttribute(name, value);
  }
  return node;
}

/** The commands of a line through points, interrupted where a value is null. */
function line(points) {
  let commands = "";
  let isDown = false;
  for (const [x, y] of points) {
    if (y === null) {
      isDown = false;
    } else {
      commands += `${isDown ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
      isDown = true;
    }
  }
  return commands;
}

/** A small curve without axes, beside a figure that has its text. */
export class Spark {
  #area = s("path", { class: "area" });
  #line = s("path", { class: "line", "vector-effect": "non-scaling-stroke" });

  constructor(svg) {
    svg.append(this.#area, this.#line);
  }

  show(values) {
    const most = Math.max(...values.map((value) => value ?? 0), 1e-9);
    const step = 120 / Math.max(values.length - 1, 1);
    const points = values.map((value, at) => [at * step, value == null ? null : 30 - (28 * value) / most]);
    const commands = values.length > 1 ? line(points) : "";
    mark(this.#line, "d", commands);
    const isWhole = commands !== "" && values.every((value) => value != null);
    mark(this.#area, "d", isWhole ? `${commands}L120 32L0 32Z` : "");
  }
}

/** The smallest round number of steps that holds `most`: an axis whose labels stay short. */
export function roundUp(most, base) {
  if (most <= 0) {
    return base === 1024 ? 1024 ** 2 : 1;
  }
  const unit = base ** Math.floor(Math.log(most) / Math.log(base));
  const steps = base === 1024 ? [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] : [1, 2, 4, 5, 10];
  return unit * (steps.find((step) => unit * step >= most * 0.999) ?? base);
}

/**
 * Curves over time. It is a slider: the arrow keys and the pointer move a marker, whose values are read out.
 * `series` has `name`, `get(sample)` and `format(value)`; the first one has an area, the others are dashed.
 */
export class Curves {
  #host;
  #series;
  #base;
  #height;
  #limit;
  #samples = [];
  #chosen = null;
  #svg = s("svg", { "aria-hidden": "true", focusable: "false" });
  #grid = [];
  #paths = [];
  #marker = s("line", { class: "marker" });
  #times = [];
  #plot;
  #readout = h("p", { class: "readout" });

  constructor(host, { label, series, base = 10, height = 170, top = null }) {
    this.#host = host;
    this.#series = series;
    this.#base = base;
    this.#height = height;
    this.#limit = top;
    this.#plot = h("div", { class: "plot", role: "slider", tabindex: "0", "aria-label": label, "aria-valuemin": "0" });
    this.#build();
    this.#listen();
    new ResizeObserver(() => this.#draw()).observe(this.#plot);
  }

  #build() {
    for (let at = 0; at < 3; at += 1) {
      const pair = [s("line", { class: "rule" }), s("text", { class: "tick", "text-anchor": "end", x: LEFT - 8 })];
      this.#svg.append(...pair);
      this.#grid.push(pair);
    }
    for (const [at] of this.#series.entries()) {
      const path = s("path", { class: `line series-${at}` });
      const area = at === 0 ? s("path", { class: "area" }) : null;
      this.#svg.append(...[area, path].filter(Boolean));
      this.#paths.push([path, area]);
    }
    for (const anchor of ["start", "middle", "end"]) {
      const tick = s("text", { class: "tick", "text-anchor": anchor });
      this.#svg.append(tick);
      this.#times.push(tick);
    }
    this.#svg.append(this.#marker);
    this.#plot.append(this.#svg);
    const legend = this.#series.map(({ name }, at) => h("li", {}, h("span", { class: `swatch series-${at}` }), name));
    this.#host.append(
      h("div", { class: "caption" }, h("ul", { class: "legend" }, ...legend), this.#readout),
      this.#plot,
    );
  }

  #listen() {
    this.#plot.addEventListener("pointermove", (event) => {
      const box = this.#plot.getBoundingClientRect();
      const part = (event.clientX - box.left - LEFT) / (box.width - LEFT - 1);
      this.#choose(Math.round(part * (this.#samples.length - 1)));
    });
    this.#plot.addEventListener("pointerleave", () => this.#choose(null));
    this.#plot.addEventListener("blur", () => this.#choose(null));
    this.#plot.addEventListener("keydown", (event) => {
      const last = this.#samples.length - 1;
      const at = this.#chosen ?? last;
      const to = { ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at - 12, PageDown: at + 12, Home: 0, End: last }[
        event.key
      ];
      if (to !== undefined) {
        event.preventDefault();
        this.#choose(to);
      }
    });
  }

  #choose(at) {
    const last = this.#samples.length - 1;
    this.#chosen = at === null || last < 0 ? null : Math.min(Math.max(at, 0), last);
    this.#mark();
  }

  /** Shows samples, oldest first; each has `at_ms`. */
  show(samples) {
    this.#samples = samples;
    this.#chosen = this.#chosen === null ? null : Math.min(this.#chosen, samples.length - 1);
    this.#draw();
  }

  #x(at) {
    return LEFT + ((this.#plot.clientWidth - LEFT - 1) * at) / Math.max(this.#samples.length - 1, 1);
  }

  #draw() {
    const width = this.#plot.clientWidth;
    if (width === 0) {
      return;
    }
    const floor = this.#height - BOTTOM;
    const values = this.#series.map(({ get }) => this.#samples.map((sample) => get(sample) ?? null));
    const top = this.#limit ?? roundUp(Math.max(...values.flat().map((value) => value ?? 0), 0), this.#base);
    const y = (value) => floor - ((floor - TOP) * Math.min(value, top)) / top;
    mark(this.#svg, "viewBox", `0 0 ${width} ${this.#height}`);
    mark(this.#svg, "height", this.#height);
    this.#grid.forEach(([rule, tick], at) => {
      const height = y((top * at) / 2);
      for (const [name, value] of Object.entries({ x1: LEFT, x2: width, y1: height, y2: height })) {
        mark(rule, name, value);
      }
      mark(tick, "y", height + 4);
      put(tick, this.#series[0].format((top * at) / 2));
    });
    this.#paths.forEach(([path, area], at) => {
      const points = values[at].map((value, index) => [this.#x(index), value === null ? null : y(value)]);
      const commands = line(points);
      mark(path, "d", commands);
      const isWhole = area && points.length > 1 && points.every(([, height]) => height !== null);
      if (area) {
        mark(area, "d", isWhole ? `${commands}L${width - 1} ${floor}L${LEFT} ${floor}Z` : "");
      }
    });
    this.#drawTimes(width);
    this.#mark();
  }

  #drawTimes(width) {
    const last = this.#samples.length - 1;
    [0, Math.floor(last / 2), last].forEach((index, at) => {
      const sample = this.#samples[index];
      mark(this.#times[at], "x", [LEFT, (LEFT + width) / 2, width - 1][at]);
      mark(this.#times[at], "y", this.#height - 4);
      put(this.#times[at], sample && (at === 0 || last > 1) ? clock(sample.at_ms) : "");
    });
  }

  #mark() {
    const last = this.#samples.length - 1;
    const at = this.#chosen ?? last;
    const sample = this.#samples[at];
    mark(this.#plot, "aria-valuemax", Math.max(last, 0));
    mark(this.#plot, "aria-valuenow", Math.max(at, 0));
    const read = sample
      ? [clock(sample.at_ms), ...this.#series.map(({ name, get, format }) => `${name} ${format(get(sample))}`)].join(
          ", ",
        )
      : "no samples yet";
    mark(this.#plot, "aria-valuetext", read);
    put(this.#readout, this.#chosen === null ? "" : read);
    for (const [name, value] of Object.entries({
      x1: this.#x(at),
      x2: this.#x(at),
      y1: TOP,
      y2: this.#height - BOTTOM,
    })) {
      mark(this.#marker, name, value);
    }
    mark(this.#marker, "data-on", this.#chosen !== null);
  }
}
