// The view of conflicts: a side for a file, or a choice for each conflict in it.

/** Pages of a file's conflicts that are read. */
const PAGES = 20;

const state = { args: {}, place: {}, result: null, files: [], end: null };

const host = new Host({ input: begin, result: received, cancelled: stopped, changed: () => offerFull(host) });

function begin(args) {
  state.args = args;
  state.place = placeOf(args);
  if (host.canCall) refresh();
}

/** Without calls, the result is shown as it is. */
function received(result) {
  if (host.canCall) return;
  if (result.isError) return report(plainText(textOf(result)), "error");
  byId("paths").replaceChildren(el("pre", { class: "message", text: plainText(textOf(result)) }));
}

function stopped(reason) {
  report(reason ? `The call was cancelled: ${reason}` : "The call was cancelled.", "error");
}

function call(name, args = {}) {
  return host.call(name, { ...args, ...state.place });
}

/** Reads the conflicted paths and the conflicts in each. */
function refresh() {
  return busy(async () => {
    const { files, facts } = listed(await everyPage());
    await Promise.all(files.map(readFile));
    files.forEach(keepChoices);
    Object.assign(state, { files, facts });
    draw();
  });
}

/** The lines of git_conflicts, over all of its pages. */
async function everyPage() {
  const { paths } = state.args;
  let next = { name: "git_conflicts", args: paths ? { paths } : {} };
  const lines = [];
  while (next) {
    const page = linesOf(textOf(await call(next.name, next.args)));
    lines.push(...page);
    next = page.filter((line) => line.own).map((line) => nextIn(line.text)).find((found) => found?.name === "git_conflicts") ?? null;
  }
  return lines;
}

/** The paths in the server's lines: `{ path, sides, isModule }`, and its other facts. */
function listed(lines) {
  const [files, facts] = [[], []];
  for (const { own, text } of lines) {
    if (!own) continue;
    const [, path, sides] = /^(.*) \(git_show: (.*)\)$/s.exec(text) ?? [];
    const [, module, commits] = /^(.*) is a submodule with conflicting commits: (.*)$/s.exec(text) ?? [];
    if (path) files.push({ path, missing: /; not in (.*)$/.exec(sides)?.[1] ?? "", isModule: false, chunks: [] });
    else if (module) files.push({ path: module, missing: "", isModule: true, commits, chunks: [] });
    else facts.push(text);
  }
  return { files, facts };
}

async function readFile(file) {
  file.choices = new Map();
  if (file.isModule) return;
  const patch = new Patch();
  let next = { name: "git_diff", args: { paths: [file.path] } };
  for (let page = 0; next && page < PAGES; page++) {
    patch.read(textOf(await call(next.name, next.args)));
    next = patch.next;
  }
  file.chunks = chunksOf(patch).filter((chunk) => chunk.parts.some(isConflict));
  file.obstacle = next ? "It has more conflicts than are shown." : (file.chunks.map(obstacle).find((why) => why !== null) ?? null);
}

function conflictsOf(file) {
  return file.chunks.flatMap((chunk) => chunk.parts).filter(isConflict);
}

/** Takes over the choices made so far for conflicts that are unchanged. */
function keepChoices(file) {
  const old = state.files.find((one) => one.path === file.path);
  const content = (part) => part.lines.map((line) => line.text).join("\n");
  const made = new Map([...(old?.choices ?? [])].map(([part, choice]) => [content(part), choice]));
  for (const part of conflictsOf(file)) if (made.has(content(part))) file.choices.set(part, made.get(content(part)));
}

/** Runs an action of the user, informs the model, and shows the new state. */
async function act(said, work) {
  const isDone = await busy(async () => {
    await work();
    host.inform(`In the view of conflicts, the user has ${said}.`);
  });
  if (isDone) report(`${said[0].toUpperCase()}${said.slice(1)}.`);
  await refresh();
}

function takeSide(file, take) {
  return act(`taken ${take} for ${file.path}`, () => call("git_conflicts", { paths: [file.path], take }));
}

/** Writes the chosen text of a file's conflicts, and marks the file as resolved if none is left. */
function apply(file) {
  const all = conflictsOf(file);
  const isResolved = all.every((part) => file.choices.has(part));
  const chosen = new Map([...file.choices].map(([part, choice]) => [part, textChosen(part, choice)]));
  return act(`resolved ${isResolved ? "all" : counted(chosen.size, "conflict")} in ${file.path}`, async () => {
    await applied(file, chosen);
    if (isResolved) await call("git_add", { files: [file.path] });
  });
}

/** Applies the patch. If it fails, the file may lack a line break at its end. */
async function applied(file, chosen) {
  const attempt = (isBare) => call("git_apply", { patch: resolution(file.path, file.chunks, chosen, isBare) });
  try {
    await attempt(false);
  } catch (error) {
    await attempt(true).catch(() => Promise.reject(error));
  }
}

function textChosen(part, { kind, text }) {
  if (kind !== "edit") return textOfSide(part, kind);
  const whole = text === "" || text.endsWith("\n") ? text : `${text}\n`;
  // A text field drops carriage returns.
  return part.lines.every((line) => line.text.endsWith("\r")) ? whole.replaceAll("\n", "\r\n") : whole;
}

function textOfSide(part, kind) {
  if (kind === "both") return contentOf(part.ours) + contentOf(part.theirs);
  return contentOf(part[kind] ?? []);
}

