// The text of results: the server's own lines, escapes, and next calls. docs/OUTPUT.md defines them.

const OWN = /^\[git:[^\]]{6}(<?)\] (.*)$/s;
const CALL = /(?:^|[ :])(git_[a-z_]+) (?=\{)/g;

/**
 * Splits a text into lines: `{ own, text, ended }`. `own` marks the server's own lines; `ended` is false for content
 * without a line break of its own.
 */
function linesOf(text) {
  const parts = text.split("\n");
  const isEnded = parts.at(-1) === "";
  if (isEnded) parts.pop();
  const lines = [];
  parts.forEach((part, at) => {
    const own = OWN.exec(part);
    if (own?.[1] && lines.length > 0) lines.at(-1).ended = false;
    const ended = isEnded || at < parts.length - 1;
    lines.push(own ? { own: true, text: own[2], ended } : { own: false, text: part, ended });
  });
  return lines;
}

/** The first `git_… {…}` in a note, as `{ name, args }`; `null` if there is none. */
function callIn(note) {
  for (const found of note.matchAll(CALL)) {
    const args = jsonAt(note, found.index + found[0].length);
    if (args) return { name: found[1], args };
  }
  return null;
}

/** The JSON object that starts at `start`, or `null`. */
function jsonAt(text, start) {
  let depth = 0;
  let isQuoted = false;
  for (let at = start; at < text.length; at++) {
    const c = text[at];
    if (isQuoted) {
      if (c === "\\") at++;
      else if (c === '"') isQuoted = false;
    } else if (c === '"') isQuoted = true;
    else if (c === "{") depth++;
    else if (c === "}" && --depth === 0) {
      try {
        return JSON.parse(text.slice(start, at + 1));
      } catch {
        return null;
      }
    }
  }
  return null;
}

/** The call for the next page that a note names. */
function nextIn(note) {
  return note.includes("Next: ") ? callIn(note.slice(note.indexOf("Next: ") + 6)) : null;
}

/** The text with its escapes undone, or `null` if it has bytes that are not UTF-8. */
function unescaped(text) {
  if (/\\x\{[0-9a-f]{1,2}\}/.test(text)) return null;
  return text.replace(/\\u\{([0-9a-f]{1,6})\}/g, (whole, hex) => {
    const code = Number.parseInt(hex, 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

/** "1 file", "2 files". */
function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
