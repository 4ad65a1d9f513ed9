// The view of commits: a graph of one branch or of several, with the patch of each commit.

/** Size of a row, and distance between lanes, in pixels. */
const ROW = 34;
const LANE = 14;
/** Lanes drawn at most, and colours of lanes. */
const MOST_LANES = 14;
const COLORS = 8;
/** Branches in the graph of all. */
const MOST_BRANCHES = 10;
/** Commits of a branch that are read at first, and more each time. */
const STEP = 50;
const ALL = "\n";

const state = { args: {}, place: {}, branches: [], shown: "", count: STEP, isWhole: false, open: null };

const host = new Host({ input: begin, result: received, cancelled: stopped, changed: () => offerFull(host) });

function begin(args) {
  state.args = args;
  state.place = placeOf(args);
  state.shown = args.rev ?? "";
  if (host.canCall) load(true);
}

/** Without calls, the commits of the result are a plain list. */
function received(result) {
  if (host.canCall) return;
  byId("picker").hidden = true;
  if (result.isError) return report(plainText(textOf(result)), "error");
  draw((result.structuredContent?.commits ?? []).map((commit) => ({ parents: [], ...commit })));
}

function stopped(reason) {
  report(reason ? `The call was cancelled: ${reason}` : "The call was cancelled.", "error");
}

/** Reads the branches if `isFirst`, and the commits. */
function load(isFirst) {
  return busy(async () => {
    if (isFirst) await loadBranches();
    const revs = state.shown === ALL ? newestBranches() : [state.shown];
    const listings = await Promise.all(revs.map(commitsOf));
    state.isWhole = listings.every((listing) => listing.isWhole);
    draw(merged(listings.map((listing) => listing.commits)));
  });
}

async function loadBranches() {
  const { structuredContent } = await host.call("git_branch", { branch_type: "all", ...state.place });
  state.branches = structuredContent?.branches ?? [];
  const names = state.branches.map((branch) => branch.name);
  const options = [["", "HEAD"], [ALL, "Branches together"], ...names.map((name) => [name, name])];
  if (state.shown && !names.includes(state.shown)) options.push([state.shown, state.shown]);
  byId("branch").replaceChildren(...options.map(([value, text]) => el("option", { value, text, selected: value === state.shown })));
}

/** The current branch, and others at different commits. */
function newestBranches() {
  const known = new Set();
  const sorted = [...state.branches].sort((one, other) => Number(other.current) - Number(one.current));
  return sorted.filter(({ id }) => !known.has(id) && known.add(id)).slice(0, MOST_BRANCHES).map(({ id }) => id);
}

/** The newest commits of a revision with their parents: `{ commits, isWhole }`. */
async function commitsOf(rev) {
  const { paths, author, grep, start_timestamp: since, end_timestamp: until } = state.args;
  const filter = { paths, author, grep, start_timestamp: since, end_timestamp: until };
  let args = { ...filter, ...(rev ? { rev } : {}), max_count: state.count, parents: true, ...state.place };
  const commits = [];
  while (args) {
    const { structuredContent } = await host.call("git_log", args);
    commits.push(...(structuredContent?.commits ?? []));
    const cursor = structuredContent?.next_cursor;
    args = cursor ? { ...args, cursor } : null;
  }
  return { commits: commits.map((commit) => ({ parents: [], ...commit })), isWhole: commits.length < state.count };
}

/** The names at a commit. */
function namesAt(id) {
  return state.branches.filter((branch) => branch.id === id).map((branch) =>
    el("span", { class: branch.current ? "ref current" : "ref", text: branch.name }));
}

function draw(commits) {
  const rows = lanesOf(commits);
  const most = Math.max(1, ...rows.map((row) => Math.max(row.lane + 1, row.after.length, ...row.lines.map((line) => Math.max(line.from, line.to) + 1))));
  const width = Math.min(most, MOST_LANES) * LANE;
  byId("commits").replaceChildren(...commits.map((commit, at) => rowView(commit, rows[at], width)));
  if (commits.length === 0) byId("commits").append(el("li", { class: "none", text: "No commits." }));
  byId("more").hidden = !host.canCall || state.isWhole;
}

