// The steps that every Node client runs against the server.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fixture } from "./stage.mjs";

const PATIENCE = 180_000;
const BLOB = "git://{repo}/blob/{rev}/{+path}";

/**
 * `connect(ask)` returns a connected client that passes elicitations to `ask`; `call(client, params, options)` calls a tool.
 * Errors name the client and the step.
 */
export async function journey(name, scene, connect, call) {
  const state = { step: "connect", answer: undefined, asked: [] };
  let timer;
  const patience = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("timed out")), PATIENCE);
  });
  try {
    await Promise.race([travel(name, scene, state, connect, call), patience]);
  } catch (error) {
    throw new Error(`${name}: ${state.step}: ${error.message}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

async function travel(name, { folder, repo, silent }, state, connect, call) {
  const client = await connect((params) => {
    state.asked.push(params.message);
    return state.answer;
  });
  const result = (tool, args = {}, options = {}) => call(client, { name: tool, arguments: args }, options);
  const text = async (...args) => {
    const { content, isError } = await result(...args);
    assert(!isError, JSON.stringify(content));
    return content[0].text;
  };

  state.step = "tools";
  const names = (await client.listTools()).tools.map((tool) => tool.name);
  assert(["git_status", "git_commit", "git_reset", "git_fetch"].every((tool) => names.includes(tool)), names.join());
  state.step = "a read";
  assert.match(await text("git_status"), /^## main/);
  assert.equal((await result("git_show", { revision: "--output=x" })).isError, true);

  state.step = "resources";
  writeFileSync(join(repo, `${name}.txt`), `content of ${name}\n`);
  await text("git_add", { files: [`${name}.txt`] });
  const uris = (await client.listResources()).resources.map((resource) => resource.uri);
  assert(uris.includes("git://repo/status"), uris.join());
  const { contents } = await client.readResource({ uri: "git://repo/status" });
  assert(contents[0].text.includes(`A  ${name}.txt`), contents[0].text);
  const templates = (await client.listResourceTemplates()).resourceTemplates.map((template) => template.uriTemplate);
  assert(templates.includes(BLOB), templates.join());
  state.step = "a completion";
  const ref = { type: "ref/resource", uri: BLOB };
  const argument = { name: "rev", value: "ma" };
  const { completion } = await client.complete({ ref, argument, context: { arguments: { repo: "repo" } } });
  assert.equal(completion.values[0], "main");
  state.step = "a prompt";
  const { messages } = await client.getPrompt({ name: "commit-message" });
  assert(messages[0].content.text.includes(`+content of ${name}`), messages[0].content.text);

  state.step = "a change";
  assert.match(await text("git_commit", { message: `from ${name}` }), /committed/);
  const log = await result("git_log", { max_count: 1 });
  assert.equal(log.structuredContent.commits[0].subject, `from ${name}`);

  state.step = "a change with confirmation";
  const file = join(repo, "a.txt");
  writeFileSync(file, "edited\n");
  state.answer = { action: "decline" };
  const newest = (await result("git_log", { max_count: 1 })).structuredContent.commits[0].id;
  assert.equal((await result("git_reset", { mode: "hard", target: newest })).isError, true);
  assert.equal(readFileSync(file, "utf8"), "edited\n");
  state.answer = { action: "accept", content: { confirm: true } };
  assert.equal((await result("git_reset", { mode: "hard", target: newest, confirm: true })).isError, true);
  assert.equal(readFileSync(file, "utf8"), "edited\n", "a declined change is refused without asking again");
  await text("git_reset", { mode: "hard", target: "HEAD" });
  assert.equal(readFileSync(file, "utf8"), "one\n");
  assert.equal(state.asked.length, 2, "asked once for each change");
  assert(state.asked.every((message) => message.endsWith("Proceed?")), state.asked.join());

  state.step = "progress";
  fixture("publish", folder);
  const heard = [];
  const onprogress = ({ progress }) => heard.push(progress);
  assert.match(await text("git_fetch", { remote: "origin" }, { onprogress }), /origin\/main/);
  assert(heard.length > 0, "no progress was received");
  assert(heard.every((value, at) => at === 0 || value > heard[at - 1]), heard.join());

  state.step = "a cancelled call";
  const reached = once(silent, "connection");
  const abort = new AbortController();
  const slow = assert.rejects(result("git_fetch", { remote: "silent" }, { signal: abort.signal }));
  const [socket] = await Promise.race([reached, slow]);
  abort.abort("enough");
  await slow;
  state.step = "the work of a cancelled call ends";
  if (!socket.closed) await once(socket, "close");
  state.step = "a read after a cancelled call";
  assert.match(await text("git_status"), /^## main/);

  state.step = "close";
  await client.close();
  console.log(`${name}: ok, ${names.length} tools, ${heard.length} times progress`);
}
