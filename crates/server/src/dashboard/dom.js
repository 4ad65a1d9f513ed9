// Elements, made and updated in place. Text of the server enters the page only through `textContent` and attributes.

export const $ = (id) => document.getElementById(id);

/** An element with attributes; a function is a listener, `null` and `false` leave an attribute out. */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      node.addEventListener(name, value);
    } else if (value != null && value !== false) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

/** Sets the text of an element, if it differs: an unchanged one keeps the reader's selection. */
export function put(node, text) {
  const wanted = String(text ?? "");
  const only = node.firstChild;
  if (only?.nodeType === Node.TEXT_NODE && only === node.lastChild) {
    if (only.data !== wanted) {
      only.data = wanted;
    }
  } else if (wanted !== "" || only) {
    node.textContent = wanted;
  }
}

/** Sets or removes an attribute, if it differs. */
export function mark(node, name, value) {
  if (value == null || value === false) {
    node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) {
    node.setAttribute(name, value);
  }
}

/** Sets a custom property, if it differs. */
export function property(node, name, value) {
  if (node.style.getPropertyValue(name) !== String(value)) {
    node.style.setProperty(name, value);
  }
}

const isPinned = (node) => node.contains(document.activeElement) || node.contains(getSelection()?.anchorNode ?? null);

/** Children of an element by key. An update keeps each node, and never moves the one with focus or selection. */
export class Keyed {
  #parent;
  #key;
  #create;
  #known = new Map();

  /** `create` returns `{node, update}`. */
  constructor(parent, key, create) {
    this.#parent = parent;
    this.#key = key;
    this.#create = create;
  }

  get size() {
    return this.#known.size;
  }

  show(items) {
    const wanted = new Map(items.map((item) => [this.#key(item), item]));
    this.#removeAllBut(wanted);
    let cursor = this.#parent.firstChild;
    for (const [key, item] of wanted) {
      const row = this.#known.get(key) ?? this.#add(key, item);
      row.update(item);
      if (row.node === cursor) {
        cursor = cursor.nextSibling;
      } else if (row.node.parentNode && isPinned(row.node)) {
        // The others move around it: a moved element loses its focus.
        while (cursor && cursor !== row.node) {
          const next = cursor.nextSibling;
          this.#parent.append(cursor);
          cursor = next;
        }
        cursor = row.node.nextSibling;
      } else {
        this.#parent.insertBefore(row.node, cursor);
      }
    }
  }

  #add(key, item) {
    const row = this.#create(item);
    row.node.dataset.key = key;
    this.#known.set(key, row);
    return row;
  }

  #removeAllBut(wanted) {
    let lostFocus = false;
    for (const [key, row] of this.#known) {
      if (!wanted.has(key)) {
        lostFocus ||= row.node.contains(document.activeElement);
        row.node.remove();
        this.#known.delete(key);
      }
    }
    if (lostFocus) {
      focusPanel(this.#parent);
    }
  }
}

/** Focuses the heading of an element's panel: the place for a focus whose own is gone. */
export function focusPanel(node) {
  node.closest("section")?.querySelector("h2")?.focus({ preventScroll: true });
}

/** Rows of a table. A column has `show(cell, item)`, and may have `make(cell, current)` and `class`. */
export function table(body, key, columns) {
  return new Keyed(body, key, (first) => {
    let item = first;
    const cells = columns.map((column, at) => {
      const cell = h(at === 0 ? "th" : "td", { scope: at === 0 && "row", class: column.class });
      column.make?.(cell, () => item);
      return cell;
    });
    const update = (newer) => {
      item = newer;
      columns.forEach((column, at) => column.show?.(cells[at], item));
    };
    return { node: h("tr", {}, ...cells), update };
  });
}

/** A column of text; `clip` cells have the whole text as title. */
export function text(get, name) {
  const isClipped = name?.includes("clip") ?? false;
  const show = (cell, item) => {
    const wanted = get(item);
    put(cell, wanted);
    if (isClipped) {
      mark(cell, "title", wanted);
    }
  };
  return { class: name, show };
}

/** A column with a badge: a word, and a tone that repeats it in colour. */
export function badge(get, name) {
  return {
    class: name,
    make: (cell) => cell.append(h("span", { class: "badge" })),
    show: (cell, item) => {
      const [word, tone] = get(item);
      const inner = cell.firstChild;
      put(inner, word);
      mark(inner, "data-tone", tone);
      inner.hidden = word === "";
    },
  };
}

/** A column with a button for a change. `when` decides whether an item has it. */
export function action(label, name, act, when = () => true, tone = null) {
  return {
    class: "act",
    make: (cell, current) => {
      const press = (event) => act(current(), event.currentTarget);
      cell.append(
        h("button", { type: "button", class: "small", "data-change": true, "data-tone": tone, click: press }, label),
      );
    },
    show: (cell, item) => {
      const button = cell.firstChild;
      mark(button, "aria-label", name(item));
      const is = when(item);
      if (!is && button === document.activeElement) {
        focusPanel(cell);
      }
      button.disabled = !is;
    },
  };
}

/** Pages of a list: at most `size` items are in the document. */
export class Pager {
  #size;
  #page = 0;
  #label = h("span", { class: "muted" });
  #back;
  #on;
  #host;

  constructor(host, size, changed) {
    this.#size = size;
    this.#host = host;
    const turn = (by) => () => {
      this.#page += by;
      changed();
    };
    const what = host.getAttribute("aria-label");
    this.#back = h(
      "button",
      { type: "button", class: "small", "aria-label": `Previous page: ${what}`, click: turn(-1) },
      "‹",
    );
    this.#on = h("button", { type: "button", class: "small", "aria-label": `Next page: ${what}`, click: turn(1) }, "›");
    host.append(this.#label, this.#back, this.#on);
  }

  first() {
    this.#page = 0;
  }

  /** The items of the page; `note` follows the numbers, such as what the list leaves out. */
  slice(items, note = "") {
    const pages = Math.max(1, Math.ceil(items.length / this.#size));
    this.#page = Math.min(Math.max(this.#page, 0), pages - 1);
    const from = this.#page * this.#size;
    const part = items.slice(from, from + this.#size);
    this.#host.hidden = pages === 1 && note === "";
    put(this.#label, items.length === 0 ? note : `${from + 1}–${from + part.length} of ${items.length}${note}`);
    this.#turnable(this.#back, this.#page > 0, this.#on);
    this.#turnable(this.#on, this.#page < pages - 1, this.#back);
    return part;
  }

  #turnable(button, is, other) {
    if (!is && button === document.activeElement) {
      other.disabled = false;
      other.focus();
    }
    button.disabled = !is;
  }
}

/** Shows a table or, if it has no rows, the sentence in its place. */
export function orEmpty(name, rows) {
  $(`${name}-table`).hidden = rows === 0;
  $(`${name}-empty`).hidden = rows > 0;
}
