// The latency of each tool: a table whose cells are a heat map, with the numbers in it.

import { $, h, mark, orEmpty, put, table, text } from "./dom.js";
import { brief, count, duration } from "./format.js";

const MOST = 80;
const FIGURES = [
  ["Calls", (tool) => count(tool.calls), "number minor"],
  ["Errors", (tool) => count(tool.errors), "number minor"],
  ["p50", (tool) => duration(tool.p50_ms), "number minor"],
  ["p95", (tool) => duration(tool.p95_ms), "number"],
  ["Max", (tool) => duration(tool.max_ms), "number minor"],
];
let latest = null;
let rows = null;
let bounds = "";

const bound = (ms) => (ms < 1000 ? String(ms) : `${ms / 1000}k`);

/** The step of a cell beside the most frequent one of its tool. */
const heat = (calls, most) => (calls === 0 ? 0 : Math.ceil((5 * calls) / Math.max(most, calls)));

function cell(at) {
  return {
    class: "heat",
    show: (node, tool) => {
      const calls = tool.counts[at] ?? 0;
      put(node, calls === 0 ? "" : brief(calls));
      mark(node, "data-heat", heat(calls, Math.max(...tool.counts)));
    },
  };
}

/** The columns follow from the bounds, which are the same while a server runs. */
function build({ bounds_ms: limits }) {
  const key = limits.join();
  if (key === bounds) {
    return;
  }
  bounds = key;
  const head = (label, name, quiet = "") =>
    h("th", { scope: "col", class: name }, h("span", { class: "quiet" }, quiet), h("span", {}, label));
  const heads = limits.map((limit) => head(bound(limit), "bound", `up to ${duration(limit)}: `));
  const last = head(`>${bound(limits.at(-1) ?? 0)}`, "bound", `above ${duration(limits.at(-1) ?? 0)}: `);
  const figures = FIGURES.map(([label, , name]) => head(label, name));
  $("latency-head").replaceChildren(head("Tool", "stick"), ...figures, ...heads, last);
  $("latency-rows").replaceChildren();
  rows = table($("latency-rows"), (tool) => tool.tool, [
    text((tool) => tool.tool, "mono stick"),
    ...FIGURES.map(([, get, name]) => text(get, name)),
    ...[...limits, null].map((_, at) => cell(at)),
  ]);
}

function draw() {
  if (!latest) {
    return;
  }
  const order = $("latency-order").value;
  const by =
    order === "tool"
      ? (a, b) => a.tool.localeCompare(b.tool)
      : (a, b) => b[order] - a[order] || a.tool.localeCompare(b.tool);
  rows.show([...latest.tools].sort(by).slice(0, MOST));
  orEmpty("latency", latest.tools.length);
  $("latency-legend").hidden = latest.tools.length === 0;
}

$("latency-order").addEventListener("change", draw);

function latency(now) {
  latest = now;
  build(now);
  put($("latency-count"), `milliseconds, last ${duration(now.window_ms)}`);
  draw();
}

export const topics = { latency };
