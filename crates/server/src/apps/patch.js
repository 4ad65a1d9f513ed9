// Patches: read from the text of results, and shown in one column or side by side.

const HUNK = /^(@{2,}) ((?:[-+]\d+(?:,\d+)? )+)@{2,} ?(.*)$/s;
const CONTINUES = / continues, from byte \d+:$/;
/** A line longer than this has no marks within it. */
const MAX_MARKED = 400;
/** A file with more lines than this is closed at first. */
const LARGE = 400;

/** Reads a patch, page by page. */
class Patch {
  files = [];
  prelude = [];
  notes = [];
  next = null;
  #file = null;
  #hunk = null;

  read(text) {
    this.next = null;
    for (const line of linesOf(text)) {
      if (line.own) this.#note(line.text);
      else this.#line(line);
    }
    return this;
  }

  #note(text) {
    this.next ??= nextIn(text);
    if (text.startsWith("the line above continues")) {
      const last = this.#hunk?.lines.at(-1);
      if (last) last.cut = text;
    } else if (!CONTINUES.test(text)) this.notes.push(text);
  }

  #line(line) {
    const { text } = line;
    if (this.#hunk && this.#left() > 0 && this.#body(line)) return;
    if (this.#hunk && text.startsWith("\\ ")) {
      const last = this.#hunk.lines.at(-1);
      if (last) last.ended = false;
      return;
    }
    if (text.startsWith("diff --") || text.startsWith("* Unmerged path ")) this.#begin(text);
    else if (this.#file === null) this.prelude.push(text);
    else {
      const found = HUNK.exec(text);
      if (found) this.#open(found);
      else this.#head(text);
    }
  }

  #begin(text) {
    const combined = /^diff --(?:cc|combined) (.*)$/s.exec(text) ?? /^\* Unmerged path (.*)$/s.exec(text);
    const path = combined ? combined[1] : samePath(text.replace(/^diff --git /, ""));
    this.#file = { path, from: null, kind: "M", isBinary: false, facts: [], hunks: [], added: 0, removed: 0 };
    this.#hunk = null;
    this.files.push(this.#file);
  }

  #head(text) {
    const file = this.#file;
    const [, name, rest] = /^(---|\+\+\+|rename from|rename to|copy from|copy to) (.*)$/s.exec(text) ?? [];
    if (name === "+++" && rest !== "/dev/null") file.path = unprefixed(rest);
    else if (name === "---" && rest !== "/dev/null" && file.path === null) file.path = unprefixed(rest);
    else if (name?.endsWith("from")) file.from = rest;
    else if (name?.endsWith("to")) file.path = rest;
    else if (text.startsWith("new file")) file.kind = "A";
    else if (text.startsWith("deleted file")) file.kind = "D";
    else if (/^(Binary files|GIT binary patch)/.test(text)) file.isBinary = true;
    else if (/^(old mode|new mode|similarity index)/.test(text)) file.facts.push(text);
  }

  #open([, signs, ranges, section]) {
    const numbers = ranges.trim().split(" ").map((range) => {
      const [start, count = "1"] = range.slice(1).split(",");
      return { start: Number(start), left: Number(count) };
    });
    const news = numbers.pop();
    this.#hunk = { columns: signs.length - 1, olds: numbers, news, start: news.start, oldStart: numbers[0].start, section, lines: [] };
    this.#file.hunks.push(this.#hunk);
  }

  #left() {
    return this.#hunk.news.left + this.#hunk.olds.reduce((sum, old) => sum + old.left, 0);
  }

  /** Takes a line of the open hunk. */
  #body({ text }) {
    const { columns, olds, news, lines } = this.#hunk;
    // Mailers and editors drop the space of an empty line.
    const signs = text.slice(0, columns).padEnd(columns, " ");
    if (!/^[-+ ]+$/.test(signs)) return false;
    const isRemoved = signs.includes("-");
    const line = { signs, text: text.slice(columns), ended: true, old: null, new: null, cut: null };
    olds.forEach((old, at) => {
      const isThere = signs[at] === "-" || (signs[at] === " " && !isRemoved);
      if (!isThere) return;
      if (at === 0) line.old = old.start;
      old.start++;
      old.left--;
    });
    if (!isRemoved) {
      line.new = news.start++;
      news.left--;
    }
    if (isRemoved) this.#file.removed++;
    else if (signs.includes("+")) this.#file.added++;
    lines.push(line);
    return true;
  }
}

