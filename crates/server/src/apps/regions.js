// The conflicts in a file: read from a combined diff, and resolved by a patch.

/** Lines of the file around a conflict, with their numbers, from a combined diff. */
function chunksOf(patch) {
  return patch.files.flatMap((file) => file.hunks).map((hunk) => {
    const lines = hunk.lines.filter((line) => line.new !== null);
    return { start: hunk.start, parts: partsOf(lines) };
  });
}

/** Splits lines into plain ones and conflicts: `{ lines }` or `{ lines, ours, base, theirs, names }`. */
function partsOf(lines) {
  const parts = [];
  let plain = [];
  let open = null;
  for (const line of lines) {
    const [mark, name] = [line.text.slice(0, 7), line.text.slice(8).trimEnd()];
    const isMark = line.text.length === 7 || /^[\s]$/.test(line.text[7]);
    if (open === null && mark === "<<<<<<<" && isMark) {
      if (plain.length > 0) parts.push({ lines: plain });
      [plain, open] = [[], { lines: [], ours: [], base: null, theirs: [], names: { ours: name, theirs: "" }, at: "ours" }];
    } else if (open?.at === "ours" && mark === "|||||||" && isMark) Object.assign(open, { base: [], at: "base" });
    else if (open && open.at !== "theirs" && mark === "=======" && isMark) open.at = "theirs";
    else if (open?.at === "theirs" && mark === ">>>>>>>" && isMark) {
      open.names.theirs = name;
      open.lines.push(line);
      parts.push(open);
      open = null;
      continue;
    } else if (open) open[open.at].push(line);
    (open ? open.lines : plain).push(line);
  }
  // A conflict without its end is no conflict.
  const rest = open ? [...open.lines, ...plain] : plain;
  if (rest.length > 0) parts.push({ lines: rest });
  return parts;
}

function isConflict(part) {
  return part.ours !== undefined;
}

/** Why the lines of a chunk cannot be patched, or `null`. */
function obstacle(chunk) {
  const lines = chunk.parts.flatMap((part) => part.lines);
  if (lines.some((line) => line.cut)) return "A line is too long to be shown whole.";
  if (lines.some((line) => unescaped(line.text) === null)) return "The file has bytes that are not UTF-8.";
  return null;
}

/** The text of lines as the file has it. */
function contentOf(lines) {
  return lines.map((line) => `${unescaped(line.text)}${line.ended ? "\n" : ""}`).join("");
}

/**
 * A patch of the file at `path` that replaces conflicts. `chosen` maps parts to their new text, which ends with a line
 * break unless it is empty. A combined diff does not show whether the file ends with a line break: `isBare` if it does not.
 */
function resolution(path, chunks, chosen, isBare = false) {
  const [from, to] = ["a", "b"].map((side) => (path.startsWith('"') ? `"${side}/${path.slice(1)}` : `${side}/${path}`));
  let patch = `diff --git ${from} ${to}\n--- ${from}\n+++ ${to}\n`;
  const last = isBare ? chunks.at(-1)?.parts.at(-1)?.lines.at(-1) : null;
  const end = (line) => (line.ended && line !== last ? "\n" : "\n\\ No newline at end of file\n");
  let shift = 0;
  for (const { start, parts } of chunks) {
    if (!parts.some((part) => chosen.has(part))) continue;
    let [before, after, body] = [0, 0, ""];
    for (const part of parts) {
      const isReplaced = chosen.has(part);
      for (const line of part.lines) body += `${isReplaced ? "-" : " "}${unescaped(line.text)}${end(line)}`;
      const news = isReplaced ? chosen.get(part).split("\n").slice(0, -1) : [];
      body += news.map((line) => `+${line}\n`).join("");
      before += part.lines.length;
      after += isReplaced ? news.length : part.lines.length;
    }
    patch += `@@ -${start},${before} +${after === 0 ? start + shift - 1 : start + shift},${after} @@\n${body}`;
    shift += after - before;
  }
  return patch;
}
