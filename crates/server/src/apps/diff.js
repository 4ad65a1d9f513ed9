// The view of changes: those of the working tree with actions on hunks and files, others to read.

/** Pages of a listing that are read at once. */
const PAGES = 5;
const SIDES = {
  unstaged: { action: "stage", name: "Unstaged", none: "No unstaged changes.", column: 1 },
  staged: { action: "unstage", name: "Staged", none: "Nothing is staged.", column: 0 },
};

const state = {
  args: {},
  place: {},
  result: null,
  patch: null,
  isSplit: false,
  side: "unstaged",
  sides: { unstaged: [], staged: [] },
  more: { unstaged: null, staged: null },
  conflicts: 0,
};

const host = new Host({ input: begin, result: received, cancelled: stopped, changed: () => offerFull(host) });

/** Whether the call shows the working tree's own changes, on which the view can act. */
function isOfWorktree() {
  return host.canCall && ["target", "base", "revision", "base_branch"].every((name) => state.args[name] === undefined);
}

function begin(args) {
  state.args = args;
  state.place = placeOf(args);
  state.side = args.scope === "staged" ? "staged" : "unstaged";
  byId("sides").hidden = !isOfWorktree();
  if (isOfWorktree()) refresh();
}

function received(result) {
  state.result = result;
  if (!isOfWorktree()) showResult();
}

function stopped(reason) {
  report(reason ? `The call was cancelled: ${reason}` : "The call was cancelled.", "error");
}

/** Shows the call's own result, or reads the patch if the result is no whole one. */
async function showResult() {
  const { args } = state;
  if (state.result.isError) return report(plainText(textOf(state.result)), "error");
  byId("about").textContent = aboutOf(args);
  state.patch = new Patch();
  const asks = ["stat", "outline", "cursor", "byte_range", "max_tokens"].filter((name) => args[name] !== undefined);
  if (asks.length === 0 || !host.canCall) state.patch.read(textOf(state.result));
  else {
    const whole = { ...args };
    for (const name of asks) delete whole[name];
    const tool = args.revision === undefined ? "git_diff" : "git_show";
    await busy(async () => state.patch.read(textOf(await host.call(tool, whole))));
  }
  draw();
}

function aboutOf({ target, base, base_branch: from, compare_branch: to, merge_base: isFork, revision }) {
  if (revision) return revision;
  if (from) return `${from} to ${to}`;
  if (base) return `${base} to ${target ?? "HEAD"}${isFork ? ", since their merge base" : ""}`;
  if (target) return target.includes("..") ? target : `the working tree against ${target}`;
  return "";
}

/** Reads both sides of the index anew. */
function refresh() {
  return busy(async () => {
    const [unstaged, staged, status] = await Promise.all([hunksOf("unstaged"), hunksOf("staged"), statusOf()]);
    state.sides = { unstaged: filesOf(unstaged, status, 1), staged: filesOf(staged, status, 0) };
    state.conflicts = status.filter((entry) => isInConflict(entry.letters)).length;
    draw();
  });
}

/** Calls a tool, and the next calls that its results name, for a few pages. Returns their lines and the next call. */
async function pages(name, args, limit = PAGES) {
  let call = { name, args: { ...args, ...state.place } };
  const lines = [];
  for (let page = 0; call && page < limit; page++) {
    const read = linesOf(textOf(await host.call(call.name, call.args)));
    call = null;
    for (const line of read) {
      if (line.own) call ??= nextIn(line.text);
      lines.push(line);
    }
  }
  return { lines, next: call };
}

async function hunksOf(side, call = null) {
  const args = { list: true, action: SIDES[side].action, ...(state.args.paths ? { files: state.args.paths } : {}) };
  const { lines, next } = await pages("git_add", call ? call.args : args);
  state.more[side] = next;
  return hunksIn(lines);
}

/** The hunks of a `git_add` listing: `{ id, path, text, cut }`. */
function hunksIn(lines) {
  const hunks = [];
  for (const line of lines) {
    const [, id, path] = (line.own && /^hunk ([0-9a-f]+) of (.*)$/s.exec(line.text)) || [];
    if (id) hunks.push({ id, path, text: [], cut: false });
    else if (line.own && line.text.startsWith("the hunk above has")) hunks.at(-1).cut = true;
    else if (!line.own && hunks.length > 0) hunks.at(-1).text.push(line.text);
  }
  return hunks;
}