function rowView(commit, row, width) {
  const details = el("div", { class: "details", hidden: true });
  const isMerge = commit.parents.length > 1;
  const head = el("button", { type: "button", class: "commit", "aria-expanded": "false" },
    el("span", { class: "subject" }, ...namesAt(commit.id), isMerge ? el("span", { class: "ref merge", text: "merge" }) : null, commit.subject),
    el("span", { class: "author", text: commit.author }),
    el("time", { datetime: commit.date, text: commit.date.slice(0, 10), title: commit.date }),
    el("code", { text: commit.id.slice(0, 9) }));
  head.disabled = !host.canCall;
  const below = el("div", { class: "below", hidden: true }, passing(row.after, width), details);
  head.addEventListener("click", () => toggle(commit, head, below, details));
  // On a narrow screen a row is taller than its drawing: its lanes continue below.
  const track = el("div", { class: "track" }, graphOf(row, width), passing(row.after, width));
  return el("li", {}, el("div", { class: "row" }, track, head), below);
}

async function toggle(commit, head, below, details) {
  const opens = below.hidden;
  below.hidden = details.hidden = !opens;
  head.setAttribute("aria-expanded", String(opens));
  if (opens && details.childElementCount === 0) await busy(() => showCommit(commit, details));
}

async function showCommit(commit, details) {
  const patch = new Patch().read(textOf(await host.call("git_show", { revision: commit.id, ...state.place })));
  const fill = () => {
    const total = patch.files.reduce((sum, file) => [sum[0] + file.added, sum[1] + file.removed], [0, 0]);
    details.replaceChildren(
      el("pre", { class: "message", text: patch.prelude.join("\n").trim() }),
      el("p", { class: "fact" }, `${counted(patch.files.length, "file")} `, countsOf(...total)),
      ...patchView(patch, false));
    if (patch.next) details.append(button("Show more", next, { class: "more" }));
  };
  const next = () =>
    busy(async () => {
      patch.read(textOf(await host.call(patch.next.name, { ...patch.next.args, ...state.place })));
      fill();
    });
  fill();
}

function x(lane) {
  return Math.min(lane, MOST_LANES - 1) * LANE + LANE / 2;
}

/** The drawing of a row. */
function graphOf(row, width) {
  const middle = ROW / 2;
  const path = ({ from, to, part }) => {
    const [start, end] = [part === "bottom" ? middle : 0, part === "top" ? middle : ROW];
    const bend = (start + end) / 2;
    return `M${x(from)} ${start}C${x(from)} ${bend} ${x(to)} ${bend} ${x(to)} ${end}`;
  };
  const svg = drawn("svg", { class: "graph", width, height: ROW, viewBox: `0 0 ${width} ${ROW}`, "aria-hidden": "true" });
  for (const line of row.lines) svg.append(drawn("path", { d: path(line), class: `line lane-${line.color % COLORS}` }));
  svg.append(drawn("circle", { cx: x(row.lane), cy: middle, r: 4.5, class: `dot lane-${row.color % COLORS}` }));
  return svg;
}

/** The lanes beside the details of a commit. */
function passing(lanes, width) {
  const svg = drawn("svg", { class: "graph", width, viewBox: `0 0 ${width} 1`, preserveAspectRatio: "none", "aria-hidden": "true" });
  for (const { lane, color } of lanes) {
    svg.append(drawn("path", { d: `M${x(lane)} 0V1`, class: `line lane-${color % COLORS}`, "vector-effect": "non-scaling-stroke" }));
  }
  return svg;
}

byId("branch").addEventListener("change", (event) => {
  state.shown = event.currentTarget.value;
  state.count = STEP;
  load(false);
});
byId("more").addEventListener("click", () => {
  state.count += STEP;
  load(false);
});
byId("refresh").addEventListener("click", () => host.canCall && load(true));
byId("full").addEventListener("click", () => busy(() => host.toggleFull()));
host.connect("git commits").catch((error) => report(error.message, "error"));
