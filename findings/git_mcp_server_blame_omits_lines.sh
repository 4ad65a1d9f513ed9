#!/bin/sh
# The tool `git_blame` of the npm package @cyanheads/git-mcp-server returns only the first line of each commit, and
# reports their number as the total. `git blame --porcelain` describes a commit once; the server skips lines without the
# description. `git_status` reports a renamed file as "undefined -> OLD", and its unstaged edit under the old name: the
# new name is nowhere, and an agent opens a file that does not exist. No result has an error.
#
# Seen with @cyanheads/git-mcp-server 2.15.3 and git 2.47.3; of 20 lines one was changed by a second commit:
#   @cyanheads/git-mcp-server 2.15.3
#   git blame: 20 lines
#   git_blame: success true, total 2, lines 1 3
#   git status: RM old -> new
#   git_status: success true, staged {"renamed":["undefined -> old"]}, unstaged {"modified":["old"]}
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --no-audit --no-fund --prefix "$work" @cyanheads/git-mcp-server@2.15.3 >/dev/null
HOME="$work" GIT_CONFIG_NOSYSTEM=1
export HOME GIT_CONFIG_NOSYSTEM
git config --global user.name a
git config --global user.email a@example.com
cat > call.cjs <<'CALL'
const { spawn } = require('child_process');
const { createInterface } = require('readline');
const [, , path] = process.argv;
const program = `${__dirname}/node_modules/@cyanheads/git-mcp-server/dist/index.js`;
const server = spawn('node', [program], { cwd: path, stdio: ['pipe', 'pipe', 'ignore'] });
const waiting = new Map();
createInterface({ input: server.stdout }).on('line', (line) => {
  const message = JSON.parse(line);
  waiting.get(message.id)?.(message.result);
});
const send = (message) => server.stdin.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\n');
const ask = (method, params) => new Promise((resolve) => {
  const id = waiting.size + 1;
  waiting.set(id, resolve);
  send({ id, method, params });
});
const call = async (name, rest) =>
  JSON.parse((await ask('tools/call', { name, arguments: { path, ...rest } })).content[0].text);
async function show() {
  const clientInfo = { name: 'finding', version: '0' };
  await ask('initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo });
  send({ method: 'notifications/initialized' });
  const blame = await call('git_blame', { filePath: 'f' });
  const lines = blame.lines.map((line) => line.lineNumber).join(' ');
  console.log(`git_blame: success ${blame.success}, total ${blame.totalLines}, lines ${lines}`);
  const status = await call('git_status', {});
  const [staged, unstaged] = [status.stagedChanges, status.unstagedChanges].map((part) => JSON.stringify(part));
  console.log(`git_status: success ${status.success}, staged ${staged}, unstaged ${unstaged}`);
  server.kill();
}
show();
CALL

git init -q -b main repository
cd repository
seq 20 > f
seq 30 40 > old
git add .
git commit -qm one
sed -i 's/^3$/three/' f
git commit -qam two
git mv old new
echo 41 >> new
{
    echo "git blame: $(git blame f | wc -l) lines"
    echo "git status: $(git status --porcelain)"
} > ../git
timeout 60 node ../call.cjs "$PWD" > ../server
cd ..
node -p '`@cyanheads/git-mcp-server ${require("./node_modules/@cyanheads/git-mcp-server/package.json").version}`'
sed -n -e 1p git
sed -n -e 1p server
sed -n -e 2p git
sed -n -e 2p server
grep -q '^git blame: 20 lines$' git
grep -q '^git status: RM old -> new$' git
diff - server <<'EXPECTED'
git_blame: success true, total 2, lines 1 3
git_status: success true, staged {"renamed":["undefined -> old"]}, unstaged {"modified":["old"]}
EXPECTED