/** The path of `a/P b/P`, or `null` if its halves differ. */
function samePath(text) {
  const half = (text.length - 1) / 2;
  const [from, to] = [text.slice(0, half), text.slice(half + 1)];
  return Number.isInteger(half) && unprefixed(from) === unprefixed(to) ? unprefixed(to) : null;
}

/** The path without git's `a/` or `b/`, quoted as it was. git ends a name that has a space with a tab. */
function unprefixed(path) {
  return path.replace(/\t$/, "").replace(/^("?)[abciow12]\//, "$1");
}

/** The lines of a hunk in rows of two: what was removed beside what was added. */
function paired(lines) {
  const rows = [];
  let [removed, added] = [[], []];
  const flush = () => {
    for (let at = 0; at < Math.max(removed.length, added.length); at++) rows.push([removed[at] ?? null, added[at] ?? null]);
    [removed, added] = [[], []];
  };
  for (const line of lines) {
    if (line.signs.includes("-")) {
      if (added.length > 0) flush();
      removed.push(line);
    } else if (line.signs.includes("+")) added.push(line);
    else {
      flush();
      rows.push([line, line]);
    }
  }
  flush();
  return rows;
}

/** The changed middle of two lines, as `[start, end of one, end of other]`; `null` if they have too little in common. */
function changedPart(one, other) {
  if (one.length > MAX_MARKED || other.length > MAX_MARKED) return null;
  const most = Math.min(one.length, other.length);
  let [head, tail] = [0, 0];
  while (head < most && one[head] === other[head]) head++;
  while (tail < most - head && one.at(-1 - tail) === other.at(-1 - tail)) tail++;
  // Not within a surrogate pair.
  if (head > 0 && /[\ud800-\udbff]/.test(one[head - 1])) head--;
  if (tail > 0 && /[\udc00-\udfff]/.test(one[one.length - tail])) tail--;
  return (head + tail) * 3 < most ? null : [head, one.length - tail, other.length - tail];
}

/** The cell with a line's text; `from` and `to` bound what is marked. */
function codeCell(line, kind, from = 0, to = 0) {
  const cell = el("td", { class: `text ${kind}` });
  if (line === null) return cell;
  const { text } = line;
  if (to > from) cell.append(text.slice(0, from), el("mark", { text: text.slice(from, to) }), text.slice(to));
  else cell.textContent = text;
  if (kind !== "same" && text.endsWith("\r")) cell.append(el("span", { class: "aside", text: "␍", title: "carriage return" }));
  if (line.cut) cell.append(el("span", { class: "aside", text: " … shortened" }));
  if (!line.ended) cell.append(el("span", { class: "aside", text: " no line break at the end" }));
  return cell;
}

function kindOf(line) {
  if (line === null) return "empty";
  if (line.signs.includes("-")) return "removed";
  return line.signs.includes("+") ? "added" : "same";
}

function numberCell(number, kind) {
  return el("td", { class: `number ${kind}`, text: number === null ? "" : String(number) });
}

/** A hunk as a table; `isSplit` for side by side. */
function hunkTable(hunk, label, isSplit) {
  const body = el("tbody");
  const pairs = paired(hunk.lines);
  if (isSplit && hunk.columns === 1) pairs.forEach(([one, other]) => body.append(splitRow(one, other)));
  else unifiedRows(hunk.lines, pairs).forEach((row) => body.append(row));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    el("table", { class: isSplit && hunk.columns === 1 ? "code split" : "code" }, body));
}

function splitRow(one, other) {
  const part = one && other && one !== other ? changedPart(one.text, other.text) : null;
  const [from, to, otherTo] = part ?? [0, 0, 0];
  return el("tr", {},
    numberCell(one?.old ?? null, kindOf(one)), codeCell(one, kindOf(one), from, to),
    numberCell(other?.new ?? null, kindOf(other)), codeCell(other, kindOf(other), from, otherTo));
}

function unifiedRows(lines, pairs) {
  const marks = new Map();
  for (const [one, other] of pairs) {
    const part = one && other && one !== other ? changedPart(one.text, other.text) : null;
    if (!part) continue;
    marks.set(one, [part[0], part[1]]);
    marks.set(other, [part[0], part[2]]);
  }
  return lines.map((line) => {
    const kind = kindOf(line);
    return el("tr", {},
      numberCell(line.old, kind), numberCell(line.new, kind),
      el("td", { class: `sign ${kind}`, text: line.signs }), codeCell(line, kind, ...(marks.get(line) ?? [])));
  });
}

/** `+3 −1`, with words for a screen reader. */
function countsOf(added, removed) {
  return el("span", { class: "counts" },
    el("span", { class: "plus", text: `+${added}`, title: "added lines" }), " ",
    el("span", { class: "minus", text: `−${removed}`, title: "removed lines" }));
}

const KINDS = { M: "changed", A: "new", D: "deleted", R: "renamed", C: "copied", T: "type changed", "?": "untracked", U: "in conflict" };

/** The heading of a file: its kind, its path and its counts. */
function fileHeading(file) {
  const name = file.from ? `${file.from} → ${file.path}` : (file.path ?? "?");
  const cut = name.lastIndexOf("/") + 1;
  return [
    el("span", { class: `kind kind-${file.kind === "?" ? "A" : file.kind}`, text: KINDS[file.kind] ?? "changed" }),
    el("span", { class: "path" }, el("span", { class: "folder", text: name.slice(0, cut) }), name.slice(cut)),
    file.isBinary ? el("span", { class: "counts", text: "binary" }) : null,
    file.added + file.removed > 0 ? countsOf(file.added, file.removed) : null,
  ];
}

/** Decides which files are open at first: those that are not large, as long as the page is not. */
function opener() {
  let shown = 0;
  return (file) => {
    const size = file.hunks.reduce((sum, hunk) => sum + hunk.lines.length, 0);
    const isOpen = size <= LARGE && shown + size <= LARGE * 3;
    if (isOpen) shown += size;
    return isOpen;
  };
}

/** Shows a patch that only is read. */
function patchView(patch, isSplit) {
  const opens = opener();
  return patch.files.map((file) => {
    const isOpen = patch.files.length === 1 || opens(file);
    const body = el("div", { class: "hunks" });
    const fill = () => {
      if (body.childElementCount > 0) return;
      body.append(...file.facts.map((fact) => el("p", { class: "fact", text: fact })));
      if (file.isBinary) body.append(el("p", { class: "fact", text: "Binary: there are no lines to show." }));
      for (const hunk of file.hunks) {
        const label = `${file.path}, ${lineOf(hunk)}`;
        body.append(el("p", { class: "place", text: placeText(hunk) }), hunkTable(hunk, label, isSplit));
      }
    };
    if (isOpen) fill();
    return el("details", { class: "file", open: isOpen, ontoggle: fill }, el("summary", {}, ...fileHeading(file)), body);
  });
}

/** Where a hunk starts: in the old file if nothing of the new one is left. */
function lineOf(hunk) {
  return `line ${hunk.start || hunk.oldStart}`;
}

function placeText(hunk) {
  return hunk.section ? `${lineOf(hunk)} · ${hunk.section}` : lineOf(hunk);
}
