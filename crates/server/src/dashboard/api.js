// The admin API: requests with the token, and errors as sentences.

/** Relative to this module, so that a proxy may serve the page below a prefix. */
const BASE = new URL("../admin/v1/", import.meta.url);
const KEY = "token";

/** A refused request. `status` 0: no answer at all. */
export class ApiError extends Error {
  constructor(status, message, options) {
    super(message, options);
    this.status = status;
  }
}

let inMemory = null;

/** The token or ticket of this tab. It outlives a reload, not the tab. */
export const token = {
  get() {
    try {
      return sessionStorage.getItem(KEY) ?? inMemory;
    } catch {
      return inMemory;
    }
  },
  set(value) {
    inMemory = value;
    try {
      sessionStorage.setItem(KEY, value);
    } catch {
      // Storage may be forbidden: then a reload asks again.
    }
  },
};

/** Takes a ticket from the address, and removes it there: the address may end up in a history or a screenshot. */
export function takeTicket() {
  const ticket = new URLSearchParams(location.hash.slice(1)).get("ticket");
  if (ticket !== null) {
    token.set(ticket);
    history.replaceState(null, "", location.pathname + location.search);
  }
}

/** Requests a path; the response is successful. */
export async function request(path, { method = "GET", body, accept = "application/json", signal } = {}) {
  const headers = { Accept: accept };
  const bearer = token.get();
  if (bearer) {
    headers.Authorization = `Bearer ${bearer}`;
  }
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
  }
  const sent = body === undefined ? undefined : JSON.stringify(body);
  let response;
  try {
    response = await fetch(new URL(path, BASE), {
      method,
      headers,
      body: sent,
      signal,
      cache: "no-store",
      credentials: "omit",
    });
  } catch (cause) {
    throw new ApiError(0, signal?.aborted ? "the request was cancelled" : "the server does not answer", { cause });
  }
  if (!response.ok) {
    throw new ApiError(response.status, await sentence(response));
  }
  return response;
}

async function sentence(response) {
  try {
    const { error } = await response.json();
    if (typeof error === "string") {
      return error;
    }
  } catch {
    // Not of the server: a proxy may answer in HTML.
  }
  return `the server answered ${response.status}`;
}

/** Reads a path, with the parameters that have a value. */
export async function get(path, parameters = {}) {
  const wanted = Object.entries(parameters).filter(([, value]) => value != null && value !== "");
  const query = new URLSearchParams(wanted).toString();
  return (await request(query ? `${path}?${query}` : path)).json();
}

/** Requests a change. */
export async function post(path, body = {}) {
  return (await request(path, { method: "POST", body })).json();
}