function draw() {
  const { files, facts } = state;
  byId("about").textContent = files.length === 0 ? "" : `${counted(files.length, "path")} in conflict`;
  const open = new Set([...document.querySelectorAll("details.file[open]")].map((node) => node.dataset.path));
  const views = files.map((file, at) => fileView(file, at === 0 || open.has(file.path)));
  keepingFocus(byId("paths"), () => byId("paths").replaceChildren(...views));
  byId("end").hidden = files.length > 0;
  if (files.length === 0) drawEnd(facts);
}

/** What follows once nothing is in conflict. */
function drawEnd(facts) {
  const canContinue = facts.some((fact) => callIn(fact)?.name === "git_continue");
  const words = facts.filter((fact) => !/^to continue: /.test(fact)).map((fact) => el("p", { class: "fact", text: fact }));
  const ends = canContinue
    ? [
        button("Continue", () => act("continued the operation", () => call("git_continue")), { class: "main" }),
        askingButton("Abort", "Abort the operation", () => act("aborted the operation", () => call("git_abort")), { class: "quiet" }),
      ]
    : [];
  byId("end").replaceChildren(...words, el("span", { class: "actions" }, ...ends));
}

function fileView(file, isOpen) {
  const all = conflictsOf(file);
  const names = all[0]?.names ?? { ours: "", theirs: "" };
  const label = (side) => (names[side] ? `${side} (${names[side]})` : side);
  const take = (side) => button(`Take ${side}`, () => takeSide(file, side), { title: label(side), "aria-label": `Take ${label(side)} for all of ${file.path}` });
  const write = button("", () => apply(file), { class: "main" });
  const choose = () => {
    const count = file.choices.size;
    write.disabled = count === 0;
    write.textContent = count === all.length ? "Apply, and mark as resolved" : `Apply ${count} of ${all.length}`;
  };
  const body = el("div", { class: "hunks" });
  if (file.isModule) body.append(el("p", { class: "fact", text: `A submodule: ${file.commits}.` }));
  if (file.missing) body.append(el("p", { class: "fact", text: `Not in ${file.missing}: to take that side deletes the file.` }));
  if (!file.isModule && all.length === 0) body.append(el("p", { class: "fact", text: "It has no conflict by lines. Take a side, or edit the file and stage it." }));
  if (file.obstacle) body.append(el("p", { class: "fact warning", text: `${file.obstacle} Take a side, or edit the file elsewhere.` }));
  let number = 0;
  for (const { parts } of file.chunks) {
    for (const part of parts) {
      if (isConflict(part)) body.append(conflictView(file, part, { number: ++number, count: all.length, label, choose }));
    }
  }
  choose();
  if (all.length > 0 && !file.obstacle) body.append(el("div", { class: "actions apply" }, write));
  const heading = el("summary", {}, el("span", { class: "kind kind-U", text: file.isModule ? "submodule" : "in conflict" }),
    el("span", { class: "path", text: file.path }), el("span", { class: "counts", text: all.length > 0 ? counted(all.length, "conflict") : "" }));
  return el("div", { class: "file-box" }, el("details", { class: "file", open: isOpen, "data-path": file.path }, heading, body),
    el("span", { class: "actions file-actions" }, take("ours"), take("theirs")));
}

/** One conflict: its sides, and the choice between them. */
function conflictView(file, part, { number, count, label, choose }) {
  const name = `${file.path}: conflict ${number} of ${count}`;
  const group = `choice ${name}`;
  const made = file.choices.get(part);
  const editor = el("textarea", { class: "editor", "aria-label": `Text for ${name}`, spellcheck: "false" });
  const show = (kind, value) => {
    editor.hidden = kind !== "edit";
    editor.value = value;
    editor.rows = Math.min(Math.max(value.split("\n").length, 3), 24);
  };
  const set = (kind) => {
    const before = file.choices.get(part);
    if (kind === "edit" && editor.hidden) show(kind, textOfSide(part, before?.kind ?? "both"));
    else if (kind !== "edit") show(kind, "");
    file.choices.set(part, { kind, text: editor.value });
    choose();
  };
  show(made?.kind, made?.text ?? "");
  editor.addEventListener("input", () => file.choices.set(part, { kind: "edit", text: editor.value }));
  const option = (kind, text) => {
    const radio = el("input", { type: "radio", name: group, onchange: () => set(kind) });
    radio.checked = made?.kind === kind;
    radio.disabled = file.obstacle !== null;
    return el("label", { class: "option" }, radio, text);
  };
  const side = (kind) => el("div", { class: `side side-${kind}` }, el("p", { class: "side-name", text: label(kind) }), sideTable(part[kind], `${name}, ${kind}`));
  return el("fieldset", { class: "conflict" },
    el("legend", { text: `Conflict ${number} of ${count}, line ${part.lines[0].new}` }),
    el("div", { class: "sides" }, side("ours"), part.base ? side("base") : null, side("theirs")),
    el("div", { class: "options" }, option("ours", "Ours"), option("theirs", "Theirs"), option("both", "Both, ours first"), option("edit", "Edit")),
    editor);
}

function sideTable(lines, label) {
  const rows = lines.map((line) => el("tr", {}, numberCell(line.new, "same"), codeCell(line, "same")));
  if (rows.length === 0) rows.push(el("tr", {}, el("td", { class: "text same aside", text: "nothing" })));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, el("table", { class: "code" }, el("tbody", {}, ...rows)));
}

byId("refresh").addEventListener("click", () => host.canCall && refresh());
byId("full").addEventListener("click", () => busy(() => host.toggleFull()));
host.connect("git conflicts").catch((error) => report(error.message, "error"));