/** The entries of git_status: `{ letters, path, from }`. */
async function statusOf() {
  const { lines } = await pages("git_status", {});
  const entries = [];
  for (const line of lines) {
    const [, letters, name] = (!line.own && /^([^#].) (.*)$/s.exec(line.text)) || [];
    if (!letters) continue;
    const [path, from] = name.split(" -> ").reverse();
    if (isAsked(path)) entries.push({ letters, path, from: from ?? null });
  }
  return entries;
}

function isAsked(path) {
  const paths = state.args.paths ?? [];
  return paths.length === 0 || paths.some((one) => one === "." || path === one || path.startsWith(`${one.replace(/\/$/, "")}/`));
}

function isInConflict(letters) {
  return letters.includes("U") || letters === "AA" || letters === "DD";
}

/** The files of one side: those with hunks, and those that only the status names. */
function filesOf(hunks, status, column) {
  const files = new Map();
  const fileOf = (path) => {
    if (!files.has(path)) files.set(path, { path, from: null, kind: "M", isBinary: false, added: 0, removed: 0, hunks: [] });
    return files.get(path);
  };
  for (const { id, path, text, cut } of hunks) {
    const patch = new Patch().read(`diff --git a/${path} b/${path}\n${text.join("\n")}\n`);
    const [hunk] = patch.files[0].hunks;
    if (!hunk) continue;
    const file = fileOf(path);
    file.hunks.push({ id, cut, ...hunk });
    file.added += patch.files[0].added;
    file.removed += patch.files[0].removed;
  }
  for (const { letters, path, from } of status) {
    const letter = letters === "??" && column === 0 ? " " : letters[column];
    if (" !".includes(letter) || isInConflict(letters)) continue;
    const old = column === 0 ? from : null;
    Object.assign(fileOf(path), { kind: letter, from: old });
    // Hunks are listed without renames: the old path has those that delete its lines.
    if (old !== null && letter === "R" && files.has(old)) files.get(old).kind = "D";
  }
  return [...files.values()].sort((one, other) => (one.path < other.path ? -1 : 1));
}

/** Runs an action of the user, informs the model, and shows the new state. */
async function act(said, tool, args, ...actions) {
  const isDone = await busy(async () => {
    await host.call(tool, { ...args, ...state.place });
    host.inform(`In the view of changes, the user has ${said}.`);
  });
  if (isDone) report(`${said[0].toUpperCase()}${said.slice(1)}.`, "info", ...actions);
  await refresh();
}

/** Undoes the last change, after its preview. */
function undoButton() {
  return button("Undo", () =>
    busy(async () => {
      const preview = textOf(await host.call("git_undo", { ...state.place }));
      const call = linesOf(preview).filter((line) => line.own).map((line) => callIn(line.text)).find((found) => found?.name === "git_undo" && found.args.id);
      if (!call) return report(plainText(preview));
      const confirm = button("Undo it", () => act("undone the last change", "git_undo", { id: call.args.id }), { class: "danger" });
      return report(plainText(preview), "info", confirm, button("Keep", () => report(""), { class: "quiet" }));
    }));
}

function hunkActions(file, hunk, side) {
  const at = `hunk of ${file.path}, ${lineOf(hunk)}`;
  const run = (action, said) => () => act(`${said} a ${at}`, "git_add", { hunks: [hunk.id], action }, ...(action === "discard" ? [undoButton()] : []));
  if (side === "staged") return [button("Unstage hunk", run("unstage", "unstaged"), { "aria-label": `Unstage ${at}` })];
  return [
    button("Stage hunk", run("stage", "staged"), { "aria-label": `Stage ${at}` }),
    askingButton("Discard", "Discard this hunk", run("discard", "discarded"), { class: "quiet", "aria-label": `Discard the ${at}` }),
  ];
}

function fileActions(file, side) {
  const paths = file.from ? [file.path, file.from] : [file.path];
  if (side === "staged") {
    return [button("Unstage file", () => act(`unstaged ${file.path}`, "git_reset", { paths }), { "aria-label": `Unstage file ${file.path}` })];
  }
  const stage = button("Stage file", () => act(`staged ${file.path}`, "git_add", { files: [file.path] }), { "aria-label": `Stage file ${file.path}` });
  if (file.kind === "?") return [stage];
  const discard = () => act(`discarded the changes of ${file.path}`, "git_restore", { paths: [file.path] }, undoButton());
  return [stage, askingButton("Discard", "Discard all its changes", discard, { class: "quiet", "aria-label": `Discard the changes of ${file.path}` })];
}

function fileView(file, side, isOpen) {
  const body = el("div", { class: "hunks" });
  if (file.hunks.length === 0) {
    const why = file.kind === "?" ? "New: staging adds the whole file." : "It has no hunks: it changes as a whole.";
    body.append(el("p", { class: "fact", text: why }));
  }
  for (const hunk of file.hunks) {
    const label = `${file.path}, ${lineOf(hunk)}`;
    body.append(
      el("div", { class: "hunk-bar" }, el("p", { class: "place", text: placeText(hunk) }), el("span", { class: "actions" }, ...hunkActions(file, hunk, side))),
      hunkTable(hunk, label, state.isSplit));
    if (hunk.cut) body.append(el("p", { class: "fact", text: "Only the start of this hunk is shown. An action applies to all of it." }));
  }
  const heading = el("summary", {}, ...fileHeading(file));
  return el("div", { class: "file-box" }, el("details", { class: "file", open: isOpen, "data-path": file.path }, heading, body),
    el("span", { class: "actions file-actions" }, ...fileActions(file, side)));
}

/** Draws the state. What the user has closed stays closed. */
function draw() {
  const main = byId("files");
  main.setAttribute("role", isOfWorktree() ? "tabpanel" : "group");
  const closed = new Set([...main.querySelectorAll("details.file:not([open])")].map((node) => node.dataset.path));
  if (!isOfWorktree()) return drawPatch(main);
  for (const side of Object.keys(SIDES)) {
    const tab = byId(side);
    tab.setAttribute("aria-selected", String(side === state.side));
    tab.tabIndex = side === state.side ? 0 : -1;
    tab.replaceChildren(SIDES[side].name, el("span", { class: "badge", text: String(state.sides[side].length) }));
  }
  main.setAttribute("aria-labelledby", state.side);
  const files = state.sides[state.side];
  const opens = opener();
  const views = files.map((file) => fileView(file, state.side, !closed.has(file.path) && opens(file)));
  if (files.length === 0) views.push(el("p", { class: "none", text: SIDES[state.side].none }));
  if (state.conflicts > 0) views.unshift(el("p", { class: "fact warning", text: `${counted(state.conflicts, "path")} in conflict: git_conflicts shows them.` }));
  if (state.more[state.side]) views.push(button("Show more", more, { class: "more" }));
  keepingFocus(main, () => main.replaceChildren(...views));
}

function more() {
  const { side } = state;
  return busy(async () => {
    const [hunks, status] = [await hunksOf(side, state.more[side]), await statusOf()];
    const files = filesOf(hunks, status, SIDES[side].column);
    const shown = new Map(state.sides[side].map((file) => [file.path, file]));
    for (const file of files) {
      const old = shown.get(file.path);
      if (!old) shown.set(file.path, file);
      else if (file.hunks.length > 0) {
        const ids = new Set(old.hunks.map((hunk) => hunk.id));
        const added = file.hunks.filter((hunk) => !ids.has(hunk.id));
        Object.assign(old, { hunks: [...old.hunks, ...added], added: old.added + file.added, removed: old.removed + file.removed });
      }
    }
    state.sides[side] = [...shown.values()];
    draw();
  });
}

function drawPatch(main) {
  const { patch } = state;
  if (!patch) return;
  const notes = patch.notes.filter((note) => !nextIn(note) && !/^[A-Z] .* (\+\d+ -\d+|binary)$/.test(note));
  const views = [];
  if (patch.prelude.length > 0) views.push(el("pre", { class: "message", text: patch.prelude.join("\n").trim() }));
  views.push(...notes.map((note) => el("p", { class: "fact", text: note })), ...patchView(patch, state.isSplit));
  if (patch.next && host.canCall) views.push(button("Show more", morePatch, { class: "more" }));
  main.replaceChildren(...views);
}

function morePatch() {
  return busy(async () => {
    const { name, args } = state.patch.next;
    state.patch.read(textOf(await host.call(name, { ...args, ...state.place })));
    draw();
  });
}

function choose(side) {
  state.side = side;
  draw();
  byId(side).focus();
}

byId("unstaged").addEventListener("click", () => choose("unstaged"));
byId("staged").addEventListener("click", () => choose("staged"));
byId("sides").addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") choose(state.side === "staged" ? "unstaged" : "staged");
});
byId("layout").addEventListener("click", (event) => {
  state.isSplit = !state.isSplit;
  event.currentTarget.setAttribute("aria-pressed", String(state.isSplit));
  draw();
});
byId("refresh").addEventListener("click", () => (isOfWorktree() ? refresh() : state.result && showResult()));
byId("full").addEventListener("click", () => busy(() => host.toggleFull()));
host.connect("git changes").catch((error) => report(error.message, "error"));
