// Live updates: server-sent events read with `fetch`, because `EventSource` cannot send a token.

import { request } from "./api.js";

const FIRST_DELAY = 500;
const LONGEST_DELAY = 10_000;
/** The server sends an event or a comment at least every 15 seconds; without any for longer, the connection is dead. */
const SILENCE = 35_000;
/** Maximum length of an event: more is no event of this server. */
const LONGEST_EVENT = 32 << 20;

/** Splits text into events, across the borders of its chunks. */
export class Events {
  #rest = "";
  #name = "";
  #data = [];
  #length = 0;

  /** Calls `take(name, data)` for each event that `chunk` completes. */
  push(chunk, take) {
    const lines = (this.#rest + chunk).split("\n");
    this.#rest = lines.pop();
    if (this.#rest.length + this.#length > LONGEST_EVENT) {
      throw new Error("an event is too long");
    }
    for (const raw of lines) {
      this.#line(raw.endsWith("\r") ? raw.slice(0, -1) : raw, take);
    }
  }

  #line(line, take) {
    if (line === "") {
      if (this.#data.length > 0) {
        take(this.#name || "message", this.#data.join("\n"));
      }
      this.#name = "";
      this.#data = [];
      this.#length = 0;
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") {
      this.#name = value;
    } else if (field === "data") {
      this.#data.push(value);
      this.#length += value.length;
    }
  }
}

/** A connection that is renewed when it fails, and stopped while the page is hidden. */
export class Stream {
  #topics;
  #on;
  #abort = null;
  #timer = null;
  #delay = FIRST_DELAY;
  #isWanted = false;

  /**
   * `on.event(topic, json)`, `on.state("live" | "connecting" | "hidden" | "lost", ms until the next attempt)`, and
   * `on.refused(error)`, which returns whether a further attempt makes sense.
   */
  constructor(topics, on) {
    this.#topics = topics;
    this.#on = on;
    document.addEventListener("visibilitychange", () => this.#turn());
  }

  start() {
    this.#isWanted = true;
    this.#turn();
  }

  stop() {
    this.#isWanted = false;
    this.#turn();
  }

  /** Connects at once instead of after the delay. */
  retry() {
    this.#delay = FIRST_DELAY;
    this.#turn();
  }

  #turn() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#abort = null;
    if (!this.#isWanted) {
      return;
    }
    if (document.hidden) {
      this.#on.state("hidden");
      return;
    }
    this.#connect();
  }

  async #connect() {
    const abort = new AbortController();
    this.#abort = abort;
    this.#on.state("connecting");
    let failure = null;
    try {
      await this.#read(abort);
    } catch (err) {
      failure = err;
    }
    if (this.#abort !== abort) {
      return; // Stopped or replaced.
    }
    abort.abort();
    this.#abort = null;
    if (failure?.status && !this.#on.refused(failure)) {
      return;
    }
    // At random, so that the pages of a restarted server do not return all at once.
    const delay = this.#delay * (0.75 + Math.random() / 2);
    this.#delay = Math.min(this.#delay * 2, LONGEST_DELAY);
    this.#on.state("lost", delay);
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  async #read(abort) {
    let silence = setTimeout(() => abort.abort(), SILENCE);
    try {
      const path = `events?topics=${this.#topics.join(",")}`;
      const response = await request(path, { accept: "text/event-stream", signal: abort.signal });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      const events = new Events();
      for (let isFirst = true; ; isFirst = false) {
        const { done, value } = await reader.read();
        if (done) {
          return;
        }
        if (isFirst) {
          this.#delay = FIRST_DELAY;
          this.#on.state("live");
        }
        clearTimeout(silence);
        silence = setTimeout(() => abort.abort(), SILENCE);
        events.push(value, (topic, data) => this.#on.event(topic, JSON.parse(data)));
      }
    } finally {
      clearTimeout(silence);
    }
  }
}
