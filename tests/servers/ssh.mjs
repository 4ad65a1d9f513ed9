// An ssh server on loopback for the current user: ssh.mjs MODULES HOST_KEY AUTHORIZED_KEYS. Prints its port, and runs the
// clients' commands with the shell.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [modules, hostKey, authorized] = process.argv.slice(2);
const { Server, utils } = createRequire(`${modules}/`)('ssh2');

/** Whether the file currently lists the key and the signature is valid. */
function isAuthorized(context) {
  if (context.method !== 'publickey') return false;
  const lines = readFileSync(authorized, 'utf8').split('\n').filter(Boolean);
  const key = lines.map((line) => utils.parseKey(line)).find((key) => !(key instanceof Error) && key.getPublicSSH().equals(context.key.data));
  return Boolean(key) && (!context.signature || key.verify(context.blob, context.signature, context.hashAlgo) === true);
}

function run(command, environment, stream) {
  const child = spawn('/bin/sh', ['-c', command], { env: { ...process.env, ...environment } });
  stream.pipe(child.stdin);
  child.stdout.pipe(stream, { end: false });
  child.stderr.pipe(stream.stderr, { end: false });
  child.stdin.on('error', () => {});
  child.on('close', (code) => {
    stream.exit(code ?? 255);
    stream.end();
  });
}

const server = new Server({ hostKeys: [readFileSync(hostKey)] }, (client) => {
  client.on('authentication', (context) => (isAuthorized(context) ? context.accept() : context.reject(['publickey'])));
  client.on('error', () => {});
  client.on('session', (accept) => {
    const environment = {};
    const session = accept();
    session.on('env', (accept, reject, { key, val }) => {
      if (key === 'GIT_PROTOCOL') environment[key] = val;
      accept?.();
    });
    session.on('exec', (accept, reject, { command }) => run(command, environment, accept()));
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
